"""Writes a network for other runtimes: ONNX (.onnx) or a torch.export program (.pt2).

The batch is free; so are height and width, wherever the network has no window attention and no token MLP. The file is
run and compared with the network before it takes its place. Without --weights a name gives random weights.
"""

import argparse

HELP = "a network as ONNX or torch.export file"
EXAMPLE = "metanet export MN-B4 --to mn-b4.onnx --classes 10"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("network", metavar="NETWORK", help="name, spec.json, weights.safetensors or its folder")
    parser.add_argument("--to", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--format", help="onnx or torch (default: what FILE ends in)")
    parser.add_argument(
        "--weights", metavar="FILE", help="weights for a name or a spec: .safetensors or a released .pth"
    )
    parser.add_argument("--classes", type=int, help="width of the classifier (default: that of the network)")
    parser.add_argument("--resolution", type=int, help="side of a fixed size in pixels (default: the network's own)")
    parser.add_argument("--batch", type=int, help="fix the number of images at once (default: free)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--fixed-size", action="store_true", help="fix height and width to --resolution")
    size.add_argument("--free-size", action="store_true", help="insist on free height and width")
    parser.add_argument("--features-only", action="store_true", help="the maps at strides 4, 8, 16, 32 as outputs")
    parser.add_argument("--no-verify", action="store_true", help="do not run the file and compare")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Exports and says what was written."""
    from dataclasses import asdict

    from metanet.cli.output import emit
    from metanet.export import export, takes_one_size
    from metanet.factory import find, is_saved

    spec = find(args.network).spec
    written = export(
        args.network,
        args.to,
        format=args.format,
        resolution=args.resolution,
        batch=args.batch,
        dynamic_size=False if args.fixed_size else True if args.free_size else None,
        features_only=args.features_only,
        num_classes=args.classes,
        weights=args.weights,
        verify=not args.no_verify,
    )
    if args.json:
        return emit(asdict(written))
    if args.weights is None and not is_saved(args.network):
        print("weights: random (--weights FILE gives others)")
    if (reason := takes_one_size(spec)) and not args.fixed_size:
        print(f"height and width are fixed: {reason}")
    takes, gives = ", ".join(map(str, written.input)), ", ".join(written.outputs)
    print(f"wrote {written.path} ({written.bytes / 1e6:,.1f} MB, {written.seconds:.0f} s): images ({takes}) -> {gives}")
    if written.difference is None:
        print("not verified")
    else:
        print(f"verified: differs by at most {written.difference:.1e} of the outputs' spread between images")
    return 0
