"""Images and which of them are used for what."""

from metanet.data.augment import shift
from metanet.data.images import ArrayImages, Ids, ImageSource
from metanet.data.labelled import Labelled
from metanet.data.lazy import LazyImages
from metanet.data.packaged import IMAGES, load_images
from metanet.data.subsets import batch_ids, ids_sha256, percent_subset, stratified_split
from metanet.data.view import View, as_view

__all__ = [
    "IMAGES",
    "ArrayImages",
    "Ids",
    "ImageSource",
    "Labelled",
    "LazyImages",
    "View",
    "as_view",
    "batch_ids",
    "ids_sha256",
    "load_images",
    "percent_subset",
    "shift",
    "stratified_split",
]
