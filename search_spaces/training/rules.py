"""The rules of supernet training by name, and which of them go together."""

from collections.abc import Iterable, Mapping

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.training import (
    attentive,
    cost_band,
    distillation,
    divergence,
    projection,
    sandwich,
    shrinking,
    single_path,
)
from metanet.search_spaces.training.parts import PARTS, Rule

RULES: Mapping[str, Rule] = {
    "sandwich": sandwich.RULE,
    "single-path": single_path.RULE,
    "best-up": attentive.BEST_UP,
    "worst-up": attentive.WORST_UP,
    "cost-band": cost_band.RULE,
    "progressive-shrinking": shrinking.RULE,
    "in-place-distillation": distillation.RULE,
    "alpha-divergence": divergence.RULE,
    "gradient-projection": projection.RULE,
}
DEFAULT = ("sandwich", "best-up")  # what ranked best: docs/supernet.md


def by_part(names: Iterable[str]) -> dict[str, str]:
    """The name of the rule of each part that has one, in the order of PARTS.

    Raises MetanetError for an unknown rule, two of one part, and a combination without meaning.
    """
    if isinstance(names, str):
        raise MetanetError(f"`rules` must be names one by one, as ({names!r},), got {names!r}")
    found: dict[str, str] = {}
    for name in names:
        if name not in RULES:
            raise unknown("rule", name, RULES)
        part = RULES[name].part
        if part in found:
            raise MetanetError(
                f"a training has one rule for {PARTS[part]}, got {found[part]} and {name}: leave one of them out"
            )
        found[part] = name
    if "networks" not in found:
        ways = " or ".join(name for name, rule in RULES.items() if rule.part == "networks")
        raise MetanetError(f"the rules must say which networks a step trains: add {ways}, got {_listed(found)}")
    if found["networks"] == "single-path" and (lone := [n for n in found.values() if RULES[n].needs_largest]):
        raise MetanetError(
            f"{lone[0]} needs the largest network in each step, and single-path trains one random network: "
            f"take sandwich in its place, or leave {lone[0]} out"
        )
    return {part: found[part] for part in PARTS if part in found}


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(found.values()) or "none"
