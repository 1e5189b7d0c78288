"""A network is not tested on images that it learnt from: files of other splits are refused, or told of."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from metanet import weights
from metanet.bench import Task, suites
from metanet.cli import bench_run, main
from metanet.cli.bench_seen import check_unseen
from metanet.cli.job import JobOptions
from metanet.cli.setting import same_split, split
from metanet.data import ArrayImages, Labelled
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.pretrain import ExpertClassification, ExpertConfig
from metanet.spec import ArchSpec, StageSpec

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
IMAGES = ArrayImages("noise", PIXELS, np.arange(60) % 3, ("a", "b", "c"))
SPEC = ArchSpec((StageSpec("mbconv", 1, 8, 2),), stem_width=8, head_width=16, resolution=8)


def task(seed, images=IMAGES):
    parts = split(images, seed)
    return Task("noise", "classification", "accuracy", images, parts["selection"], parts["test"], 8)


def winner(path, **options):
    """A file as `metanet search` leaves it."""
    about = {"command": "metanet search", "options": str(asdict(JobOptions(**options))), "stage": "expert", "seed": "0"}
    return str(weights.save(MetaNet(SPEC, seed=0), path, about))


def test_a_winner_of_another_seed_is_refused(tmp_path, capsys):
    path = winner(tmp_path / "winner.safetensors", data="noise", seed=3)
    message = f"{path!r} learnt from noise as the seed 3 splits it, .* score it with --data noise --seed 3"
    with pytest.raises(MetanetError, match=message):
        check_unseen([path], [task(0)], 0)
    check_unseen([path], [task(3)], 3)
    check_unseen([path], [task(0, ArrayImages("other", PIXELS, IMAGES.labels, IMAGES.classes))], 0)
    check_unseen(["MN-B4", str(tmp_path / "gone.safetensors")], [task(0)], 0)
    assert capsys.readouterr().err == ""


def test_a_stage_on_other_images_is_told(tmp_path, capsys):
    ids = split(IMAGES, 0)["weights"]
    config = ExpertConfig(epochs=1, batch_size=16, seed=5)
    net = MetaNet(SPEC, seed=0)
    own = ExpertClassification().run(net, {"noise": Labelled(IMAGES, ids)}, config, tmp_path / "own")
    check_unseen([str(own.weights)], [task(0)], 0)
    assert capsys.readouterr().err == ""
    check_unseen([str(own.weights)], [task(1)], 1)
    assert "learnt from other images of noise than the seed 1 leaves for that, and may be" in capsys.readouterr().err


def test_files_of_other_origins_are_left_alone(tmp_path, capsys):
    for number, options in enumerate(["", "[1]", "what (", "{}"]):
        path = weights.save(MetaNet(SPEC, seed=0), tmp_path / f"{number}.safetensors", {"options": options})
        check_unseen([str(path)], [task(0)], 0)
    assert capsys.readouterr().err == ""


def test_the_command_refuses_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(suites.SUITES, "packaged", lambda: (task(0),))
    monkeypatch.setattr(bench_run, "_split_task", lambda name, seed, resolution: task(seed))
    winner(tmp_path / "w.safetensors", data="noise", seed=2)
    (tmp_path / "net.json").write_text(json.dumps(SPEC.to_dict()))
    for data in ("--suite packaged --alone", "--data noise"):
        assert main(["bench", "run", "net.json", "w.safetensors", *data.split()]) == 2
        assert "as the seed 2 splits it" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    line = "bench run w.safetensors --data noise --seed 2 --percents 100 --seeds 1 --quiet"
    assert main(line.split()) == 0


def test_what_is_typed_next_names_the_split():
    assert same_split("mnist-5k", 0) == ""
    assert same_split("digits", 0) == " --data digits" and same_split("mnist-5k", 4) == " --seed 4"
