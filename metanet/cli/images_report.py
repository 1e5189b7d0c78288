"""The images of a job, for its report: their classes, and which of them are for what."""

import numpy as np
import pandas as pd

from metanet.cli.phases import Data
from metanet.data import ImageSource, OwnImages
from metanet.report import Section, paragraph, table

SHOWN = 40  # classes whose counts are shown; the others are added up


def images_section(data: Data) -> Section:
    """How many images of each class are for what, and what a folder of one's own says of them."""
    classes = data.images.classes
    counts = {part: np.bincount(data.images.labels[ids], minlength=len(classes)) for part, ids in data.parts.items()}
    rows = pd.DataFrame({"class": list(classes), **counts, "all": sum(counts.values())})
    if len(rows) > SHOWN:
        rest = {"class": f"{len(rows) - SHOWN:,} other classes", **rows[SHOWN:].drop(columns="class").sum()}
        rows = pd.concat([rows[:SHOWN], pd.DataFrame([rest])])
    total = {"class": "all", **rows.drop(columns="class").sum()}
    caption = "Images by class and by what they are for; no image is for two purposes"
    return Section(
        "The images", [paragraph(_words(data.images)), table(pd.concat([rows, pd.DataFrame([total])]), caption=caption)]
    )


def _words(images: ImageSource) -> str:
    told = f"The data are {images.name}: {len(images):,} images of {len(images.classes):,} classes."
    if not isinstance(images, OwnImages):
        return told
    given = " and ".join(f"for {role}" for role in images.given)
    told += f" Its own folders say which are {given}." if given else ""
    return told + (f" {images.left_out}." if images.left_out else "")
