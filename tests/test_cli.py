"""The command line: help with examples, results, JSON, and one sentence with exit code 2 for every mistake."""

import json
import subprocess
import sys

import pytest

import metanet
from metanet.cli import COMMANDS, main


def said(argv, capsys):
    """Exit code, stdout and stderr of a command."""
    code = main(argv)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_shows_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0 and f"metanet {command}" in text and "example:" in text
    import shlex

    from metanet.cli import parser

    assert parser().parse_args(shlex.split(COMMANDS[command].EXAMPLE)[1:]).command == command


def test_list_show_and_cost(capsys, tmp_path):
    code, out, _ = said(["list", "MN-*", "--json"], capsys)
    assert code == 0 and {row["name"]: row["params"] for row in json.loads(out)} == {
        "MN-B4": 30_424_992,
        "MN-B15": 1_002_425_020,
    }
    code, out, _ = said(["cost", "MN-B15", "--resolution", "224", "--json"], capsys)
    assert code == 0 and json.loads(out)["macs"] == 137_722_145_792
    code, out, _ = said(["show", "MN-B4", "--json"], capsys)
    assert metanet.ArchSpec.from_json(out) == metanet.create("MN-B4", device="meta").spec
    code, out, _ = said(["show", "MN-B4", "--png", str(tmp_path / "net.png")], capsys)
    assert code == 0 and "3,166,411,520 MACs" in out.replace("\n", " ")
    assert (tmp_path / "net.png").read_bytes()[:4] == b"\x89PNG"


def test_space_shows_its_size_and_draws(capsys):
    code, out, _ = said(["space", "metanet-tiny"], capsys)
    assert code == 0 and "10,012,113,120 distinct architectures" in out
    code, out, _ = said(["space", "metanet-tiny", "--sample", "3", "--where", "macs <= 2M", "--json"], capsys)
    specs = [metanet.ArchSpec.from_dict(values) for values in json.loads(out)]
    assert len(specs) == 3 and all(metanet.cost(spec).macs <= 2_000_000 for spec in specs)


MISTAKES = {
    "unknown model": (["show", "MN-B99"], "unknown model 'MN-B99': did you mean 'MN-B"),
    "nonsense": (["cost", "nonsense"], "unknown model 'nonsense'"),
    "unknown space": (["search", "--space", "no-such-space"], "unknown space 'no-such-space'"),
    "near space": (["space", "metanet-tin"], "did you mean 'metanet-tiny'"),
    "unknown sampler": (["search", "--sampler", "evolutoin"], "unknown sampler 'evolutoin': did you mean 'evolution'"),
    "unknown data": (["search", "--data", "mnist-5000"], "unknown data set 'mnist-5000': did you mean 'mnist-5k'"),
    "unsatisfiable": (["search", "--constraints", "macs <= 1k"], "the nearest attainable value is"),
    "malformed constraint": (["search", "--constraints", "macs < "], "cannot read the constraint at character 1"),
    "impossible resolution": (["search", "--resolution", "29"], "resolution=29 is outside space metanet-tiny"),
    "one seed": (["search", "--retrain-seeds", "1"], "`retrain_seeds` must be at least 2, got 1"),
    "unknown timm model": (["bench", "timm:resnet1888"], "unknown timm model 'resnet1888'"),
    "no study": (["report", "nowhere.journal"], "there is no study 'nowhere.journal'"),
    "no file": (["show", "nowhere.json"], "cannot read the architecture 'nowhere.json'"),
    "no picture": (["show", "MN-B4", "--png", "no/such/folder.png"], "no/such/folder.png"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence_and_exit_code_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv, sentence = MISTAKES[case]
    code, out, err = said(argv, capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and err.count("\n") == 1 and out == ""
    assert list(tmp_path.iterdir()) == []  # nothing is made before the input is right


def test_output_folders_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, _, err = said(["search", "--out", str(tmp_path / "file")], capsys)
    assert code == 2 and "cannot write in the run folder" in err and (tmp_path / "file").read_text() == "mine"
    code, _, err = said(["search", "--out", "/proc/metanet"], capsys)
    assert code == 2 and "cannot write in the run folder '/proc/metanet'" in err


def test_damaged_and_foreign_files_of_a_run_are_left_alone(capsys, tmp_path):
    for name, content in (("study.journal", b"not a study\n"), ("other.journal", b'{"op_code": 0}\n')):
        (tmp_path / name).write_bytes(content)
        code, _, err = said(["report", str(tmp_path / name)], capsys)
        assert code == 2 and "damaged" in err and (tmp_path / name).read_bytes() == content
    (tmp_path / "spec.json").write_text('{"stem_width": 16, "stages": [{"op": "mbconv", "depth": 0}]}')
    code, _, err = said(["cost", str(tmp_path / "spec.json")], capsys)
    assert code == 2 and "spec.json': stage 0 lacks the fields expansion, width" in err
    (tmp_path / "bad.safetensors").write_bytes(b"12345678 no tensors")
    code, _, err = said(["show", str(tmp_path / "bad.safetensors")], capsys)
    assert code == 2 and "cannot read weights from" in err


def test_python_minus_m_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "metanet", "show", "MN-B5"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "unknown model 'MN-B5'" in done.stderr
    done = subprocess.run([sys.executable, "-m", "metanet", "list", "--json"], capture_output=True, text=True)
    assert done.returncode == 0 and len(json.loads(done.stdout)) == len(metanet.list_models())


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(COMMANDS["list"], "run", lambda args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def stopped(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS["list"], "run", stopped)
    code, _, err = said(["list"], capsys)
    assert code == 130 and "the same command goes on where it was" in err
