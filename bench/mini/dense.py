"""Mini copies of the sets for detection, segmentation and depth: a box of one class on a ground of another."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from metanet.bench.mini.pictures import Painter, Pixels

SCENES = {"train": 6, "test": 4}
VOC_CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow")
SIDES = (64, 96)  # height, width
Box = tuple[int, int, int, int]


def voc_det(root: Path, painter: Painter) -> tuple[int, int]:
    """Annotations in XML, lists of 2007 and 2012; every other object is difficult."""
    for year, part, n in (("2007", "trainval", 3), ("2007", "test", SCENES["test"]), ("2012", "trainval", 3)):
        folder = root / "VOCdevkit" / f"VOC{year}"
        names = [f"{year}_{part}_{i:06d}" for i in range(n)]
        for i, name in enumerate(names):
            pixels, (x0, y0, x1, y1), label = _scene(painter)
            _save(folder / "JPEGImages" / f"{name}.jpg", pixels)
            corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            thing = f"<name>{VOC_CLASSES[label]}</name><difficult>{i % 2}</difficult><bndbox>{corners}</bndbox>"
            _text(
                folder / "Annotations" / f"{name}.xml",
                f"<annotation><filename>{name}.jpg</filename><object>{thing}</object></annotation>",
            )
        _text(folder / "ImageSets" / "Main" / f"{part}.txt", *names)
    return SCENES["train"], SCENES["test"]


def wider_face(root: Path, painter: Painter) -> tuple[int, int]:
    """Boxes as text, and which of them are easy, medium and hard as MATLAB cells."""
    from scipy.io import savemat  # type: ignore[import-untyped]

    folder, event = root / "widerface", "0--Parade"
    for part, n in (("train", SCENES["train"]), ("val", SCENES["test"])):
        lines = []
        for i in range(n):
            pixels, (x0, y0, x1, y1), _ = _scene(painter)
            name = f"{event}/0_Parade_{part}_{i}.jpg"
            _save(folder / f"WIDER_{part}" / "images" / name, pixels)
            lines += [name, "1", f"{x0} {y0} {x1 - x0} {y1 - y0} 0 0 0 0 0 0"]
        _text(folder / "wider_face_split" / f"wider_face_{part}_bbx_gt.txt", *lines)
    for level in ("easy", "medium", "hard"):
        inner = np.empty((SCENES["test"], 1), dtype=object)
        for i in range(len(inner)):
            inner[i, 0] = np.array([[1]] if level == "hard" or i % 2 else np.zeros((0, 1)))
        cells = np.empty((1, 1), dtype=object)
        cells[0, 0] = inner
        savemat(folder / "wider_face_split" / f"wider_{level}_val.mat", {"gt_list": cells})
    return SCENES["train"], SCENES["test"]


def citypersons(root: Path, painter: Painter) -> tuple[int, int]:
    """JSON in the form of COCO with height and visible share."""
    folder = root / "cityscapes"
    for part, file, n in (("train", "train.json", SCENES["train"]), ("val", "val_gt.json", SCENES["test"])):
        images: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        for i in range(1, n + 1):
            pixels, (x0, y0, x1, y1), _ = _scene(painter)
            name = f"town/town_{i:06d}_000019_leftImg8bit.png"
            _save(folder / "leftImg8bit" / part / name, pixels)
            images.append({"id": i, "file_name": name, "height": SIDES[0], "width": SIDES[1]})
            about = {"bbox": [x0, y0, x1 - x0, y1 - y0], "height": y1 - y0, "vis_ratio": 1.0 / i, "ignore": 0}
            boxes.append({"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, **about})
        found = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "pedestrian"}]}
        _text(folder / "annotations" / file, json.dumps(found))
    return SCENES["train"], SCENES["test"]


def voc_seg(root: Path, painter: Painter) -> tuple[int, int]:
    """Masks as PNG with a border of 255; half of the training masks are among those that SBD adds."""
    folder = root / "VOCdevkit" / "VOC2012"
    half = SCENES["train"] // 2
    for part, where, n in (
        ("train", "SegmentationClass", half),
        ("aug", "SegmentationClassAug", SCENES["train"] - half),
        ("val", "SegmentationClass", SCENES["test"]),
    ):
        names = [f"2012_{part}_{i:06d}" for i in range(n)]
        for name in names:
            pixels, (x0, y0, x1, y1), label = _scene(painter)
            mask = np.zeros(SIDES, np.uint8)
            mask[y0:y1, x0:x1] = 255
            mask[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = label + 1
            _save(folder / "JPEGImages" / f"{name}.jpg", pixels)
            _save(folder / where / f"{name}.png", mask)
        _text(folder / "ImageSets" / "Segmentation" / f"{part}.txt", *names)
    return SCENES["train"], SCENES["test"]


def kitti(root: Path, painter: Painter) -> tuple[int, int]:
    """Depth in metres times 256 as 16-bit PNG; two frames of a drive, zeros where nothing was measured."""
    for part, n in SCENES.items():
        lines = []
        for i in range(n):
            drive = f"2011_09_26_drive_{i // 2:04d}_sync_{part}"
            image, depth = f"2011_09_26/{drive}/image_02/data/{i:010d}.png", f"{drive}/proj_depth/{i:010d}.png"
            _depth(root / "kitti" / "input" / image, root / "kitti" / "gt_depth" / depth, painter, 256)
            lines.append(f"{image} {depth} 721.5377")
        _text(root / "kitti" / f"kitti_eigen_{part}.txt", *lines)
    return SCENES["train"], SCENES["test"]


def nyuv2(root: Path, painter: Painter) -> tuple[int, int]:
    """Depth in metres times 1000 as 16-bit PNG; two frames of a scene."""
    for part, n in SCENES.items():
        lines = []
        for i in range(n):
            image, depth = (f"{part}/kitchen_{i // 2:04d}/{kind}_{i:05d}.{end}" for kind, end in _NYU)
            _depth(root / "nyu" / image, root / "nyu" / depth, painter, 1000)
            lines.append(f"{image} {depth} 518.8579")
        _text(root / "nyu" / f"nyu_{part}.txt", *lines)
    return SCENES["train"], SCENES["test"]


_NYU = (("rgb", "jpg"), ("sync_depth", "png"))


def _scene(painter: Painter) -> tuple[Pixels, Box, int]:
    """An image, the box in it as (left, top, right, bottom) in pixels, and the class of what the box holds."""
    label = int(painter.rng.integers(min(painter.classes, len(VOC_CLASSES))))
    pixels = painter.picture((label + 1) % painter.classes, *SIDES)
    height, width = painter.rng.integers(16, 40, 2).tolist()
    top, left = int(painter.rng.integers(SIDES[0] - height)), int(painter.rng.integers(SIDES[1] - width))
    pixels[top : top + height, left : left + width] = painter.picture(label, height, width)
    return pixels, (left, top, left + width, top + height), label


def _depth(image: Path, depth: Path, painter: Painter, scale: int) -> None:
    pixels, (x0, y0, x1, y1), _ = _scene(painter)
    metres = np.linspace(9.0, 2.0, SIDES[0])[:, None].repeat(SIDES[1], axis=1)
    metres[y0:y1, x0:x1] = 1.5
    metres[::7] = 0
    _save(image, pixels)
    _save(depth, (metres * scale).astype(np.uint16))


def _save(path: Path, pixels: Any) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
