"""Scores frozen networks with probes on few labels, beside the majority class, raw pixels and the same networks with
random weights; reports, compares, and looks after the data sets.

NETWORK is a name, a spec file (.json), a saved network (.safetensors), timm:NAME or torchvision:NAME for a classifier
of these libraries, or MODULE:FUNCTION for a function of your own that gives a torch.nn.Module.
"""

import argparse

from metanet.cli.setting import data_argument

HELP = "score frozen networks with probes, report and compare"
EXAMPLE = "metanet bench run --suite packaged --model timm:tf_efficientnet_lite0 --weights packaged"

RUN = """Scores networks and writes a cell for each network, task, percentage and seed, and a report. Killed at any
moment and run again with the same command, it goes on where it was; what is finished is read."""
REPORT = "Writes the report of a folder of cells: report.html, PNG files, CSV files and scores.tex."
COMPARE = """Compares two networks on the same test images by their stored predictions: paired bootstrap and McNemar's
exact test, a task and over all. A and B are names of networks in one folder (--in), or folders of cells, as FOLDER or
FOLDER#NETWORK; without a name, the networks of the same name in both are compared, or the only ones."""
LEAKS = """Looks for test images that are among the training images, or among those of a pretraining: by equal pixels,
by perceptual hashes, by features. Writes every pair, and tells each network's score with and without these images from
a folder of cells."""
PROXIES = """Scores architectures that nobody has trained by zero-cost proxies: synflow, naswot, grad_norm, snip, zen,
zico, with parameters and MACs as controls. Each is the mean over initialisations. NETWORK is a name, a spec file
(.json), a spec as one line (mn1/...) or a saved network (.safetensors), of which only the architecture counts."""
DOCTOR = "Says of each data set of GV-B whether it is found, and what to download from where and how to lay it out."
MINI = "Writes small synthetic copies of the data sets of GV-B in their official layouts."
TASKS = "Lists the 26 tasks of GV-B."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="score networks", description=RUN)
    _run_arguments(run)
    report = actions.add_parser("report", help="the report of a folder of cells", description=REPORT)
    report.add_argument(
        "folder", nargs="?", default="runs/bench", metavar="FOLDER", help="folder of cells (default: %(default)s)"
    )
    report.add_argument("--out", metavar="DIR", help="folder to write into (default: FOLDER)")
    report.add_argument(
        "--reach", type=float, metavar="X", help="score in %% whose need of data is told (default: 95 %% of the best)"
    )
    compare = actions.add_parser("compare", help="two networks, paired", description=COMPARE)
    compare.add_argument("a", metavar="A", help="network, FOLDER or FOLDER#NETWORK")
    compare.add_argument("b", metavar="B", help="network, FOLDER or FOLDER#NETWORK")
    compare.add_argument(
        "--in", dest="folder", default="runs/bench", metavar="FOLDER", help="folder of cells (default: %(default)s)"
    )
    leaks = actions.add_parser("leaks", help="test images that were seen before", description=LEAKS)
    _leaks_arguments(leaks)
    proxies = actions.add_parser("proxies", help="scores without training", description=PROXIES)
    _proxies_arguments(proxies)
    doctor = actions.add_parser("doctor", help="which data sets are there", description=DOCTOR)
    doctor.add_argument("--data-root", required=True, metavar="DIR", help="folder that holds the data sets")
    doctor.add_argument("--thorough", action="store_true", help="hash large files, look for every image: minutes")
    mini = actions.add_parser("make-mini", help="small synthetic data sets", description=MINI)
    mini.add_argument("out", metavar="DIR", help="folder to write into")
    mini.add_argument("--seed", type=int, default=0, help="of the images (default: %(default)s)")
    tasks = actions.add_parser("tasks", help="the tasks of GV-B", description=TASKS)
    for action in (doctor, mini):
        action.add_argument("--tasks", metavar="NAME[,NAME]", help="these alone")
    for action in (run, compare, leaks, proxies, doctor, tasks):
        action.add_argument("--json", action="store_true", help="print JSON")


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("networks", nargs="*", metavar="NETWORK", help="networks to score")
    run.add_argument("--model", action="append", default=[], metavar="NETWORK", help="the same, one at a time")
    _weights_argument(run, "networks")
    _data_arguments(run, "they are scored on")
    run.add_argument("--alone", action="store_true", help="without the two networks that a suite has beside")
    run.add_argument(
        "--percents", type=float, nargs="+", help="of the training images (default: 1 10 100; with a root 10)"
    )
    run.add_argument("--seeds", type=int, default=3, help="draws of the training images (default: %(default)s)")
    run.add_argument("--probe", default="linear", help="linear, logistic or knn (default: %(default)s)")
    run.add_argument("--out", default="runs/bench", metavar="DIR", help="folder of cells (default: %(default)s)")
    run.add_argument(
        "--cache", default="runs/features", metavar="DIR", help="folder that keeps features (default: %(default)s)"
    )
    run.add_argument(
        "--cache-limit", type=float, default=20, metavar="GB", help="what it may hold (default: %(default)s)"
    )
    run.add_argument("--half", action="store_true", help="keep features in 16 bits")
    run.add_argument("--device", help="where backbones run, as cuda (default: cpu)")
    run.add_argument("--quiet", action="store_true", help="no progress bar")


def _weights_argument(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--weights",
        default="random",
        choices=("random", "packaged", "pretrained"),
        help=f"of {what} of timm and torchvision: random, from an installed package, or from the library's hub "
        "(default: %(default)s)",
    )


def _data_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    data = parser.add_argument_group(f"what {what} (default: --data mnist-5k)").add_mutually_exclusive_group()
    data.add_argument("--suite", metavar="NAME", help="packaged: real images that packages hold")
    data_argument(data, said="; split as in `metanet search`")
    data.add_argument("--data-root", metavar="DIR", help="folder with data sets of GV-B: `metanet bench doctor`")
    parser.add_argument("--tasks", metavar="NAME[,NAME]", help="of the suite or the data root (default: all found)")
    parser.add_argument(
        "--resolution", type=int, help="of the images (default: 32; with a root 224); MetaNets keep their own"
    )
    parser.add_argument("--seed", type=int, help="of the split of --data, as in `metanet search` (default: 0)")


def _leaks_arguments(leaks: argparse.ArgumentParser) -> None:
    _data_arguments(leaks, "is examined")
    leaks.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="PATH",
        help="images of a pretraining, too: a folder, a list of paths, or a file of fingerprints (several times)",
    )
    leaks.add_argument(
        "--near", type=int, default=2, metavar="BITS", help="by which hashes of doubles differ (default: %(default)s)"
    )
    leaks.add_argument("--model", metavar="NETWORK", help="compares its features, too")
    _weights_argument(leaks, "a network")
    leaks.add_argument("--cosine", type=float, metavar="X", help="least one of features of doubles (default: 0.99)")
    leaks.add_argument("--in", dest="folder", metavar="FOLDER", help="folder of cells: scores with and without doubles")
    leaks.add_argument("--out", metavar="DIR", help="folder to write into (default: that of --in, or runs/leaks)")
    leaks.add_argument(
        "--cache", default="runs/features", metavar="DIR", help="folder that keeps features (default: %(default)s)"
    )
    leaks.add_argument("--device", help="where the network runs, as cuda (default: cpu)")


def _proxies_arguments(proxies: argparse.ArgumentParser) -> None:
    proxies.add_argument("networks", nargs="+", metavar="NETWORK", help="architectures to score")
    proxies.add_argument("--proxies", metavar="NAME[,NAME]", help="these alone")
    data_argument(proxies, default="mnist-5k")
    proxies.add_argument(
        "--batch", type=int, default=64, metavar="N", help="images for each initialisation (default: %(default)s)"
    )
    proxies.add_argument("--repeats", type=int, default=3, metavar="N", help="initialisations (default: %(default)s)")
    proxies.add_argument("--seed", type=int, default=0, help="of images and initial values (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Does what was asked."""
    from metanet.cli import bench_data, bench_leaks, bench_proxies, bench_results, bench_run

    actions = {
        "run": bench_run.run,
        "report": bench_results.report,
        "compare": bench_results.compare,
        "leaks": bench_leaks.run,
        "proxies": bench_proxies.run,
        "doctor": bench_data.doctor,
        "make-mini": bench_data.make_mini,
        "tasks": bench_data.tasks,
    }
    with bench_run.warnings_as_sentences():
        return actions[args.action](args)
