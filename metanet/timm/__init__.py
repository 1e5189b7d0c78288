"""`import metanet.timm` makes timm know every network of `metanet.list_models()`, and "metanet" for any spec.

timm.create_model("metanet_b4", num_classes=10) is then metanet.create("MN-B4", num_classes=10) with timm's arguments:
pretrained_cfg, pretrained_cfg_overlay, checkpoint_path, features_only, out_indices, feature_cls, in_chans, drop_rate
and drop_path_rate mean what they mean in timm.
"""

from metanet.timm.metanet import register, timm_name

__all__ = ["register", "timm_name"]
