"""Networks for other runtimes: ONNX files, and torch.export programs (.pt2) that run without this library.

`export(model, path)` writes the network in eval mode, runs what it wrote and compares it with the network before the
file takes its place.
"""

from metanet.export.sizes import takes_one_size
from metanet.export.write import Exported, export

__all__ = ["Exported", "export", "takes_one_size"]
