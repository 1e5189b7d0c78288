"""Images and which of them are used for what."""

from metanet.data.augment import shift
from metanet.data.fashion import fashion_mnist
from metanet.data.files import FileImages, read_folder, read_list
from metanet.data.images import ArrayImages, Ids, ImageSource
from metanet.data.labelled import Labelled
from metanet.data.lazy import LazyImages
from metanet.data.named import IMAGES, load_images
from metanet.data.own import OwnImages, job_parts, read_own
from metanet.data.splits import Splits, read_folders, read_lists
from metanet.data.subsets import batch_ids, ids_sha256, job_split, percent_subset, stratified_split
from metanet.data.view import View, as_view

__all__ = [
    "IMAGES",
    "ArrayImages",
    "FileImages",
    "Ids",
    "ImageSource",
    "Labelled",
    "LazyImages",
    "OwnImages",
    "Splits",
    "View",
    "as_view",
    "batch_ids",
    "fashion_mnist",
    "ids_sha256",
    "job_parts",
    "job_split",
    "load_images",
    "percent_subset",
    "read_folder",
    "read_folders",
    "read_list",
    "read_lists",
    "read_own",
    "shift",
    "stratified_split",
]
