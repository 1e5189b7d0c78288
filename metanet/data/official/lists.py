"""Sets whose splits are in lists of their own forms."""

import csv
from pathlib import Path
from typing import Any

from metanet.data.files import images_below
from metanet.data.splits import Splits, two_parts
from metanet.errors import MetanetError

Part = tuple[list[str], list[int]]


def flowers102(root: Path) -> Splits:
    """Flowers-102: flowers-102/imagelabels.mat, setid.mat and jpg/image_NUMBER.jpg; train is trnid and valid.

    torchvision's class, which reads the same, refuses lists whose MD5 is not the official one.
    """
    from scipy.io import loadmat  # type: ignore[import-untyped]

    folder = root / "flowers-102"
    labels = loadmat(folder / "imagelabels.mat")["labels"].ravel()  # from 1 to 102, image 1 first
    numbers = loadmat(folder / "setid.mat")

    def part(*keys: str) -> Part:
        chosen = [int(number) for key in keys for number in numbers[key].ravel()]
        return [f"jpg/image_{number:05d}.jpg" for number in chosen], [int(labels[number - 1]) - 1 for number in chosen]

    classes = [str(number) for number in range(1, int(labels.max()) + 1)]
    return two_parts("flowers102", folder, part("trnid", "valid"), part("tstid"), classes, note="train and valid")


def sun397(root: Path) -> Splits:
    """SUN397, partition 01: SUN397/ClassName.txt, Training_01.txt, Testing_01.txt and LETTER/CLASS/sun_NAME.jpg.

    torchvision's class reads all images without a split, in the order in which the disk names them.
    """
    folder = root / "SUN397"
    classes = _lines(folder / "ClassName.txt")  # /a/abbey; some have a second level, /a/apartment_building/outdoor
    label = {name: number for number, name in enumerate(classes)}

    def part(file: str) -> Part:
        paths = _lines(folder / file)
        return [path.lstrip("/") for path in paths], [label[path.rpartition("/")[0]] for path in paths]

    names = [name[3:] for name in classes]
    return two_parts(
        "sun397", folder, part("Training_01.txt"), part("Testing_01.txt"), names, note="official partition 01"
    )


def retinopathy(root: Path) -> Splits:
    """Diabetic Retinopathy: diabetic-retinopathy/trainLabels.csv, retinopathy_solution.csv, train/ and test/.

    Test images are those whose Usage is Private. A group is a patient, both of whose eyes are there.
    """
    folder = root / "diabetic-retinopathy"

    def part(place: str, rows: list[dict[str, str]]) -> Part:
        return [f"{place}/{row['image']}.jpeg" for row in rows], [int(row["level"]) for row in rows]

    private = [row for row in _table(folder / "retinopathy_solution.csv") if row["Usage"] == "Private"]
    train, test = part("train", _table(folder / "trainLabels.csv")), part("test", private)
    patients = [file.rpartition("_")[0] for file in (*train[0], *test[0])]
    classes = ("no", "mild", "moderate", "severe", "proliferative")
    note = "Usage Private, groups are patients"
    return two_parts("retinopathy", folder, train, test, classes, groups=patients, note=note)


def ucf101(root: Path) -> Splits:
    """UCF101, split 1, middle frames: ucf101/ucfTrainTestlist and ucf101/frames/CLASS/v_CLASS_g01_c01.jpg.

    A group is a g: clips of one scene, which the official split keeps on one side.
    """
    folder = root / "ucf101"
    lists = folder / "ucfTrainTestlist"
    classes = [line.split()[1] for line in _lines(lists / "classInd.txt")]

    def part(file: str) -> Part:
        videos = [line.split()[0] for line in _lines(lists / file)]  # the training list has labels, the test list none
        frames = [f"frames/{video.rpartition('.')[0]}.jpg" for video in videos]
        return frames, [classes.index(video.partition("/")[0]) for video in videos]

    train, test = part("trainlist01.txt"), part("testlist01.txt")
    scenes = [file.rpartition("_")[0] for file in (*train[0], *test[0])]
    return two_parts(
        "ucf101", folder, train, test, classes, groups=scenes, note="split 1, middle frames, groups are scenes"
    )


def kinetics700(root: Path) -> Splits:
    """Kinetics-700, middle frames: kinetics700/train.csv, validate.csv and ID_START_END.jpg anywhere in frames/.

    Clips whose frame is missing are left out, for videos vanish; the note says how many. A group is a video.

    Raises:
        MetanetError: no clip has a frame.
    """
    folder = root / "kinetics700"
    tables = [_table(folder / file) for file in ("train.csv", "validate.csv")]
    there = {Path(file).stem: file for file in sorted(images_below(folder, "frames"))}
    kept = [[row for row in table if _clip(row) in there] for table in tables]
    if not all(kept):
        raise MetanetError(f"Kinetics-700 needs the middle frames of its clips in {str(folder / 'frames')!r}, got none")
    classes = sorted({row["label"] for table in kept for row in table})
    label = {name: number for number, name in enumerate(classes)}
    parts = [([there[_clip(row)] for row in table], [label[row["label"]] for row in table]) for table in kept]
    videos = [row["youtube_id"] for table in kept for row in table]
    missing = sum(map(len, tables)) - len(videos)
    note = "middle frames" + (f", {missing:,} clips without a frame left out" if missing else "")
    return two_parts("kinetics700", folder, parts[0], parts[1], classes, groups=videos, note=note)


def _clip(row: dict[str, Any]) -> str:
    start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _table(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
