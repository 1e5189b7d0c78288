"""Mini copies of the sets with lists of their own forms."""

import json
from pathlib import Path

import numpy as np

from metanet.bench.mini.pictures import TEST, TRAIN, Painter


def food101(root: Path, painter: Painter) -> tuple[int, int]:
    """JSON lists by class."""
    folder = root / "food-101"
    for part, each in (("train", TRAIN), ("test", TEST)):
        listed: dict[str, list[str]] = {}
        for label in painter.labels(each):
            names = listed.setdefault(f"dish_{label}", [])
            names.append(f"dish_{label}/{part == 'test':d}{len(names):03d}")
            painter.save(folder / "images" / f"{names[-1]}.jpg", label)
        _write(folder / "meta" / f"{part}.json", json.dumps(listed))
    return TRAIN * painter.classes, TEST * painter.classes


def oxford_pets(root: Path, painter: Painter) -> tuple[int, int]:
    """Lists of name, class from 1, species and breed; cats have capitals."""
    folder = root / "oxford-iiit-pet"
    for part, each in (("trainval", TRAIN), ("test", TEST)):
        lines = []
        for number, label in enumerate(painter.labels(each)):
            name = f"{'Big_Cat' if label % 2 else 'some_dog'}_{label}_{part == 'test':d}{number}"
            painter.save(folder / "images" / f"{name}.jpg", label)
            lines.append(f"{name} {label + 1} {2 - label % 2} {label // 2 + 1}")
        _write(folder / "annotations" / f"{part}.txt", *lines)
    return TRAIN * painter.classes, TEST * painter.classes


def flowers102(root: Path, painter: Painter) -> tuple[int, int]:
    """One row of labels from 1, and the numbers of the images of train, valid and test."""
    from scipy.io import savemat  # type: ignore[import-untyped]

    folder = root / "flowers-102"
    labels = painter.labels(TRAIN + TEST)
    for number, label in enumerate(labels, start=1):
        painter.save(folder / "jpg" / f"image_{number:05d}.jpg", label)
    # of each class its first images are for training, by turns train and valid
    order = np.argsort(labels, kind="stable").reshape(painter.classes, -1) + 1
    parts = {"trnid": order[:, :TRAIN:2], "valid": order[:, 1:TRAIN:2], "tstid": order[:, TRAIN:]}
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], np.uint8) + 1})
    savemat(folder / "setid.mat", {key: numbers.reshape(1, -1).astype(np.uint16) for key, numbers in parts.items()})
    return TRAIN * painter.classes, TEST * painter.classes


def sun397(root: Path, painter: Painter) -> tuple[int, int]:
    """Classes with one level and with two; an image that is in neither list."""
    folder = root / "SUN397"
    classes = ["/a/abbey", "/a/apartment_building/outdoor", *(f"/b/place_{i}" for i in range(2, painter.classes))]
    _write(folder / "ClassName.txt", *classes[: painter.classes])
    for part, each in (("Training_01", TRAIN), ("Testing_01", TEST)):
        lines = []
        for number, label in enumerate(painter.labels(each)):
            lines.append(f"{classes[label]}/sun_{part[:4].lower()}{number}.jpg")
            painter.save(folder / lines[-1].lstrip("/"), label)
        _write(folder / f"{part}.txt", *lines)
    painter.save(folder / "a/abbey/sun_unused.jpg", None)
    return TRAIN * painter.classes, TEST * painter.classes


def stanford_cars(root: Path, painter: Painter) -> tuple[int, int]:
    """MATLAB structures with the file's name and the class from 1; test labels in a file beside the devkit."""
    from scipy.io import savemat

    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    names = np.array([f"Maker Model {i}" for i in range(painter.classes)], dtype=object)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    lists = {"train": ("devkit/cars_train_annos.mat", TRAIN), "test": ("cars_test_annos_withlabels.mat", TEST)}
    for part, (file, each) in lists.items():
        rows = []
        for number, label in enumerate(painter.labels(each), start=1):
            painter.save(folder / f"cars_{part}" / f"{number:05d}.jpg", label)
            rows.append((1, 1, 30, 30, label + 1, f"{number:05d}.jpg"))
        fields = [(key, object) for key in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
        savemat(folder / file, {"annotations": np.array(rows, dtype=fields)})
    return TRAIN * painter.classes, TEST * painter.classes


def dtd(root: Path, painter: Painter) -> tuple[int, int]:
    """Split 1 in three lists; split 2 has other images in them."""
    folder = root / "dtd" / "dtd"
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label in range(painter.classes):
        for number in range(TRAIN + TEST):
            part = "test" if number >= TRAIN else ("train", "val")[number % 2]
            lines[part].append(f"texture{label}/texture{label}_{number:04d}.jpg")
            painter.save(folder / "images" / lines[part][-1], label)
    for part in lines:
        _write(folder / "labels" / f"{part}1.txt", *lines[part])
        _write(folder / "labels" / f"{part}2.txt", *lines["test" if part == "train" else "train"])
    return TRAIN * painter.classes, TEST * painter.classes


def fgvc_aircraft(root: Path, painter: Painter) -> tuple[int, int]:
    """Lists of number and variant, whose names have blanks."""
    folder = root / "fgvc-aircraft-2013b" / "data"
    variants = [f"Model {i}-00" for i in range(painter.classes)]
    _write(folder / "variants.txt", *variants)
    number = 34_309
    for part, each in (("trainval", TRAIN), ("test", TEST)):
        lines = []
        for label in painter.labels(each):
            number += 7
            painter.save(folder / "images" / f"{number:07d}.jpg", label)
            lines.append(f"{number:07d} {variants[label]}")
        _write(folder / f"images_variant_{part}.txt", *lines)
    return TRAIN * painter.classes, TEST * painter.classes


def retinopathy(root: Path, painter: Painter) -> tuple[int, int]:
    """Both eyes of patients, often of different classes; public test images are black."""
    folder = root / "diabetic-retinopathy"
    train, test = painter.labels(TRAIN), painter.labels(TEST)
    rows = []
    for i, label in enumerate(train):
        rows.append(f"{10 + i // 2}_{('left', 'right')[i % 2]},{label}")
        painter.save(folder / "train" / f"{rows[-1].partition(',')[0]}.jpeg", label)
    _write(folder / "trainLabels.csv", "image,level", *rows)
    rows = []
    for i, label in enumerate([*test, *[0] * 6]):
        use = "Private" if i < len(test) else "Public"
        rows.append(f"{1 + i // 2}_{('left', 'right')[i % 2]},{label},{use}")
        painter.save(folder / "test" / f"{rows[-1].partition(',')[0]}.jpeg", label if use == "Private" else None)
    _write(folder / "retinopathy_solution.csv", "image,level,Usage", *rows[::-1])
    return len(train), len(test)


def ucf101(root: Path, painter: Painter) -> tuple[int, int]:
    """Lists of videos, those for training with the class from 1; scenes of two videos; split 2 turned round."""
    folder = root / "ucf101"
    names = ["ApplyEyeMakeup", "HandstandPushups", *(f"Action{i}" for i in range(2, painter.classes))]
    _write(folder / "ucfTrainTestlist/classInd.txt", *(f"{i} {name}" for i, name in enumerate(names, start=1)))
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for label, name in enumerate(names[: painter.classes]):
        spelt = name.replace("stand", "Stand")  # as the official files do: v_HandStandPushups in HandstandPushups
        for number in range(TRAIN + TEST):
            video = f"{name}/v_{spelt}_g{1 + number // 2:02d}_c{1 + number % 2:02d}"
            painter.save(folder / "frames" / f"{video}.jpg", label)
            lines["test" if number < TEST else "train"].append(f"{video}.avi {label + 1}")
    tests = [line.partition(" ")[0] for line in lines["test"]]
    _write(folder / "ucfTrainTestlist/trainlist01.txt", *lines["train"])
    _write(folder / "ucfTrainTestlist/testlist01.txt", *tests)
    _write(folder / "ucfTrainTestlist/trainlist02.txt", *lines["test"])
    return len(lines["train"]), len(tests)


def kinetics700(root: Path, painter: Painter) -> tuple[int, int]:
    """Tables of clips, two of a video each; the frame of the last clip of each table is missing."""
    folder = root / "kinetics700"
    for part, each in (("train", TRAIN), ("validate", TEST)):
        rows = []
        for label in range(painter.classes):
            for number in range(each):
                video, start = f"{part[0]}_{label}x{number // 2}", 10 * (number % 2)
                rows.append(f"doing thing {label},{video},{start},{start + 10},{part}")
                painter.save(folder / f"frames/doing thing {label}/{video}_{start:06d}_{start + 10:06d}.jpg", label)
        rows.append(f"doing thing 0,{part[0]}_gone,5,15,{part}")
        _write(folder / f"{part}.csv", "label,youtube_id,time_start,time_end,split", *rows)
    return TRAIN * painter.classes, TEST * painter.classes


def _write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
