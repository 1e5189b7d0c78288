"""The folders form floors: code imports only its own folder and the floors below it (CONTRIBUTING.md, "Floors")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SPEC = {"spec", "notation", "errors"}
NETWORKS = SPEC | {
    "blocks",
    "cost",
    "factory",
    "features",
    "inference",
    "model",
    "released",
    "tensorfile",
    "weights",
    "zoo",
}
SHARED = NETWORKS | {"data", "metrics", "report", "runs", "stats", "training"}

# part of the package -> the parts that it may import besides itself
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "spec": {"errors"},
    "notation": {"spec", "errors"},
    **{part: NETWORKS - {part} for part in NETWORKS - SPEC},
    **{part: SHARED - {part} for part in SHARED - NETWORKS},
    "search_spaces": SHARED,
    "bench": SHARED,
    "pretrain": SHARED,
    "searchers": SHARED | {"search_spaces"},
    "cli": SHARED | {"search_spaces", "bench", "pretrain", "searchers"},
    "timm": NETWORKS,
    "hub": NETWORKS | {"runs"},
    "check": NETWORKS,
    "export": NETWORKS | {"runs"},
    "__init__": NETWORKS,
    "__main__": {"cli"},
}
# `weights.save` writes its file through runs.atomic_write, imported in the function.
IN_FUNCTIONS = {"tensorfile": {"runs"}, "spec": {"notation"}, "cli": set(MAY_IMPORT)}


def files() -> Iterator[tuple[str, Path]]:
    """Every source file of the library with the part that it belongs to."""
    for path in (ROOT / "metanet").glob("*.py"):
        yield path.stem, path
    for folder in (
        *(ROOT / "metanet").iterdir(),
        *(ROOT / f for f in ("search_spaces", "searchers", "pretrain", "bench")),
    ):
        if folder.is_dir() and not folder.is_symlink():
            for path in folder.rglob("*.py"):
                yield folder.name, path


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(dotted module or member, whether it is imported at the top of the file) of each import."""
    tree = ast.parse(path.read_text(), str(path))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: use an absolute import"
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def part_of(module: str) -> str | None:
    """The part of the library that a module belongs to, None outside of it."""
    first, _, rest = module.partition(".")
    assert first not in ("search_spaces", "searchers", "pretrain", "bench"), f"import metanet.{first}, not {first}"
    if first != "metanet":
        return None
    part = rest.partition(".")[0]
    return part if part in MAY_IMPORT else "__init__"


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_a_part_imports_only_the_floors_below(part):
    own = [path for name, path in files() if name == part]
    assert own, f"{part} is in the table but not in the tree"
    for path in own:
        for module, at_top in imports(path):
            target = part_of(module)
            allowed = {None, part} | MAY_IMPORT[part] | (set() if at_top else IN_FUNCTIONS.get(part, set()))
            assert target in allowed, f"{path.relative_to(ROOT)} imports {module}"


def test_every_part_has_a_floor():
    assert {name for name, _ in files()} <= set(MAY_IMPORT) | {"py.typed"}


def test_the_spec_needs_the_standard_library_alone():
    import sys

    for part in SPEC:
        for module, _ in imports(ROOT / "metanet" / f"{part}.py"):
            first = module.partition(".")[0]
            assert first in sys.stdlib_module_names or first == "metanet", module


def test_import_metanet_loads_no_heavy_library():
    import subprocess
    import sys

    heavy = ["fvcore", "lightning_fabric", "matplotlib", "nni", "optuna", "pandas", "plotly", "rich"]
    heavy += ["huggingface_hub", "onnx", "onnxruntime", "onnxscript", "safetensors", "sklearn", "timm", "torchvision"]
    code = f"import sys, metanet; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
