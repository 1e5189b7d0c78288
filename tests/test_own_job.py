"""The main job on a folder of one's own images, from the command line."""

import html
import json
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import metanet
from metanet import weights
from metanet.cli import main, parser
from metanet.data import IMAGES, job_split

DIGITS = load_digits()
CLASSES = ("four", "one", "zero")
QUICK = ["--supernet-steps", "3", "--trials", "2", "--epochs", "1", "--retrain-seeds", "2"]
SMALL = [*QUICK, "--percents", "100", "--constraints", "macs <= 1M, params <= 80k"]
FAMILY = ["--to", "params = 120k", "--rungs", "2", "--coefficients", "1.2,1.1", "--within", "0.3", "--tolerance", "0.2"]


def drawn(root, count=40):
    """`count` of scikit-learn's digits of each class as files of several sizes and modes, and one copy."""
    for name, digit in zip(CLASSES, (4, 1, 0), strict=True):
        (root / name).mkdir(parents=True)
        for k, i in enumerate(np.flatnonzero(DIGITS.target == digit)[:count]):
            image = Image.fromarray((DIGITS.images[i] * 15.9).astype(np.uint8)).resize(
                (28 + k, 40), Image.Resampling.BICUBIC
            )
            image.convert(("L", "RGB", "RGBA", "P")[k % 4]).save(root / name / f"{k:02d}.png")
    shutil.copy(root / "one/00.png", root / "one/copy.png")
    (root / "one/readme.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with the images in "my digits", a finished run in "run", and what was printed in out and err."""
    place = tmp_path_factory.mktemp("own")
    drawn(place / "my digits")
    with pytest.MonkeyPatch.context() as patch, (place / "out").open("w") as out, (place / "err").open("w") as err:
        patch.chdir(place)
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        assert main(["search", "--data", "folder:my digits", *SMALL, "--out", "run"]) == 0
    return place


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def text_of(path):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", path.read_text())))


def test_the_manifest_names_all_three_parts(place):
    about = json.loads((place / "run/manifest.json").read_text())
    assert {n: p["images"] for n, p in about["splits"].items()} == {"weights": 60, "selection": 24, "test": 36}
    assert len({p["sha256"] for p in about["splits"].values()}) == 3
    assert about["data"]["name"] == "my digits" and about["options"]["data"] == "folder:my digits"
    assert json.loads((place / "run/images.json").read_text()) == {**about["data"], "images": 120}
    facts = weights.provenance(place / "run/winner.safetensors")
    assert facts["images"] == about["data"]["sha256"] and facts["ids"] == about["splits"]["weights"]["sha256"]


def test_the_report_names_folder_and_classes(place):
    text = text_of(place / "run/report.html")
    for words in ("metanet-tiny on my digits", "on the 36 test images of my digits", "120 images of 3 classes"):
        assert words in text
    for name in CLASSES:
        assert f"{name} 20 8 12 40" in text
    assert "all 60 24 36 120" in text and "1 of the 121 image files of 'my digits' is left out" in text
    assert (place / "run/verdict.txt").read_text().strip() in text


def test_the_baselines_are_there(place):
    cells = pd.read_csv(place / "run/scores.csv")
    of = cells.groupby("backbone")["value"].mean()
    assert of["majority class"] == pytest.approx(1 / 3) and of["raw pixels"] > 0.7
    assert {"search, seed 0", "random initialisation of search, seed 0"} <= set(of.index)


def test_copies_are_told_and_what_to_type_next_can_be_typed(here):
    copies = "metanet: 1 of the 121 image files of 'my digits' is left out for being equal to others"
    assert (here / "err").read_text().startswith(copies)
    hint = shlex.split((here / "out").read_text().strip().rpartition("then type: metanet ")[2])
    assert hint[-2:] == ["--data", "folder:my digits"]
    hint.remove("timm:convnext_atto")  # only to be fast
    quick = ["--percents", "100", "--seeds", "1", "--quiet", "--out", "bench", "--cache", "cache"]
    assert main([*hint, *quick]) == 0
    cells = pd.read_csv(here / "bench/cells.csv")
    assert set(cells["task"]) == {"my digits"}
    own = cells[cells["backbone"] == "run/winner.safetensors"]["value"].tolist()
    job = pd.read_csv(here / "run/scores.csv")
    assert own and set(own) == set(job[job["backbone"] == "search, seed 0"]["value"])  # every draw of 100 % is the same


def test_a_verdict_says_where_raw_pixels_are_better(place):
    cells = pd.read_csv(place / "run/scores.csv")
    all_of = cells[cells["percent"] == 100]
    winner = all_of[all_of["backbone"].str.startswith("search, ")]["value"].mean()
    pixels = all_of[all_of["backbone"] == "raw pixels"]["value"].mean()
    said = f"raw pixels reach {pixels:.1%}, so it needs longer training (--epochs) or more images."
    assert ((place / "run/verdict.txt").read_text().strip().endswith(said)) == (pixels > winner)
    assert pixels > winner  # after three steps and an epoch


def test_a_folder_that_has_changed_is_refused_or_told(here, tmp_path, capsys):
    shutil.copytree(here / "my digits", tmp_path / "my digits")
    shutil.copytree(here / "run", tmp_path / "run")
    content = bytearray((tmp_path / "my digits/zero/07.png").read_bytes())
    content[-1] ^= 1  # neither size nor pixels
    (tmp_path / "my digits/zero/07.png").write_bytes(content)
    data, before = f"folder:{tmp_path / 'my digits'}", (tmp_path / "run/search.journal").read_bytes()
    assert main(["search", "--data", data, *SMALL, "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "was begun with other images (120 of 'my digits' then, 120 of 'my digits' now): put them back" in message
    assert (tmp_path / "run/search.journal").read_bytes() == before
    (tmp_path / "run/images.json").write_text("{")
    assert main(["search", "--data", data, *SMALL, "--out", str(tmp_path / "run")]) == 2
    assert "images.json' is damaged: delete it" in capsys.readouterr().err
    tail = [
        "--percents",
        "100",
        "--seeds",
        "1",
        "--out",
        str(tmp_path / "b"),
        "--cache",
        str(tmp_path / "c"),
    ]
    assert main(["bench", "run", "run/winner.safetensors", "--data", data, *tail]) == 0
    assert "learnt from my digits when its images were not those of today, and may be" in capsys.readouterr().err


def test_a_winner_is_not_tested_on_what_it_learnt_from(here, tmp_path, capsys):
    argv = [
        "bench",
        "run",
        "run/winner.safetensors",
        "--data",
        "folder:my digits",
        "--seed",
        "4",
        "--out",
        str(tmp_path),
    ]
    assert main(argv) == 2
    assert "score it with --data 'folder:my digits' --seed 0" in capsys.readouterr().err


def test_every_command_that_takes_data_takes_a_folder(here, tmp_path, capsys):
    data, spec = "folder:my digits", "run/winner.json"
    out = tmp_path / "shared/supernet"
    assert main(["supernet", "train", "--data", data, "--steps", "2", "--out", str(out), "--quiet"]) == 0
    hint = shlex.split(capsys.readouterr().out.partition("type: metanet ")[2])
    assert parser().parse_args(hint).data == data
    assert json.loads((out / "manifest.json").read_text())["options"]["batch_size"] == 60  # all there are, below 64
    few = ["--proxies", "naswot", "--repeats", "1", "--batch", "30"]
    assert main(["bench", "proxies", spec, "--data", data, *few]) == 0
    assert "30 images of my digits for each" in re.sub(r"\s+", " ", capsys.readouterr().out)
    assert main(["pretrain", spec, "--data", data, "--epochs", "1", "--out", str(tmp_path / "expert")]) == 0
    assert capsys.readouterr().out.endswith("weights.safetensors --data 'folder:my digits'\n")
    assert weights.provenance(tmp_path / "expert/weights.safetensors")["task"] == "my digits"
    assert (
        main(["family", "--anchor", spec, *FAMILY, *QUICK, "--evaluate", data, "--out", str(tmp_path / "family")]) == 0
    )
    page = text_of(tmp_path / "family/report.html")
    assert "on my digits" in page and "on the 36 test images of my digits" in page and "zero 20 8 12 40" in page


def test_the_help_names_all_data(capsys):
    for command in (
        ["search"],
        ["supernet", "train"],
        ["pretrain"],
        ["bench", "run"],
        ["bench", "leaks"],
        ["bench", "proxies"],
        ["family"],
    ):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        said = re.sub(r"\s+", " ", capsys.readouterr().out).replace("- ", "-")
        assert all(name in said for name in (*IMAGES, "folder:PATH", "PATH/CLASS/*.jpg"))


def test_leaks_looks_at_all_images_that_are_not_for_the_test(here, tmp_path, capsys):
    shutil.copytree(here / "my digits", tmp_path / "twice")
    labels = np.repeat([0, 1, 2], 40)
    parts = job_split(labels, seed=0)
    names = [f"{CLASSES[label]}/{k:02d}.png" for label in range(3) for k in range(40)]
    # The pixels of a test image in another file among the images that train weights: no copy to the byte.
    learnt, tested = names[parts["weights"][0]], names[parts["test"][0]]
    with Image.open(tmp_path / "twice" / tested) as image:
        image.convert("RGB").save(tmp_path / "twice" / learnt, compress_level=1)
    argv = ["bench", "leaks", "--data", f"folder:{tmp_path / 'twice'}", "--near", "0", "--out", str(tmp_path / "leaks")]
    assert main(argv) == 0
    found = pd.read_csv(tmp_path / "leaks/leaks.csv")
    pixels = found[found["by"] == "pixels"]
    assert pixels["test"].tolist() == [parts["test"][0]] and pixels["id"].tolist() == [parts["weights"][0]]


@pytest.mark.parametrize(
    ("name", "said"),
    [("folder:", "got no path"), ("folder:nowhere", "is not there"), ("my digits", "write 'folder:my digits'")],
)
@pytest.mark.parametrize(
    "command", ["search", "supernet train", "pretrain MN-B4", "bench run MN-B4", "bench leaks", "family"]
)
def test_mistakes_are_one_sentence_and_leave_nothing(here, tmp_path, capsys, command, name, said):
    flag = ["--evaluate"] if command == "family" else ["--data"]
    argv = [*command.split(), *flag, name, "--out", str(tmp_path / "x")]
    argv += ["--anchor", "run/winner.json", *FAMILY] if command == "family" else []
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "x").exists()


def test_after_a_broken_image_is_mended_the_same_command_goes_on(tmp_path, monkeypatch, capsys):
    drawn(tmp_path / "d", 10)
    content = (tmp_path / "d/zero/05.png").read_bytes()
    (tmp_path / "d/zero/05.png").write_bytes(content[:60])
    argv = ["search", "--data", f"folder:{tmp_path / 'd'}", *SMALL, "--out", str(tmp_path / "run")]
    assert main(argv) == 2
    assert re.search(
        r"an image of 'd' cannot be read, '.*zero/05.png' \(.*\): get the file again\n$", capsys.readouterr().err
    )
    (tmp_path / "d/zero/05.png").write_bytes(content)

    def enough(*args, **options):
        raise metanet.errors.MetanetError("far enough")

    monkeypatch.setattr("metanet.cli.job._searches", enough)
    assert main(argv) == 2 and "far enough" in capsys.readouterr().err
