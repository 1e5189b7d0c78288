"""What is told of a member of the zoo in tables: `metanet list`, README.md, docs/models.md."""

from typing import Any

from metanet.factory import MODELS, cost

SIDES = (224, 256, 384)  # pixels a side at which MACs are told


def facts(name: str) -> dict[str, Any]:
    """A member in exact numbers.

    params                  without classifier
    params_with_classifier  with the one of the released form; None where that has none
    macs_224 …              at these resolutions, without classifier
    activations, memory     of one image at the member's own resolution; memory in bytes, as `Cost.memory()`
    """
    member = MODELS[name]
    own, classes = cost(name), member.num_classes
    return {
        "name": name,
        "resolution": member.spec.resolution,
        "params": own.params,
        "params_with_classifier": cost(name, num_classes=classes).params if classes else None,
        **{f"macs_{side}": cost(name, resolution=side).macs for side in SIDES},
        "macs": own.macs,
        "activations": own.activations,
        "memory": own.memory(),
        "provenance": member.provenance,
    }
