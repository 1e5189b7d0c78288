"""setup.cfg names every package folder and every data file, so that `pip install .` leaves none behind."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("metanet", "search_spaces", "searchers", "pretrain", "bench")


def dotted(folder: Path) -> str:
    parts = folder.relative_to(ROOT).parts
    return ".".join(parts if parts[0] == "metanet" else ("metanet", *parts))


def setup_cfg() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_setup_cfg_names_every_package():
    named = set(setup_cfg()["options"]["packages"].split())
    found = {dotted(p.parent) for f in FOLDERS for p in (ROOT / f).rglob("__init__.py") if not p.parent.is_symlink()}
    assert named == found


def test_setup_cfg_names_every_data_file():
    declared = setup_cfg()["options.package_data"]
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                patterns = declared.get(dotted(file.parent), "").replace(",", " ").split()
                assert any(file.match(p) for p in patterns), f"{file.relative_to(ROOT)} is in no package_data"


def test_the_links_lead_to_the_folders():
    for folder in FOLDERS[1:]:
        link = ROOT / "metanet" / folder
        assert link.is_symlink() and link.readlink() == Path("..") / folder
