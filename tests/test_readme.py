"""The README is true: its Python runs when pasted, its commands parse, its tables are what the stored results say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from metanet.cli import parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run_when_pasted(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.strip().split("\n")
    assert first == "torch.Size([1, 10]) 3166411520" and "Cost(macs=" in second


def test_tables_are_generated():
    assert len(re.findall(r"<!-- table: \w+ -->\n\| ", README)) >= 4
    done = subprocess.run(
        [sys.executable, ROOT / "perf" / "write_tables.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_the_pages_link_to_is_there():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(metanet [a-z]+ [^`|…]+)`", README))))
def test_commands_in_the_readme_parse(line):
    argv = shlex.split(line)[1:]
    assert parser().parse_args(["MN-B4" if word == "NAME" else word for word in argv]).command == argv[0]
