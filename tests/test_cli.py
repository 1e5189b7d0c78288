"""The command line: help with examples, results, JSON, and one sentence with exit code 2 for every mistake."""

import json
import os
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


def test_list_fits_80_columns_and_gives_exact_numbers(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = said(["list"], capsys)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith((" MN-", " UniNet-"))}
    assert rows["MN-B4"][1:9] == ["224", "30.4", "M", "–", "3.17", "G", "4.18", "G"]
    assert rows["MN-B15"][2:4] == ["1.00", "G"] and rows["UniNet-B6"][1] == "448" and len(rows) == 19
    assert "UniNet-B0, UniNet-B1" in out and "released: Sense-X/UniNet" in out
    code, out, _ = said(["list", "UniNet-B1", "--json"], capsys)
    (row,) = json.loads(out)
    assert code == 0 and row["params_with_classifier"] == 11_450_864 and row["macs_224"] == row["macs"] == 1_093_359_808
    cost = metanet.cost("UniNet-B1")
    assert row["memory"] == 4 * (cost.params + cost.peak) and row["activations"] == cost.activations


def test_list_show_and_cost(capsys):
    code, out, _ = said(["list", "MN-*", "--json"], capsys)
    params = {row["name"]: row["params"] for row in json.loads(out)}
    assert code == 0 and (params["MN-B4"], params["MN-B15"]) == (30_424_992, 1_002_425_020) and len(params) == 12
    code, out, _ = said(["cost", "MN-B15", "--resolution", "224", "--json"], capsys)
    assert code == 0 and json.loads(out)["macs"] == 137_722_145_792
    assert json.loads(out)["memory"] == 4 * (1_002_425_020 + json.loads(out)["peak"])
    code, out, _ = said(["show", "MN-B4", "--json"], capsys)
    assert metanet.ArchSpec.from_json(out) == metanet.create("MN-B4", device="meta").spec


def test_show_fits_80_columns_and_says_every_stage(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = said(["show", "MN-B15"], capsys)
    lines = out.splitlines()
    assert code == 0 and lines[0] == "MN-B15" and max(map(len, lines)) <= 80
    assert lines[1].startswith("137,722,145,792 MACs, 1,002,425,020 parameters, ")
    (stage,) = [i for i, line in enumerate(lines) if line.startswith("stage 5")]
    assert lines[stage].split()[2:9] == ["channel", "attention", "x24", "1,536", "7x7", "█▍", "27%"]
    assert lines[stage + 1].split() == ["exp", "5,", "heads", "64"]


def test_a_terminal_that_knows_ascii_alone_gets_ascii():
    argv, environment = [sys.executable, "-m", "metanet", "show", "MN-B4"], {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stderr == "" and "224 ? 224 px" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("stage 5")]
    assert line.replace("|", " ").split()[-6:] == ["##", "36%", "####", "76%", "#", "12%"]


def test_show_writes_drawings_and_pages(capsys, tmp_path):
    files = {kind: str(tmp_path / f"net.{kind}") for kind in ("png", "pdf", "html")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    assert said(["show", "MN-B4", *options], capsys)[0] == 0
    assert (tmp_path / "net.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "net.pdf").read_bytes()[:4] == b"%PDF"
    page = (tmp_path / "net.html").read_text()
    assert (
        page.count("<svg") == 2
        and '<td class="number">3,166,411,520</td>' in page
        and "&quot;head_dim&quot;: 48" in page
    )
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_show_compares_two_networks(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    spec = metanet.create("MN-B4", device="meta").spec.to_dict()
    spec["stages"][1]["depth"] = 4
    spec["stages"].pop()
    (tmp_path / "mine.json").write_text(json.dumps(spec))
    code, out, _ = said(["show", "MN-B4", str(tmp_path / "mine.json")], capsys)
    rows = {line[:8].strip(): line for line in out.splitlines()}
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert rows["stage 0"].split()[2:4] == ["1", "1"] and "the same" in rows["stage 0"]
    assert rows["stage 1"].split()[3] == "1.42"  # (24,672 + 3 x 69,504) / 163,680 parameters
    assert rows["stage 5"].split()[2:4] == ["–", "–"]
    code, out, _ = said(["show", "MN-B4", str(tmp_path / "mine.json"), "--json"], capsys)
    assert code == 0 and json.loads(out)[1] == spec
    assert said(["show", "MN-B4", str(tmp_path / "mine.json"), "--html", str(tmp_path / "two.html")], capsys)[0] == 0
    assert "What differs" in (tmp_path / "two.html").read_text()


MISTAKES = {
    "unknown model": (["show", "MN-B99"], "unknown model 'MN-B99': did you mean 'MN-B"),
    "nonsense": (["cost", "nonsense"], "unknown model 'nonsense'"),
    "unknown space": (["search", "--space", "no-such-space"], "unknown space 'no-such-space'"),
    "near space": (["space", "show", "metanet-tin"], "did you mean 'metanet-tiny'"),
    "unknown proxy": (["search", "--proxies", "snap"], "unknown proxy 'snap': did you mean 'snip'"),
    "proxies of another sampler": (
        ["search", "--sampler", "local", "--proxies", "snip,naswot"],
        "of all samplers `predictor` alone learns from proxies, got snip,naswot for 'local': take --sampler predictor",
    ),
    "unknown sampler": (["search", "--sampler", "evolutoin"], "unknown sampler 'evolutoin': did you mean 'evolution'"),
    "unknown data": (["search", "--data", "mnist-5000"], "unknown data set 'mnist-5000': did you mean 'mnist-5k'"),
    "unsatisfiable": (["search", "--constraints", "macs <= 1k"], "the nearest attainable value is"),
    "malformed constraint": (["search", "--constraints", "macs < "], "cannot read the constraints at character 8"),
    "impossible resolution": (["search", "--resolution", "29"], "resolution=29 is outside space metanet-tiny"),
    "no epoch": (["search", "--epochs", "0"], "`epochs` of a stage must be at least 1, got 0"),
    "no percentage": (["search", "--percents", "200"], "a percentage must be above 0 and at most 100, got 200"),
    "a seed below 0": (["search", "--seed", "-1"], "`seed` must be a whole number of at least 0, got -1"),
    "no number": (["search", "--fidelities", "nan", "1"], "`fidelities` must grow from at least 1/1000 to 1"),
    "one seed": (["search", "--retrain-seeds", "1"], "`retrain_seeds` must be at least 2, got 1"),
    "unknown timm model": (["bench", "run", "timm:resnet1888"], "unknown timm model 'resnet1888'"),
    "no study": (["report", "nowhere.journal"], "there is no study 'nowhere.journal'"),
    "no file": (["show", "nowhere.json"], "cannot read the architecture 'nowhere.json'"),
    "no picture": (["show", "MN-B4", "--png", "no/such/folder.png"], "no/such/folder.png"),
    "no page": (["show", "MN-B4", "--html", "no/such/page.html"], "cannot write 'no/such/page.html' (No such file"),
    "wrong suffix": (["show", "MN-B4", "--html", "page.htm"], "--html writes a file whose name ends in .html, got 'pa"),
    "three": (["show", "MN-B4", "MN-B4", "MN-B4"], "one network is shown or two are compared, got 3"),
    "two in a PNG": (["show", "MN-B4", "MN-B15", "--png", "a.png"], "a PNG or PDF file shows one network, got two"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence_and_exit_code_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv, sentence = MISTAKES[case]
    code, out, err = said(argv, capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and out == ""
    assert err.count("\n") == (4 if "constraints at character" in sentence else 1)  # the caret has lines of its own
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
    done = subprocess.run([sys.executable, "-m", "metanet", "show", "MN-B3"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "unknown model 'MN-B3'" in done.stderr
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
