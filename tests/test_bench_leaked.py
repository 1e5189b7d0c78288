"""Doubles among the test images: counted, written, and scores without them; `metanet bench leaks`."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score

from metanet.bench import Task, compared, leaks, prints, read_known, suites, write_prints
from metanet.bench.cells import (
    Cell,
    CellFolder,
    Doubles,
    doubles_of,
    doubles_table,
    load_results,
    points_of,
    read_leaks,
    tables_of,
    without_table,
    write_leaks,
    write_report,
)
from metanet.bench.cells.folder import row_of
from metanet.bench.task import Answers
from metanet.cli import main
from metanet.data import ArrayImages
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
PIXELS = RNG.integers(0, 150, (60, 16, 16, 3), np.uint8)
PIXELS[np.arange(60), LABELS] += 100
PIXELS[50] = PIXELS[2]  # a test image that is a training image of its class
PIXELS[41] = PIXELS[50]  # and another
PIXELS[33] = np.minimum(PIXELS[0].astype(int) + 1, 255)  # one that is almost a training image
IMAGES = ArrayImages("bars", PIXELS, LABELS, ("a", "b", "c"))
TASK = Task("bars", "classification", "accuracy", IMAGES, np.arange(30), np.arange(30, 60), 16, fixed=True)
SPEC = {
    "stem_width": 8,
    "head_width": 16,
    "resolution": 8,
    "stages": [{"op": "mbconv", "depth": 1, "width": 8, "expansion": 2}],
}
RUN = "bench run net.json --suite packaged --alone --percents 100 50 --seeds 2 --quiet"
TRUTH = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a small network and a suite whose only task has planted doubles."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(SPEC))
    monkeypatch.setitem(suites.SUITES, "packaged", lambda: (TASK,))
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def said(line, capsys):
    """Exit code, stdout with single blanks, and stderr of a command."""
    code = main(line.split())
    out = capsys.readouterr()
    return code, " ".join(out.out.split()), out.err


def answered(*predicted, metric="accuracy", images="i", test="t"):
    """A point of as many draws."""
    cells = []
    for seed, one in enumerate(predicted):
        about = {"weights": "w", "images": images, "test": test, "probe": "linear", "percent": 10}
        found = Answers(np.array(one), TRUTH, {"lambda": 0.5}, {"lambda": [0.5], "accuracy": [0.6]})
        about |= {"seed": seed, "train": f"draw {seed}"}
        record = {"test images opened": "2026-01-01T00:00:00.000+00:00"}
        cells.append(
            Cell("net", "x", "linear", 10.0, seed, metric, f"{images} {test}", about, ("a", "b", "c"), 5, found, record)
        )
    return cells


def stored(folder, cells):
    place = CellFolder(folder)
    place.plan([row_of(cell, baseline=False) for cell in cells])
    for cell in cells:
        place.write(cell)
    return load_results(folder)


def test_scores_without_doubles_are_those_of_the_other_images(tmp_path):
    # Right for 8 and 6 of 10; without the images 0 and 9, for 6 and 5 of 8: by hand.
    first, second = [0, 0, 0, 1, 1, 1, 0, 0, 2, 2], [0, 0, 1, 1, 1, 0, 2, 0, 2, 0]
    points = points_of(stored(tmp_path, answered(first, second)))
    found = [Doubles("x", "i", "t", 10, "train", "pixels", (0, 9)), Doubles("x", "i", "t", 10, "web", "dhash", ())]
    (row,) = without_table(points, found).to_dict("records")
    assert (row["with"], row["without"]) == pytest.approx((0.7, (6 / 8 + 5 / 8) / 2))
    assert (row["of"], row["by"], row["left_out"], row["n_test"]) == ("train", "pixels", 2, 10)
    assert row["with_low"] < row["with"] < row["with_high"]
    # The interval: images 1 to 8, each with its answers of both draws, resampled by brute force.
    hits = np.mean([np.array(one)[1:9] == TRUTH[1:9] for one in (first, second)], axis=0)
    drawn = hits[np.random.default_rng(1).integers(8, size=(20_000, 8))].mean(axis=1)
    assert (row["without_low"], row["without_high"]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)


def test_a_mean_per_class_is_over_the_classes_that_are_left(tmp_path):
    predicted = [0, 0, 1, 1, 1, 0, 2, 0, 2, 2]
    points = points_of(stored(tmp_path, answered(predicted, metric="mean_per_class")))
    (row,) = without_table(points, [Doubles("x", "i", "t", 10, "train", "pixels", (0, 1, 2))]).to_dict("records")
    assert row["with"] == pytest.approx(recall_score(TRUTH, predicted, average="macro"))
    assert row["without"] == pytest.approx((2 / 3 + 3 / 4) / 2)


def test_where_no_image_is_left_there_is_no_score_and_other_test_images_have_no_row(tmp_path):
    points = points_of(stored(tmp_path, answered(TRUTH)))
    (row,) = without_table(points, [Doubles("x", "i", "t", 10, "train", "dhash", tuple(range(10)))]).to_dict("records")
    assert row["with"] == 1 and np.isnan([row["without"], row["without_low"], row["without_high"]]).all()
    assert without_table(points, [Doubles("x", "i", "other", 10, "train", "dhash", (1,))]).empty
    assert without_table(points, [Doubles("x", "other", "t", 10, "train", "dhash", (1,))]).empty


def test_doubles_are_counted_image_by_image_whatever_the_order_of_the_test():
    task = replace(TASK, test=TASK.test[::-1].copy())
    known = prints(ArrayImages("web", PIXELS[[50, 50, 7]], np.arange(3), ("a", "b", "c")))
    looked = compared([known], features=False)
    assert looked == [("train", "pixels"), ("train", "dhash"), ("web", "pixels"), ("web", "dhash")]
    found = doubles_of(task, leaks(task, against=[known], near=0), looked)
    # images 50 and 41 stand at the places 59 - 50 and 59 - 41 of the reversed test
    assert {(one.of, one.by): one.positions for one in found if one.by == "pixels"} == {
        ("train", "pixels"): (9, 18),
        ("web", "pixels"): (9, 18),
    }
    rows = doubles_table(found).set_index(["of", "by"])
    assert rows.loc[("train", "pixels"), "doubles"] == 2 and set(rows["n_test"]) == {30}


def test_features_are_compared_where_a_source_is_at_hand():
    web = ArrayImages("web", PIXELS[:3], np.arange(3), ("a", "b", "c"))
    every = [("train", "pixels"), ("train", "dhash"), ("train", "features"), ("web", "pixels"), ("web", "dhash")]
    assert compared([prints(web, np.arange(2))], features=True) == every
    assert compared([prints(web)], features=True) == compared([web], features=True) == [*every, ("web", "features")]


def test_lists_of_one_name_are_refused():
    for name, others in (("web", 2), ("train", 1)):
        known = [replace(prints(IMAGES, np.arange(2)), name=name)] * others
        with pytest.raises(MetanetError, match=f"different names, and none 'train', got '{name}' twice: rename one"):
            leaks(TASK, against=known)


def test_what_is_written_comes_back_and_damage_is_told(tmp_path):
    found = [Doubles("x", "i", "t", 10, "train", "pixels", (0, 9))]
    assert read_leaks(tmp_path) == []
    path = write_leaks(tmp_path, pd.DataFrame({"test": [3]}), found)
    assert path.read_text() == "test\n3\n" and read_leaks(tmp_path) == found
    for text in ("{", '{"format": 1, "doubles": []}', '{"format": 2, "doubles": [{"task": 1}]}'):
        (tmp_path / "leaks.json").write_text(text)
        with pytest.warns(UserWarning, match=r"leaks.json' is damaged and left aside: run `metanet bench leaks` again"):
            assert read_leaks(tmp_path) == []


def test_a_second_look_adds_to_the_first_and_replaces_what_it_asked_again(tmp_path):
    def pairs(*rows):
        return pd.DataFrame(rows, columns=["task", "test", "of", "by"])

    train = Doubles("x", "i", "t", 10, "train", "dhash", (0,), {"near": 2})
    web = Doubles("x", "i", "t", 10, "web", "pixels", (3,))
    write_leaks(tmp_path, pairs(("x", 0, "train", "dhash"), ("x", 3, "web", "pixels")), [train, web])
    again = replace(train, positions=(0, 4), limits={"near": 4})
    path = write_leaks(tmp_path, pairs(("x", 0, "train", "dhash"), ("x", 4, "train", "dhash")), [again])
    assert read_leaks(tmp_path) == [web, again]
    assert pd.read_csv(path).values.tolist() == [
        ["x", 3, "web", "pixels"],
        ["x", 0, "train", "dhash"],
        ["x", 4, "train", "dhash"],
    ]


def test_a_pretraining_is_a_folder_a_list_or_fingerprints(tmp_path):
    (tmp_path / "web" / "deep").mkdir(parents=True)
    for name, i in (("web/a b.png", 50), ("web/deep/c.png", 7)):
        Image.fromarray(PIXELS[i]).save(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"web/a b.png 3\n\n{tmp_path}/web/deep/c.png\n")
    write_prints(tmp_path / "prints.csv", prints(IMAGES, np.array([50, 7])))
    expected = prints(IMAGES, np.array([50, 7])).pixels.tolist()
    for name, path in (("web", "web"), ("list", "list.txt"), ("prints", "prints.csv")):
        found = read_known(tmp_path / path)
        assert found.name == name and found.pixels.tolist() == expected
        assert (found.images is None) == (name == "prints")


def test_a_pretraining_that_is_not_there_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n")
    (tmp_path / "list.txt").write_text("gone.png\n")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\xff")
    for path, sentence in (
        ("gone", "there is no '.*gone': name a file of fingerprints, a folder of images, or a list of their paths"),
        ("empty", "'empty' must name at least one image to be compared with, it names none"),
        ("blank.txt", "'blank' must name at least one image"),
        ("list.txt", "an image of 'list' cannot be read, '.*gone.png' .it is missing."),
        ("photo.png", "photo.png' must be text, one fingerprint or path of an image a line: it is not"),
    ):
        with pytest.raises(MetanetError, match=sentence):
            read_known(tmp_path / path)


def test_the_command_counts_planted_doubles_and_scores_without_them(here, capsys):
    assert said(RUN, capsys)[0] == 0
    write_prints(here / "web.csv", prints(IMAGES, np.array([55])))
    line = "bench leaks --suite packaged --against web.csv --near 0 --in runs/bench"
    code, out, err = said(line, capsys)
    assert code == 0 and err == ""
    assert "bars train 30 2 3 –" in out and "bars web 30 1 1 –" in out
    assert "test scores with 100 % of the training images (%), with and without doubles" in out
    assert out.endswith("wrote runs/bench/leaks.csv, then type: metanet bench report runs/bench")
    pairs = pd.read_csv(here / "runs" / "bench" / "leaks.csv")
    exact = pairs[pairs["by"] == "pixels"]
    assert sorted(zip(exact["test"], exact["of"], exact["id"], strict=True)) == [
        (41, "train", 2),
        (50, "train", 2),
        (55, "web", 0),
    ]
    code, out, _ = said(f"{line} --json", capsys)
    found = json.loads(out)
    assert {row["task"] for row in found["doubles"]} == {"bars"} and len(found["doubles"]) == 4
    cells = {(cell.backbone, cell.percent): cell for cell in load_results("runs/bench").cells if cell.seed == 0}
    kept = np.setdiff1d(np.arange(30), [11, 20])
    for row in found["scores"]:
        if (row["of"], row["by"], row["percent"]) == ("train", "pixels", 100):
            own = cells[row["backbone"], 100].answers
            assert row["without"] == pytest.approx(accuracy_score(own.truth[kept], own.predicted[kept]))
            assert row["with"] == pytest.approx(accuracy_score(own.truth, own.predicted))
    assert len(found["scores"]) == 3 * 2 * 4  # networks, percentages, kinds of doubles
    # the report tells it, too, and forgets it with the file
    assert said("bench report", capsys)[0] == 0
    page = (here / "runs" / "bench" / "report.html").read_text()
    assert "Doubles among the test images" in page and "web, pixels" in page
    assert len(pd.read_csv(here / "runs" / "bench" / "without-doubles.csv")) == len(found["scores"])
    (here / "runs" / "bench" / "leaks.json").unlink()
    said("bench report", capsys)
    assert "Doubles among" not in (here / "runs" / "bench" / "report.html").read_text()


def test_features_of_a_network_without_a_folder_of_cells(here, capsys):
    line = "bench leaks --suite packaged --model net.json --cosine 1 --json"
    code, out, _ = said(line, capsys)
    counts = {row["by"]: row["doubles"] for row in json.loads(out)["doubles"]}
    assert code == 0 and counts["pixels"] == 2 and set(counts) == {"pixels", "dhash", "features"}
    found = json.loads((here / "runs" / "leaks" / "leaks.json").read_text())["doubles"]
    assert {row["by"]: row["limits"] for row in found} == {
        "pixels": {},
        "dhash": {"near": 2},
        "features": {"cosine": 1.0, "network": "net.json"},
    }
    # the cache is that of `run`, which has the two baselines left to run
    assert "120 forward passes of an image" in said(RUN, capsys)[1]


def test_a_report_says_that_nothing_was_found(tmp_path):
    results = stored(tmp_path, answered(TRUTH))
    write_leaks(tmp_path, pd.DataFrame(), [Doubles("x", "i", "t", 10, "train", "pixels", ())])
    page = write_report(tables_of(results)).read_text()
    assert "No test image has a double, so there is no score without them." in page
    assert not (tmp_path / "without-doubles.csv").exists()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--suite packagd", "unknown suite 'packagd': did you mean 'packaged'?"),
        ("--suite packaged --tasks bar", "unknown task of the suite 'packaged' 'bar': did you mean 'bars'?"),
        ("--suite packaged --against gone", "there is no 'gone': name a file of fingerprints"),
        ("--suite packaged --near 65", "hashes differ by 0 to 64 bits and cosines are -1 to 1, got near=65"),
        (
            "--suite packaged --cosine 0.9",
            "--cosine is a limit of features, which are those of a network: give --model",
        ),
        ("--suite packaged --in gone", "'gone' holds no finished cell: name a folder that"),
        ("--suite packaged --in other", "no cell in 'other' was tested on the test images of bars: give the --suite"),
        ("--suite packaged --against web.csv --against sub/web.csv", "got 'web' twice: rename one"),
    ],
)
def test_mistakes_get_one_sentence_and_write_nothing(here, line, sentence, capsys):
    stored(here / "other", answered(TRUTH))
    (here / "sub").mkdir()
    for folder in (here, here / "sub"):
        write_prints(folder / "web.csv", prints(IMAGES, np.array([55])))
    code, out, err = said(f"bench leaks {line}", capsys)
    assert code == 2 and out == "" and re.match(r"metanet: .*\n$", err) and sentence in err
    assert not (here / "runs").exists() and not (here / "other" / "leaks.json").exists()


def test_a_task_without_cells_is_told(here, capsys, monkeypatch):
    said(RUN, capsys)
    other = replace(TASK, name="stripes", test=np.arange(30, 50))
    monkeypatch.setitem(suites.SUITES, "packaged", lambda: (TASK, other))
    code, out, err = said("bench leaks --suite packaged --in runs/bench", capsys)
    assert code == 0 and "stripes train 20" in out
    assert err == "metanet: no cell in 'runs/bench' was tested on the test images of stripes\n"
