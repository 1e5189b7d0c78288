"""Mini copies of the sets that are arrays."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from metanet.bench.mini.pictures import TEST, TRAIN, Painter, Pixels


def cifar10(root: Path, painter: Painter) -> tuple[int, int]:
    """Five training batches, a test batch and the names."""
    folder = root / "cifar-10-batches-py"
    train, test = painter.labels(TRAIN), painter.labels(TEST)
    for number in range(5):
        _batch(folder / f"data_batch_{number + 1}", train[number::5], painter, "labels")
    _batch(folder / "test_batch", test, painter, "labels")
    _pickle(folder / "batches.meta", {"label_names": [f"thing {i}" for i in range(painter.classes)]})
    return len(train), len(test)


def cifar100(root: Path, painter: Painter) -> tuple[int, int]:
    """One file each of training images, test images and names, with fine and coarse labels."""
    folder = root / "cifar-100-python"
    train, test = painter.labels(TRAIN), painter.labels(TEST)
    _batch(folder / "train", train, painter, "fine_labels")
    _batch(folder / "test", test, painter, "fine_labels")
    names = {"fine_label_names": [f"thing {i}" for i in range(painter.classes)], "coarse_label_names": ["all"]}
    _pickle(folder / "meta", names)
    return len(train), len(test)


def svhn(root: Path, painter: Painter) -> tuple[int, int]:
    """MATLAB files of 32 x 32 images with the image as the last axis; the digit 0 has the label 10."""
    from scipy.io import savemat  # type: ignore[import-untyped]

    (root / "svhn").mkdir()
    train, test = painter.labels(TRAIN), painter.labels(TEST)
    for part, labels in (("train", train), ("test", test)):
        pixels = np.stack([painter.picture(label, 32, 32) for label in labels])
        digits = np.array([[label or 10] for label in labels], dtype=np.uint8)
        savemat(root / "svhn" / f"{part}_32x32.mat", {"X": pixels.transpose(1, 2, 3, 0), "y": digits})
    extra = {"X": np.zeros((32, 32, 3, 5), np.uint8), "y": np.ones((5, 1), np.uint8)}
    savemat(root / "svhn" / "extra_32x32.mat", extra)
    return len(train), len(test)


def fer2013(root: Path, painter: Painter) -> tuple[int, int]:
    """One CSV file of grey 48 x 48 images as numbers; those of PublicTest, which are unused, are black."""
    train, test = painter.labels(TRAIN), painter.labels(TEST)
    uses = [(label, "Training") for label in train] + [(label, "PrivateTest") for label in test]
    rows = [(label, painter.grey(label, 48), use) for label, use in uses]
    rows[len(train) : len(train)] = [(0, np.zeros((48, 48), np.uint8), "PublicTest") for _ in range(5)]
    lines = [f"{label},{' '.join(map(str, pixels.ravel()))},{use}" for label, pixels, use in rows]
    (root / "fer2013").mkdir()
    (root / "fer2013" / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines, ""]))
    return len(train), len(test)


def pcam(root: Path, painter: Painter) -> tuple[int, int]:
    """HDF5 files of 96 x 96 patches and of their labels; those of validation, which are unused, are black."""
    import h5py  # type: ignore[import-untyped]

    (root / "pcam").mkdir()
    train, test = painter.labels(2 * TRAIN), painter.labels(2 * TEST)
    for part, labels in (("train", train), ("valid", [0, 1]), ("test", test)):
        pixels = np.stack([painter.picture(label, 96, 96) for label in labels]) * (part != "valid")
        columns = {"x": pixels.astype(np.uint8), "y": np.array(labels, np.uint8).reshape(-1, 1, 1, 1)}
        for key, values in columns.items():
            with h5py.File(root / "pcam" / f"camelyonpatch_level_2_split_{part}_{key}.h5", "w") as file:
                file[key] = values
    return len(train), len(test)


def _batch(path: Path, labels: list[int], painter: Painter, key: str) -> None:
    rows: list[Pixels] = [painter.picture(label, 32, 32).transpose(2, 0, 1).ravel() for label in labels]
    names = [f"{path.name}_{i}.png" for i in range(len(labels))]
    extra = {"coarse_labels": [0] * len(labels)} if key == "fine_labels" else {}
    _pickle(path, {"batch_label": path.name, key: labels, "data": np.stack(rows), "filenames": names, **extra})


def _pickle(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))
