"""What a network computes, as a name: equal names mean equal outputs, as far as can be told without running it."""

import hashlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from torch import nn

from metanet.spec import ArchSpec

_PLAIN = (bool, int, float, str, bytes, type(None))
_ASIDE = {"training", "default_cfg", "pretrained_cfg"}  # the mode is set by who runs it, the others describe weights


def architecture_sha256(module: nn.Module) -> str:
    """SHA-256 of all that decides what a network computes besides its weights: its spec, the structure and settings of
    its parts, and the source of their classes, so that an edited `forward` is another network.

    Settings are attributes with plain values, with functions, or with lists of them; those whose name begins with an
    underscore are left out, which is where a module that counts its calls must keep the count. What functions outside
    the classes do is not seen, nor are libraries: torch is taken to compute the same in all its versions.
    """
    spec = getattr(module, "spec", None)
    digest = hashlib.sha256((spec.id if isinstance(spec, ArchSpec) else "").encode())
    kinds: dict[type, None] = {}
    for path, part in module.named_modules():
        digest.update(f"\n{path} {_name(type(part))} {part.extra_repr()} {sorted(_settings(part))}".encode())
        kinds.update(dict.fromkeys(type(part).__mro__))
    for kind in kinds:
        digest.update(_source(kind).encode())
    return digest.hexdigest()


def _settings(part: nn.Module) -> Iterator[tuple[str, str]]:
    for name, value in vars(part).items():
        if name not in _ASIDE and not name.startswith("_") and (text := _text(value)) is not None:
            yield name, text


def _text(value: Any) -> str | None:
    """A plain value as text, None for any other."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if inspect.isroutine(value):
        return _name(value)
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        texts = [_text(item) for item in value]
        return None if None in texts else repr(texts)
    return None


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', thing)}"


@lru_cache(maxsize=4096)
def _source(kind: type) -> str:
    if kind.__module__.split(".")[0] not in ("torch", "builtins", "typing"):
        with suppress(OSError, TypeError):  # typed at a prompt: its name must do
            return inspect.getsource(kind)
    return ""
