"""The main job, phase after phase; each phase is resumable by itself, so the whole is."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metanet.bench import score
from metanet.bench.cells.plan import check_request
from metanet.cli import phases
from metanet.cli.execution import Execution
from metanet.cli.frozen import check_untested, freeze
from metanet.cli.phases import Data, data_of, timed
from metanet.cli.samplers import check_sampler, sampler_of
from metanet.cli.setting import space_of
from metanet.data import ids_sha256
from metanet.model import MetaNet
from metanet.runs import atomic_write, open_run, write_json
from metanet.search_spaces import Space, Supernet, TrainingConfig
from metanet.searchers import Controls, LiveTable, SearchResult, controls, search
from metanet.searchers.looks import check_growing
from metanet.spec import ArchSpec


@dataclass(frozen=True)
class JobOptions:
    """What `metanet search` is asked for; a resolution of None is searched, too; proxies: what the sampler learns from
    besides; latency: the file of a table; inherit: winners begin with the supernet's weights."""

    space: str = "metanet-tiny"
    data: str = "mnist-5k"
    resolution: int | None = 28
    constraints: str = "macs <= 2M, params <= 200k"
    sampler: str = "predictor"
    proxies: tuple[str, ...] = ()
    trials: int = 60
    supernet_steps: int = TrainingConfig.steps
    epochs: int = 5
    retrain_seeds: int = 3
    percents: tuple[float, ...] = (1, 10, 100)
    seed: int = 0
    latency: str | None = None
    rules: tuple[str, ...] = TrainingConfig.rules
    inherit: bool = False
    fidelities: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        phases.check_budget(self.trials, self.retrain_seeds, self.epochs, self.seed)
        check_request("linear", self.percents, _seeds(self))
        check_sampler(self.sampler, self.proxies)
        TrainingConfig(rules=self.rules)
        check_growing(self.fidelities)


@dataclass(frozen=True)
class Setting:
    """The space and the images that the options mean."""

    space: Space
    data: Data


@dataclass(frozen=True)
class Outcome:
    """Everything that the report tells: the studies, the frozen winners, their test scores, the training histories."""

    options: JobOptions
    setting: Setting
    result: SearchResult[ArchSpec]
    controls: Controls[ArchSpec]
    winners: dict[str, ArchSpec]
    nets: dict[str, list[MetaNet]]
    cells: pd.DataFrame
    histories: dict[str, pd.DataFrame]
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(options: JobOptions) -> Setting:
    """Checks the options against space and data before anything is written."""
    space = space_of(options.space, options.resolution, options.latency)
    space.sample(1, options.constraints, seed=options.seed)  # an unsatisfiable request ends here
    return Setting(space, data_of(options.data, options.resolution or max(space.resolution), options.seed))


def run_job(
    options: JobOptions,
    out: str | Path,
    *,
    execution: Execution | None = None,
    quiet: bool | None = None,
    watch: bool = False,
) -> str:
    """Runs every phase, writes the run folder and returns the verdict in one sentence.

    execution  where candidates are evaluated and studies kept; None: in this process and the run folder
    watch      shows live tables of the searches in place of their bars

    Raises MetanetError for options that cannot be met, a folder that cannot be written, and damaged files of an
    earlier run.
    """
    from metanet.cli.job_report import write_report

    execution = execution or Execution()
    execution.made()  # a wrong option ends here
    setting = prepare(options)
    space, data, folder = setting.space, setting.data, open_run(out)
    check_untested(folder, options.trials)
    phases.begin(folder, data.images)
    seconds = phases.earlier_seconds(folder)
    phases.check_studies((execution.study(folder, "search"), execution.study(folder, "random")), space)
    with timed(seconds, "supernet"):
        how: dict[str, Any] = {"constraints": options.constraints, "seed": options.seed, "quiet": quiet}
        steps = options.supernet_steps
        supernet = phases.shared_weights(space, data, folder, rules=options.rules, steps=steps, **how)
    with timed(seconds, "search"):
        how = {"quiet": quiet, "watch": watch}
        result, control = _searches(options, execution, setting, supernet, folder, **how)
    winners = {
        "search": result.best.spec,
        "random search": control.random.best.spec,
        "most MACs": control.most_macs.spec,
    }
    with timed(seconds, "retraining"):
        start = supernet.extract if options.inherit else None
        again: dict[str, Any] = {"epochs": options.epochs, "seeds": _seeds(options), "start": start}
        nets, histories = phases.retrained(winners, data, folder, **again)
    freeze(folder, winners, options.trials)
    with timed(seconds, "testing"):
        cells = score(phases.by_seed(nets), data.task, percents=options.percents)
        atomic_write(folder / "scores.csv", cells.to_csv(index=False))
    outcome = Outcome(options, setting, result, control, winners, nets, cells, histories, seconds)
    _keep_winner(folder, outcome)
    return write_report(outcome, folder)


def training_words(options: JobOptions) -> str:
    """How the winners and those of the controls get their weights."""
    if options.inherit:
        return "fine-tuned from the supernet's weights"
    return "trained from scratch"


def _seeds(options: JobOptions) -> list[int]:
    return [options.seed + k for k in range(options.retrain_seeds)]


def _searches(
    options: JobOptions,
    execution: Execution,
    setting: Setting,
    supernet: Supernet,
    folder: Path,
    *,
    quiet: bool | None,
    watch: bool,
) -> tuple[SearchResult[ArchSpec], Controls[ArchSpec]]:
    """The search and its controls, on one evaluator at one budget."""
    evaluate = phases.shared_evaluator(setting.data, supernet)
    sampler = sampler_of(options.sampler, options.proxies, setting.data, options.seed)
    shared: dict[str, Any] = {
        "objectives": phases.CLIMBED,
        "constraints": options.constraints,
        "trials": options.trials,
        "executor": execution.made(),
        "fidelities": options.fidelities,
        "cache": folder / "evaluations",  # the control's first draws are the search's
        "seed": options.seed,
        "max_failures": execution.max_failures,
        "quiet": quiet,
    }
    stores = {"search": execution.study(folder, "search"), "random search": execution.study(folder, "random")}
    tables = {
        name: LiveTable(name, {n: s for n, s in stores.items() if n != name}) if watch else None for name in stores
    }
    own: dict[str, Any] = {"sampler": sampler, "store": stores["search"], "watch": tables["search"]}
    result = search(setting.space, evaluate, **own, **shared)
    store, table = stores["random search"], tables["random search"]
    return result, controls(setting.space, evaluate, store=store, watch=table, **shared)


def _keep_winner(folder: Path, outcome: Outcome) -> None:
    """The winner's spec and first network, and what all of it came from."""
    from metanet.weights import save

    options, setting = outcome.options, outcome.setting
    spec, net = outcome.winners["search"], outcome.nets["search"][0]
    atomic_write(folder / "winner.json", spec.to_json() + "\n")
    provenance = {"command": "metanet search", "options": str(asdict(options)), "stage": "expert"}
    provenance["seed"] = str(_seeds(options)[0])
    images, ids = setting.data.images, setting.data.parts["weights"]
    provenance |= {"task": images.name, "images": images.fingerprint, "ids": ids_sha256(ids)}
    provenance["weights"] = training_words(options)
    save(net, folder / "winner.safetensors", provenance)
    seeds = {"job": options.seed, "retraining": _seeds(options)}
    about = phases.about_job(asdict(options), setting.data, setting.space, outcome.winners, seeds, outcome.seconds)
    write_json(folder / "manifest.json", {**about, "weights of winners": training_words(options)})
