"""Mini copies of the sets with a folder for each class."""

from pathlib import Path

from metanet.bench.mini.pictures import TEST, TRAIN, Painter

WNIDS = [
    "n01440764",
    "n01443537",
    "n01484850",
    "n01491361",
    "n01494475",
    "n01496331",
    "n01498041",
    "n01514668",
    "n01514859",
    "n01518878",
]
FRAMES = 3  # of a track


def caltech101(root: Path, painter: Painter) -> tuple[int, int]:
    """The background among the classes, 33 images each, and the file `tmp`, which is none."""
    folder = root / "caltech101" / "101_ObjectCategories"
    names = ["BACKGROUND_Google", "Faces", *(f"thing_{i}" for i in range(2, 10))]
    for label, name in enumerate(names[: painter.classes]):
        for number in range(1, 34):
            painter.save(folder / name / f"image_{number:04d}.jpg", label)
    (folder / "BACKGROUND_Google" / "tmp").write_text("no image\n")
    return 30 * painter.classes, 3 * painter.classes


def eurosat(root: Path, painter: Painter) -> tuple[int, int]:
    """Ten images a class."""
    names = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop"]
    names += ["Residential", "River", "SeaLake"]
    return _ten(root / "eurosat" / "2750", names, painter)


def resisc45(root: Path, painter: Painter) -> tuple[int, int]:
    """Ten images a class."""
    names = ["airplane", "airport", "baseball_diamond", "basketball_court", "beach", "bridge", "chaparral", "church"]
    names = [*names[: painter.classes - 1], "wetland"] if painter.classes < 10 else [*names, "cloud", "wetland"]
    return _ten(root / "NWPU-RESISC45", names, painter)


def gtsrb(root: Path, painter: Painter) -> tuple[int, int]:
    """Tracks of three frames to train on, single frames to test."""
    folder = root / "gtsrb"
    for label in range(painter.classes):
        for track in range(TRAIN // 2):
            for frame in range(FRAMES):
                painter.save(folder / f"GTSRB/Training/{label:05d}/{track:05d}_{frame:05d}.ppm", label)
        (folder / f"GTSRB/Training/{label:05d}/GT-{label:05d}.csv").write_text("Filename;ClassId\n")
    test = painter.labels(TEST)
    rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for number, label in enumerate(test):
        painter.save(folder / f"GTSRB/Final_Test/Images/{number:05d}.ppm", label)
        rows.append(f"{number:05d}.ppm;53;54;6;5;48;49;{label}")
    (folder / "GT-final_test.csv").write_text("\n".join([*rows, ""]))
    return painter.classes * TRAIN // 2 * FRAMES, len(test)


def imagenet(root: Path, painter: Painter) -> tuple[int, int]:
    """Folders named by synsets."""
    number = 0
    for label, wnid in enumerate(WNIDS[: painter.classes]):
        for i in range(TRAIN):
            painter.save(root / f"imagenet/train/{wnid}/{wnid}_{i}.JPEG", label)
        for _ in range(TEST):
            number += 1
            painter.save(root / f"imagenet/val/{wnid}/ILSVRC2012_val_{number:08d}.JPEG", label)
    return painter.classes * TRAIN, painter.classes * TEST


def _ten(folder: Path, names: list[str], painter: Painter) -> tuple[int, int]:
    for label in range(painter.classes):
        for number in range(1, 11):
            painter.save(folder / names[label] / f"{names[label]}_{number}.jpg", label)
    return 6 * painter.classes, 2 * painter.classes
