"""MetaNet: one space of convolution and attention, its search, its pretraining and its benchmark."""

from metanet.blocks.initial import Init
from metanet.errors import MetanetError
from metanet.factory import cost, create, list_models, register
from metanet.inference import fuse
from metanet.model import MetaNet
from metanet.spec import ArchSpec, StageSpec

__version__ = "0.1.0"

__all__ = [
    "ArchSpec",
    "Init",
    "MetaNet",
    "MetanetError",
    "StageSpec",
    "cost",
    "create",
    "fuse",
    "list_models",
    "register",
]
