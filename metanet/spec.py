"""What a network is, in plain values.

An `ArchSpec` holds everything that decides a network's function and nothing else. It is canonical by construction:
a field without effect (a kernel in an attention stage, the expansion of a stage that is a single reduced block) is
set to a fixed value, so that equal functions have equal specs, equal hashes and equal ids.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from metanet.errors import MetanetError, check_whole, unknown

CONV_OPS = ("mbconv", "fused_mbconv")
HEAD_OPS = ("self_attention", "channel_attention", "window_attention")  # those that work in heads
TOKEN_OPS = (*HEAD_OPS, "token_mlp")
OPS = CONV_OPS + TOKEN_OPS
KERNELS = (3, 5, 7)
DOWNS = ("local", "local_global", "global")
ATTENDING_DOWNS = ("local_global", "global")


@dataclass(frozen=True)
class StageSpec:
    """A run of `depth` equal blocks; the first one changes width and stride, or a downsampling module before it does.

    op         one of OPS
    depth      number of blocks
    width      channels at the output of every block
    expansion  hidden width over the width at a block's input
    stride     of the whole stage: 1 or 2
    kernel     side of the convolution kernel (convolution ops)
    se         squeeze-and-excitation (convolution ops)
    head_dim   channels a head (attention ops, and the downsampling modules that attend)
    window     side of a window in positions (window attention)
    grid       side of the grid that the mixing weights are made for (token MLP; other maps get interpolated weights)
    down       a module of DOWNS in front, after which every block has stride 1; None: the released pooled shortcut
               inside the first block

    A field that the op does not have is None.
    """

    op: str
    depth: int
    width: int
    expansion: float
    stride: int = 1
    kernel: int | None = 3
    se: bool | None = True
    head_dim: int | None = 32
    window: int | None = 7
    grid: int | None = 7
    down: str | None = None

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise unknown("op", self.op, OPS)
        where = f"a {self.op} stage"
        for name in ("depth", "width"):
            check_whole(name, getattr(self, name), 1, where)
        if isinstance(self.stride, bool) or self.stride not in (1, 2):
            raise MetanetError(f"`stride` of {where} must be 1 or 2, got {self.stride!r}")
        if self.down is not None and self.down not in DOWNS:
            raise unknown("downsampling module", self.down, DOWNS)
        self._check_expansion(where)
        effective = self._effective()
        for name in ("kernel", "se", "head_dim", "window", "grid"):
            if name not in effective:
                object.__setattr__(self, name, None)
        if "kernel" in effective and self.kernel not in KERNELS:
            raise MetanetError(f"`kernel` of {where} must be one of {KERNELS}, got {self.kernel!r}")
        if "se" in effective and not isinstance(self.se, bool):
            raise MetanetError(f"`se` of {where} must be true or false, got {self.se!r}")
        for name in {"head_dim", "window", "grid"} & effective:
            check_whole(name, getattr(self, name), 1, where)
        if self.head_dim is not None and self.width % self.head_dim:
            raise MetanetError(
                f"`width` of {where} must be a multiple of its head size, got width={self.width} and "
                f"head_dim={self.head_dim}: take a width from {self.head_dim}, {2 * self.head_dim!r}, … "
            )

    @classmethod
    def of_checked(cls, values: Iterable[tuple[str, Any]]) -> "StageSpec":
        """A stage of the values of all fields, which are known to keep every rule, None where they have no effect."""
        spec = object.__new__(cls)
        spec.__dict__.update(values)
        return spec

    def _effective(self) -> set[str]:
        """The optional fields that this op and this downsampling module have."""
        fields = {"kernel", "se"} if self.op in CONV_OPS else set()
        if self.op in HEAD_OPS or self.down in ATTENDING_DOWNS:
            fields.add("head_dim")
        return fields | {"window_attention": {"window"}, "token_mlp": {"grid"}}.get(self.op, set())

    def _check_expansion(self, where: str) -> None:
        value = self.expansion
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise MetanetError(f"`expansion` of {where} must be a finite number above 0, got {value!r}")
        if value == int(value):  # 4.0 and 4 are one architecture and must give one id
            object.__setattr__(self, "expansion", int(value))

    @property
    def mixes_tokens(self) -> bool:
        """Whether the stage's blocks are transformer blocks (attention or token MLP) instead of convolutions."""
        return self.op in TOKEN_OPS

    def first(self, w_in: int) -> tuple[int, int]:
        """(width at the input, stride) of the first block: those of the stage, unless a module in front has changed
        both."""
        return (self.width, 1) if self.down else (w_in, self.stride)

    def to_dict(self) -> dict[str, Any]:
        """The fields that have an effect, as plain values."""
        return {k: v for k, v in asdict(self).items() if v is not None}


@dataclass(frozen=True)
class ArchSpec:
    """A whole network: stem (3x3 convolution of stride 2), stages, head (1x1 convolution, pooling).

    stem_width   channels after the stem
    head_width   channels of the pooled feature vector
    resolution   side of the square input in pixels that costs refer to (the network takes other sizes, too)
    """

    stages: tuple[StageSpec, ...]
    stem_width: int
    head_width: int = 1280
    resolution: int = 224

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise MetanetError("a network must have at least one stage, got none")
        for name, low in (("stem_width", 1), ("head_width", 1), ("resolution", 8)):
            check_whole(name, getattr(self, name), low, "a network")
        width, canonical = self.stem_width, []
        for i, stage in enumerate(self.stages):
            if not isinstance(stage, StageSpec):
                raise MetanetError(f"`stages[{i}]` must be a StageSpec, got {stage!r}")
            if stage.op in HEAD_OPS and stage.first(width)[0] % (stage.head_dim or 1):
                raise MetanetError(
                    f"the width before attention stage {i} must be a multiple of its head size, got width={width} and "
                    f"head_dim={stage.head_dim}: its first block attends at that width"
                )
            if stage.mixes_tokens and stage.depth == 1 and reduces(width, stage):
                stage = replace(stage, expansion=1)  # the reduced block has no MLP
            canonical.append(stage)
            width = stage.width
        object.__setattr__(self, "stages", tuple(canonical))

    @classmethod
    def of_checked(cls, stages: tuple[StageSpec, ...], stem_width: int, head_width: int, resolution: int) -> "ArchSpec":
        """An architecture whose values are known to be canonical and to keep every rule: for tables of them."""
        spec = object.__new__(cls)
        values = spec.__dict__
        values["stages"], values["stem_width"] = stages, stem_width
        values["head_width"], values["resolution"] = head_width, resolution
        return spec

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that name this architecture (SHA-256 of its canonical JSON)."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in JSON files."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "stages"}
        return {**own, "stages": [stage.to_dict() for stage in self.stages]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ArchSpec":
        """Reads what `to_dict` wrote. Raises MetanetError for missing, extra or wrong values."""
        own = _known_fields(cls, values, "an architecture")
        if not isinstance(own["stages"], (list, tuple)):
            raise MetanetError(f"`stages` must be a list, got {own['stages']!r}")
        stages = tuple(
            StageSpec(**_known_fields(StageSpec, stage, f"stage {i}")) for i, stage in enumerate(own.pop("stages"))
        )
        return cls(stages=stages, **own)

    def to_json(self, indent: int | None = 2) -> str:
        """JSON text that `from_json` reads back to an equal spec."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_json(cls, text: str) -> "ArchSpec":
        """Reads what `to_json` wrote. Raises MetanetError where it is not JSON or not an architecture."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise MetanetError(f"not an architecture: the text is not JSON ({error})") from None
        return cls.from_dict(values)

    def to_text(self) -> str:
        """One line such as mn1/s32/h1280/r224/mb3+se:1x24:e1/…, which `from_text` reads back (`metanet.notation`)."""
        from metanet.notation import to_text

        return to_text(self)

    @classmethod
    def from_text(cls, text: str) -> "ArchSpec":
        """Reads what `to_text` wrote. Raises MetanetError that names the stage that cannot be read."""
        from metanet.notation import from_text

        return from_text(text)

    def diff(self, other: "ArchSpec") -> dict[str, tuple[Any, Any]]:
        """What differs from another architecture: {"stage2.width": (80, 96)}, own value first; {} where they are equal.

        A stage that one of them lacks is None on that side.
        """
        from metanet.notation import differences

        return differences(self, other)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ArchSpec":
        """Reads a spec file. Raises MetanetError that names the file where it is missing or malformed."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise MetanetError(f"cannot read the architecture {str(path)!r}: {error}") from None
        except MetanetError as error:
            raise MetanetError(f"{str(path)!r}: {error}") from None


def reduces(w_in: int, stage: StageSpec) -> bool:
    """Whether a stage's first block changes width or stride: it has a shortcut then, and no MLP if it mixes tokens."""
    return stage.first(w_in) != (stage.width, 1)


def _known_fields(cls: type, values: object, where: str) -> dict[str, Any]:
    """`values` as keyword arguments of a dataclass; unknown and missing names raise."""
    if not isinstance(values, Mapping):
        raise MetanetError(f"{where} must be an object of named values, got {values!r}")
    known = {f.name: f for f in fields(cls)}
    for name in values:
        if name not in known:
            raise unknown(f"field of {where}", name, known)
    required = {name for name, f in known.items() if f.default is f.default_factory}  # both MISSING
    if missing := sorted(required - set(values)):
        raise MetanetError(f"{where} lacks the field{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    return dict(values)
