"""The space of a study, written into the study, so that nobody has to say again what was searched.

Costs that were measured (a latency table, the costs of a table's whole rows) are not part of it: what an architecture
costs stands with its trial.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import optuna

from metanet.errors import MetanetError
from metanet.search_spaces import Space, Union
from metanet.search_spaces.files import dump, loads
from metanet.searchers.space import SearchSpace
from metanet.searchers.table import ChoiceTable

DEFINITION = "space"  # attribute of a study


def remember(study: optuna.Study, space: SearchSpace[Any]) -> None:
    """Writes the definition of the space into a study that has none, where it is of a kind that can be written."""
    if DEFINITION not in study.user_attrs and (definition := written(space)) is not None:
        study.set_user_attr(DEFINITION, definition)


def remembered(study: optuna.Study) -> SearchSpace[Any] | None:
    """The space that a study was made with, without measured costs; None where the study does not tell."""
    definition = study.user_attrs.get(DEFINITION)
    return None if definition is None else read(definition)


def written(space: SearchSpace[Any]) -> dict[str, Any] | None:
    """A space in plain values that `read` understands; None for a kind of space that is not the library's own."""
    if isinstance(space, Space):
        return {"spaces": [dump(space)], "fingerprint": replace(space, latency=None).fingerprint}
    if isinstance(space, Union):
        parts = tuple(replace(part, latency=None) for part in space.parts)
        fingerprint = Union(space.name, parts).fingerprint
        return {"name": space.name, "spaces": [dump(part) for part in parts], "fingerprint": fingerprint}
    if isinstance(space, ChoiceTable):
        table = replace(space, row_costs=None)
        costs = {
            m: {gene: [int(cost) for cost in own] for gene, own in by.items()} for m, by in (table.costs or {}).items()
        }
        values = {"choices": {gene.name: list(gene.choices) for gene in table.genes}, "costs": costs or None}
        return {"name": table.name, **values, "fingerprint": table.fingerprint}
    return None


def read(definition: Mapping[str, Any]) -> SearchSpace[Any]:
    """The space that was written. Raises MetanetError where it is not understood, as that of a newer version may be."""
    space: SearchSpace[Any]
    with suppress(MetanetError, LookupError, TypeError, AttributeError):
        if "choices" in definition:
            space = ChoiceTable(definition["name"], definition["choices"], definition["costs"])
        else:
            parts = tuple(loads(text, "the space of the study") for text in definition["spaces"])
            space = Union(definition["name"], parts) if "name" in definition else parts[0]
        if space.fingerprint == definition["fingerprint"]:
            return space
    raise MetanetError(
        "the space that is written in the study is not understood, another version of metanet may have made it: "
        "name the space that was searched"
    )
