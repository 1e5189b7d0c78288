"""README and the pages in docs/ are true: their Python runs when pasted, their commands parse, their tables are what
the stored results say, their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from metanet.cli import parser

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}


def blocks(page):
    """The Python of a page, its blocks one after the other."""
    return "\n".join(re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL))


def pasted(page, folder):
    """What the Python of a page prints, in a process and a folder of its own; warnings are errors."""
    code = [sys.executable, "-W", "error", "-c", blocks(page)]
    done = subprocess.run(code, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().split("\n")


def test_the_ten_lines_run_when_pasted(tmp_path):
    assert PAGES["README.md"].count("```python") == 1
    first, second = pasted("README.md", tmp_path)
    assert first == "torch.Size([1, 10]) 3166411520" and "Cost(macs=" in second


LONG = ("models.md", "spaces.md", "gvb.md", "search.md")  # pages that run for half a minute and more


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
        for name in sorted(PAGES)
        if name != "README.md" and blocks(name)
    ],
)
def test_the_python_of_the_pages_runs_when_pasted(page, tmp_path):
    lines = pasted(page, tmp_path)
    if page == "models.md":
        assert "1002425020" in lines and "torch.Size([2, 10])" in lines and "torch.bfloat16" in lines
        assert (tmp_path / "mine.png").read_bytes()[:4] == b"\x89PNG"


def test_tables_are_generated():
    assert len(re.findall(r"<!-- table: \w+ -->\n\| ", PAGES["README.md"])) >= 4
    assert "<!-- table: members -->\n| " in PAGES["models.md"]
    done = subprocess.run([sys.executable, ROOT / "perf" / "tables.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", sorted(PAGES))
def test_what_the_pages_link_to_is_there(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page]):
        assert (folder / target).exists(), f"{page} links to {target}"
    for file in re.findall(r"`(tests/\w+\.py|perf/\w+\.py)`", PAGES[page]):
        assert (ROOT / file).exists(), f"{page} names {file}"


@pytest.mark.parametrize(
    "line", sorted({c for text in PAGES.values() for c in re.findall(r"`(metanet [a-z]+ [^`|…]+)`", text)})
)
def test_commands_on_the_pages_parse(line):
    argv = shlex.split(line)[1:]
    assert parser().parse_args(["MN-B4" if word == "NAME" else word for word in argv]).command == argv[0]
