"""Metrics of predictions."""

from metanet.metrics.classification import METRICS, Metric, accuracy, confusion, mean_per_class, quadratic_kappa

__all__ = ["METRICS", "Metric", "accuracy", "confusion", "mean_per_class", "quadratic_kappa"]
