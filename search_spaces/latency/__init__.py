"""Latency, measured part by part and added up: one more cost of a space."""
