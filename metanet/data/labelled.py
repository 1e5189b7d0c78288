"""Images with a purpose."""

from dataclasses import dataclass

from metanet.data.images import Ids, ImageSource


@dataclass(frozen=True)
class Labelled:
    """The images of one task that may be trained on: a source and which of its images, as indices into it."""

    images: ImageSource
    ids: Ids
