"""Spaces as YAML or JSON files. Whatever is wrong is said with the line where it stands.

    name: mine
    resolution: [32]
    stem_width: [16]
    stages:
      - {depth: [1, 2], width: [16, 24], expansion: [1, 2, 4], op: [mbconv, self_attention], head_dim: [8]}
      - alternatives:            # a stage may be one of several sets of choices
          - {depth: [1, 2], width: [32], expansion: [4], op: [mbconv], stride: 2}
          - {depth: [2, 3], width: [32, 48], expansion: [2], op: [self_attention], head_dim: [16], stride: 2}

JSON is read as the YAML that it is. The fields are those of `Space` and `StageChoices`; a single value is a choice of
one. `about` may say what the space is. A latency table is no part of a file: `Space.timed` adds one.
"""

import os
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import CONSTANTS, StageChoices
from metanet.search_spaces.space import Space

TEMPLATE = """\
# A search space: every architecture that these choices make. Show it: metanet space show {file}
name: {name}
about: {about}
resolution: [32]      # side of the square input, pixels
stem_width: [16]      # channels after the stem, which has stride 2
head_width: [192]     # channels of the pooled feature vector
stages:
  - op: [mbconv, fused_mbconv]   # also: self_attention, channel_attention, window_attention, token_mlp
    depth: [1, 2]                # blocks
    width: [16, 24]              # channels; multiples of a head size where the op attends
    expansion: [1, 2, 4]         # hidden width over width
    kernel: [3, 5]               # of convolutions: 3, 5 or 7
    se: [true, false]            # squeeze-and-excitation in convolution blocks
  - op: [mbconv, self_attention]
    depth: [1, 2, 3]
    width: [32, 48]
    expansion: [2, 4]
    head_dim: [16]               # channels an attention head
    down: [null, local]          # module in front: null (the pooled shortcut), local, local_global, global
    stride: 2                    # a constant of the stage, as are window and grid
"""

TEXTS = ("name", "about")


def template(path: str | os.PathLike[str], name: str) -> str:
    """The text of an example, with comments, for a space of that name in that file."""
    import yaml  # type: ignore[import-untyped]

    try:
        plain = bool(name) and yaml.safe_load(f"name: {name}\n") == {"name": name}
    except yaml.YAMLError:
        plain = False
    shown = name if plain else yaml.safe_dump(name, default_style='"', width=10**6).strip()
    return TEMPLATE.format(file=shlex.quote(os.fspath(path)), name=shown, about="an example to change")


def load(path: str | os.PathLike[str]) -> Space:
    """The space in a YAML or JSON file.

    Raises MetanetError with the file and the line where it cannot be read, names an unknown or repeated field, lacks
    one, or holds a value that no stage can have.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise MetanetError(f"cannot read the space {os.fspath(path)!r}: {why}") from None
    if os.fspath(path).endswith(".json"):
        text = text.replace("\t", " ")  # JSON may be indented by tabs, YAML may not; no JSON string holds one
    return loads(text, os.fspath(path))


def loads(text: str, source: str) -> Space:
    """The space in a text of YAML; errors are those of `load`, with `source` for the file."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise MetanetError(f"{source}, line {line}: not YAML or JSON ({error.problem})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MetanetError(
            f"{source}, line {line}: the character U+{ord(text[error.position]):04X} stands in no text"
        ) from None
    if root is None:
        raise MetanetError(f"{source} is empty: `metanet space new` writes an example")
    return _Reader(source).space(root)


def dump(space: Space) -> str:
    """The space as YAML text that `loads` reads back to an equal one, but for a latency table."""
    import yaml

    def plain(choices: StageChoices) -> dict[str, Any]:
        values = {f.name: getattr(choices, f.name) for f in fields(choices)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    network = {name: list(getattr(space, name)) for name in ("resolution", "stem_width", "head_width")}
    stages = [
        {"alternatives": [plain(one) for one in stage]} if isinstance(stage, tuple) else plain(stage)
        for stage in space.stages
    ]
    about = {"about": space.about} if space.about else {}
    values = {"name": space.name, **about, **network, "stages": stages}
    return str(yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120))


class _Reader:
    """Turns YAML nodes, which know their lines, into a space."""

    def __init__(self, path: str) -> None:
        self.path = path

    def fail(self, node: Any, why: object) -> MetanetError:
        return MetanetError(f"{self.path}, line {node.start_mark.line + 1}: {why}")

    def space(self, root: Any) -> Space:
        found = self.fields(root, Space, "a space", {"stages"})
        stages = found.pop("stages")
        if stages.id != "sequence" or not stages.value:
            raise self.fail(stages, "`stages` must be a list of at least one stage")
        read = [self.stage(node) for node in stages.value]
        try:
            return Space(stages=tuple(read), **found)
        except MetanetError as error:
            raise self._placed(root, stages, error) from None

    def _placed(self, root: Any, stages: Any, error: MetanetError) -> MetanetError:
        """An error of the whole space at the first stage that it names."""
        for i, node in enumerate(stages.value):
            if re.search(rf"\bstage ?{i}\b", str(error)):
                return self.fail(node, error)
        return self.fail(_field(root, error), error)

    def stage(self, node: Any) -> StageChoices | tuple[StageChoices, ...]:
        keys = [key.value for key, _ in node.value] if node.id == "mapping" else []
        if "alternatives" in keys:
            key, several = node.value[keys.index("alternatives")]
            if len(keys) > 1:
                raise self.fail(key, "`alternatives` must be the only field of its stage: each one has all the others")
            if several.id != "sequence" or not several.value:
                raise self.fail(several, "`alternatives` must be a list of at least one stage")
            return tuple(self.choices(one) for one in several.value)
        return self.choices(node)

    def choices(self, node: Any) -> StageChoices:
        found = self.fields(node, StageChoices, "a stage")
        made = StageChoices(**found)
        try:  # a space of this stage alone checks its values, and the line is known
            Space("check", (made,), stem_width=(8,))
        except MetanetError as error:
            if "can be built" not in str(error):
                raise self.fail(_field(node, error), str(error).replace("stage0.", "")) from None
        return made

    def fields(self, node: Any, of: type, what: str, nodes: Collection[str] = ()) -> dict[str, Any]:
        """The values of a mapping by name; those in `nodes` stay YAML nodes."""
        if node.id != "mapping":
            raise self.fail(node, f"{what} must be a mapping of fields to values, got {_shown(node)}")
        known: Mapping[str, Any] = {f.name: f for f in fields(of) if f.name != "latency"}
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar" or key.value not in known:
                raise self.fail(key, unknown(f"field of {what}", _shown(key, key.value), known))
            if key.value in found:
                raise self.fail(key, f"the field {key.value!r} stands twice in {what}: keep one")
            found[key.value] = value if key.value in nodes else self.value(key.value, value)
        required = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
        if missing := sorted(required - set(found)):
            raise self.fail(node, f"{what} lacks the field{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
        return found

    def value(self, name: str, node: Any) -> Any:
        """A text or a constant as it is, choices as a tuple."""
        plain = self._plain(node)
        if name in TEXTS:
            if not isinstance(plain, str) or not plain:
                raise self.fail(node, f"`{name}` must be a text, got {plain!r}")
            return plain
        if name in CONSTANTS:
            if not isinstance(plain, int) or isinstance(plain, bool) or plain < 1:
                raise self.fail(node, f"`{name}` must be one whole number of at least 1, got {plain!r}")
            return plain
        values = tuple(plain) if isinstance(plain, list) else (plain,)
        if not values or len(set(map(repr, values))) < len(values):
            raise self.fail(node, f"the choices of {name} must be distinct and at least one, got {list(values)}")
        for value in values:
            if isinstance(value, (dict, list)):
                raise self.fail(node, f"a choice of {name} must be a single value, got {value!r}")
        return values

    def _plain(self, node: Any) -> Any:
        import yaml

        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node, deep=True)
        except yaml.YAMLError as error:
            raise self.fail(node, f"cannot be read ({getattr(error, 'problem', None) or error})") from None
        finally:
            loader.dispose()


def _shown(node: Any, scalar: object = None) -> str:
    """A node in a sentence."""
    kinds = {"sequence": "a list", "mapping": "a mapping"}
    return kinds.get(node.id) or (str(scalar) if scalar is not None else repr(node.value))


def _field(node: Any, error: MetanetError) -> Any:
    """The value that an error is about, by the name that it mentions; the whole mapping where it mentions none."""
    words = {"op": "unknown op ", "down": "unknown downsampling module "}
    for key, value in node.value:
        if f"`{key.value}`" in str(error) or words.get(key.value, "\0") in str(error):
            return value
    return node
