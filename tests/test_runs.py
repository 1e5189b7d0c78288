"""Run folders, atomic files, plain values, the manifest and the progress bar."""

import dataclasses
import io
import json
import math
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanet import runs
from metanet.errors import MetanetError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_open_run_makes_the_folder_and_leaves_what_is_in_it(tmp_path):
    folder = runs.open_run(tmp_path / "a" / "b")
    (folder / "kept").write_text("old")
    assert runs.open_run(str(folder)) == folder
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_open_run_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("precious")
    message = r"^cannot write in the run folder '.*file' \(it is a file\): choose one where you may create files$"
    with pytest.raises(MetanetError, match=message):
        runs.open_run(tmp_path / "file")
    with pytest.raises(MetanetError, match=r"below' \(Not a directory\)"):
        runs.open_run(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system in which nobody may create files")
@pytest.mark.parametrize("path", ["/proc/self", "/proc/new"])
def test_open_run_refuses_a_folder_in_which_even_root_cannot_write(path):
    with pytest.raises(MetanetError, match=re.escape(f"cannot write in the run folder '{path}' (")):
        runs.open_run(path)


def test_open_run_refuses_a_read_only_file_system(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(MetanetError, match=r"\(Read-only file system\): choose one"):
        runs.open_run(tmp_path)


@given(st.binary() | st.text())
def test_atomic_write_writes_what_it_is_given(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_text("old")
        runs.atomic_write(path, data)
        assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
        assert os.listdir(folder) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MetanetError, match=r"file' \(No space left on device\): make room .* unchanged$"):
        runs.atomic_write(tmp_path / "file", "new")
    with pytest.raises(ZeroDivisionError), runs.replacing(tmp_path / "file") as file:
        file.write(b"half")
        _ = 1 / 0
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(MetanetError, match=r"cannot write '.*' \(No such file or directory\)"):
        runs.write_json(tmp_path / "absent" / "file.json", {})


@dataclasses.dataclass
class Point:
    x: float
    path: Path


def test_plain_values_and_their_json(tmp_path):
    value = {"point": Point(math.nan, Path("a")), 3: (np.float32(0.5), np.arange(2), [np.inf, None, True])}
    runs.write_json(tmp_path / "file.json", value)
    expected = {"point": {"x": None, "path": "a"}, "3": [0.5, [0, 1], [None, None, True]]}
    assert json.loads((tmp_path / "file.json").read_text()) == expected


def test_fingerprints_name_values_not_their_order():
    assert runs.fingerprint({"a": 1, "b": (2, 3)}) == runs.fingerprint({"b": [2, 3], "a": 1})
    assert runs.fingerprint({"a": 1}) != runs.fingerprint({"a": 2})
    # printf '{"a":1}' | sha256sum
    assert runs.fingerprint({"a": 1}) == "015abd7f5cc57a2d"


def test_the_manifest_says_what_a_run_came_from():
    found = runs.manifest({"trials": 3}, seeds=[0, 1], splits={"test": np.arange(2)})
    assert found["options"] == {"trials": 3}
    assert found["seeds"] == [0, 1] and found["splits"] == {"test": [0, 1]}
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert found["machine"]["threads"] == torch.get_num_threads()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["created"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("quiet", [True, False, None])
def test_short_work_prints_nothing(quiet, capsys):
    assert list(runs.track(3, "counting", quiet=quiet)) == [0, 1, 2]
    assert list(runs.track(iter("ab"), "spelling", total=2, quiet=quiet)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_long_work_ends_with_one_line_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(runs, "PATIENCE", -1.0)
    assert list(runs.track(["a", "b"], "spelling")) == ["a", "b"]
    with pytest.raises(ZeroDivisionError):
        for item in runs.track(3, "dividing"):
            _ = 1 / (1 - item)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "spelling: 2 in 0 s"


def test_a_bar_shows_on_a_terminal(monkeypatch):
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    shown = runs.track(range(4), "[b]baking")
    next(shown)
    while "baking" not in sys.stderr.getvalue():
        next(shown, None)
    shown.close()
    assert "[b]baking" in sys.stderr.getvalue() and "/4" in sys.stderr.getvalue()
