"""What a network computes, as a name: equal names mean equal outputs, as far as can be told without running it."""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metanet.spec import ArchSpec

_PLAIN = (bool, int, float, str, bytes, type(None))
_ASIDE = {"training", "default_cfg", "pretrained_cfg"}  # the mode is set by who runs it, the others describe weights


def architecture_sha256(module: nn.Module) -> str:
    """SHA-256 of all that decides what a network computes besides its weights: its spec, the structure and settings of
    its parts, and the source of their classes, so that an edited `forward` is another network.

    Settings are all attributes but those whose name begins with an underscore, which is where a module that counts its
    calls must keep the count: plain values, tensors and arrays by their contents, functions by their code and what they
    have enclosed, other objects by their class and their own attributes. What functions of other modules do is not
    seen, nor are libraries: torch is taken to compute the same in all its versions.
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
        if name not in _ASIDE and not name.startswith("_"):
            yield name, _text(value, frozenset({id(part)}))


def _text(value: Any, inside: frozenset[int]) -> str:
    """A value as text that is equal where the value is.

    inside   what it is a part of: whatever holds itself is not followed round
    """
    if isinstance(value, (*_PLAIN, torch.dtype, torch.device, torch.layout)):
        return repr(value)
    if id(value) in inside:
        return "itself"
    within = inside | {id(value)}
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous()
        return f"{value.dtype} {tuple(value.shape)} {_sha256(value.flatten().view(torch.uint8).numpy().tobytes())}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {_sha256(value.tobytes())}"
    if isinstance(value, FunctionType):
        enclosed = [_text(cell.cell_contents, within) for cell in value.__closure__ or ()]
        return f"{_name(value)} {_code(value.__code__)} {_text(value.__defaults__, within)} {enclosed}"
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{_name(value)} {_text(getattr(value, '__self__', None), within)}"
    if isinstance(value, (set, frozenset)):
        return repr(sorted(_text(item, within) for item in value))
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        return repr([_text(item, within) for item in value])
    if isinstance(value, nn.Module):  # a part of the tree, or one that was kept out of it
        return f"{_name(type(value))} {value.extra_repr()} {sorted(value.state_dict())}"
    own = {name: part for name, part in _attributes(value) if not name.startswith("_")}
    return f"{_name(type(value))} {_text(own, within)}"


def _attributes(value: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if isinstance(name, str) and hasattr(value, name):
                yield name, getattr(value, name)


def _code(code: CodeType) -> str:
    """What a function does, without where it stands."""
    held = [_code(part) if isinstance(part, CodeType) else repr(part) for part in code.co_consts]
    return _sha256(repr((code.co_code, code.co_names, held)).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', thing)}"


@lru_cache(maxsize=4096)
def _source(kind: type) -> str:
    """What a class says, without comments, documentation and layout; "" for torch and what was typed at a prompt."""
    if kind.__module__.split(".")[0] in ("torch", "builtins", "typing"):
        return ""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, False):
            del node.body[0]
    return ast.dump(tree)
