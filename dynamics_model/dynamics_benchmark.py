"""`dmcm bench dynamics`: trains every contender with the same budget and compares what they predict and tell."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dynamics_model.comparison import SECONDS, Bench, errors, ridge_rows, rows_of
from dynamics_model.contenders import CHAIN_COST, METHODS, Method, Split, base_config, configure, split, train
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.disentangle import probes, spread
from dynamics_model.network import DynamicsModel, ModelConfig
from dynamics_model.observed import observed
from dynamics_model.train import TrainConfig, write_json

HISTORIES, SIZES = (1, 3, 5), (4, 8)  # that `choose` tries, frames and entries of each context
CHAIN_RATES = (3e-4, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)  # learning rates that it tries


@dataclass
class DynamicsBenchConfig:
    """Compare dynamics models on the dataset of `dmcm collect`; the last 15 % of every log judge.

    A method that is finished is kept, one that was interrupted goes on. Ctrl-C leaves a checkpoint.

    Attributes:
        dataset: folder of task files.
        out: folder for the methods' models and figures.
        methods: names; all by default.
        budget: iterations of 4096 transitions for every method; one of chains counts as four.
        choose: first choose history, context size and `chain_rate` by short trainings, on validation robots.
        history, context: without `choose`: frames, and entries of each context.
        chain_rate: without `choose`: learning rate of the methods that learn by chains from nothing.
        hidden: widths of the network.
        stairs: the terrain to be climbed.
        seconds: stop, with a checkpoint, after so long, s; 0 never does.
        seed: of everything.
        threads: torch threads.
        json: file for the figures.
    """

    dataset: Path = Path("runs/data")
    out: Path = Path("runs/dynamics_bench")
    methods: tuple[str, ...] = ()
    budget: int = 8000
    choose: bool = False
    history: int = 3
    context: int = 8
    chain_rate: float = 2e-2
    hidden: tuple[int, ...] = (256, 256)
    stairs: str = "stairs_13cm"
    seconds: float = 0.0
    seed: int = 0
    threads: int = 2
    json: Path | None = None


def run(config: DynamicsBenchConfig) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Train and judge what is missing; yield each method with its figures, None for one that was interrupted.

    Raises:
        FileNotFoundError, ValueError: for an unusable dataset, an unknown method or terrain, a setting out of range, or
            other settings before.
    """
    _check(config)
    began = time.monotonic()
    if config.choose:
        chosen = _choose(config, began)
        if chosen is None:
            yield "choose", None
            return
        config = replace(config, **chosen)
    model = _model(config, config.history, config.context)
    for name in config.methods or METHODS:
        figures = method_figures(config, METHODS[name], model, config.budget, config.out, began)
        yield name, figures
        if figures is None:
            return


def _check(config: DynamicsBenchConfig) -> None:
    unknown = [name for name in config.methods if name not in METHODS]
    if unknown:
        raise ValueError(f"--methods {unknown[0]}: there is none, choose of {', '.join(METHODS)}")
    for name in ("budget", "history", "context"):
        if getattr(config, name) < 1:
            raise ValueError(f"--{name} {getattr(config, name)}: give at least 1")
    if not 0.0 < config.chain_rate < 1.0:
        raise ValueError(f"--chain-rate {config.chain_rate:g}: give a learning rate between 0 and 1, such as 0.01")


def method_figures(
    config: DynamicsBenchConfig, method: Method, model: ModelConfig, budget: int, out: Path, began: float
) -> dict[str, Any] | None:
    """Return a method's figures, from its file or by training and judging it; None if time is up."""
    path = out / method.name / "figures.json"
    settings = {"budget": budget, "seed": config.seed, "history": model.history, "context": model.robot}
    settings["hidden"] = list(model.hidden)
    if method.chains:
        settings["chain_cost"] = CHAIN_COST
    if not method.table:
        settings["chain_rate"] = config.chain_rate
    if path.exists():
        held = json.loads(path.read_text())
        if held["settings"] != settings:
            raise ValueError(f"{path} holds figures of other settings ({held['settings']}): give another --out")
        return held
    base = base_config(config.dataset, model, config.seed, config.threads)
    data = _read(config, replace(model, history=method.history or model.history, torque=method.torque))
    parts = split(data, config.seed)
    training = configure(method, base, data, budget, out, config.chain_rate)
    cpu = time.process_time()
    if not (training.output / "model.safetensors").exists() and not _train(
        config, method, training, data, parts, began
    ):
        return None
    figures = {"settings": settings, **judged(config, method, training, data, parts)}
    figures["cpu_seconds"] = round(time.process_time() - cpu, 1)  # of this call
    write_json(path, figures)
    return figures


def _train(
    config: DynamicsBenchConfig, method: Method, training: TrainConfig, data: Dataset, parts: Split, began: float
) -> bool:
    """Train a method until it is finished or time is up; return which."""
    if config.seconds:
        left = config.seconds - (time.monotonic() - began)
        if left < 1.0:
            return False
        training = replace(training, patience=left)
    return train(method, training, data, parts).model is not None


def judged(
    config: DynamicsBenchConfig, method: Method, training: TrainConfig, data: Dataset, parts: Split
) -> dict[str, Any]:
    """Return the rows and probes of a trained method."""
    torch.manual_seed(config.seed)
    bench = make_bench(config, training.output / "model.safetensors", data, parts, bool(method.known))
    rows = rows_of(bench, method.name)
    if method.name == "none":
        rows += ridge_rows(bench)
    told = {} if method.known else {"probes": probes(bench, method.name), "spread": spread(bench, method.name)}
    size = sum(p.numel() for p in bench.model.learner.network.parameters())
    return {"rows": rows, "parameters": size, "seconds_used": _used(bench), **told}


def make_bench(config: DynamicsBenchConfig, path: Path, data: Dataset, parts: Split, known: bool) -> Bench:
    """Return a trained model with what it is judged on."""
    model, info = DynamicsModel.load(path)
    model.requires_grad_(False)
    columns = data.terrain_index("flat"), data.terrain_index(config.stairs)
    return Bench(model, info, data, parts, *columns, SensorNoise(), known)


def figures_of(config: DynamicsBenchConfig, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all methods in one."""
    settings: dict[str, Any] = {"chain_cost": CHAIN_COST, "chain_rate": config.chain_rate}
    for one in found.values():
        settings |= one["settings"]
    data = _read(config, ModelConfig(history=settings["history"]))
    parts = split(data, config.seed)
    return {
        "rows": [row for one in found.values() for row in one["rows"]],
        "probes": [row for one in found.values() for row in one.get("probes", ())],
        "spread": [one["spread"] for one in found.values() if "spread" in one],
        "training": [
            {"method": n, "parameters": f["parameters"], "cpu_seconds": f["cpu_seconds"]} for n, f in found.items()
        ],
        "observed": _observed(config, parts),
        "settings": settings,
        "choice": _choice(config),
        "data": {
            "robots": len(data.robot_ids),
            "train": len(parts.train),
            "validation": len(parts.validation),
            **{f"test_{name}": len(rows) for name, rows in parts.test.items()},
            "terrains": data.terrains,
            "transitions": int(data.count.sum()),
            "seconds_used": next(iter(found.values()))["seconds_used"],
        },
    }


def _choice(config: DynamicsBenchConfig) -> list[dict[str, Any]]:
    """Return what `choose` tried, nothing if it did not."""
    path = config.out / "choice.json"
    return json.loads(path.read_text())["tried"] if path.exists() else []


def _observed(config: DynamicsBenchConfig, parts: Split) -> list[dict[str, Any]]:
    """Return what a policy's own input tells of the robot, from its file or by training the readers."""
    path = config.out / "observed.json"
    if not path.exists():
        torch.set_num_threads(config.threads)
        data = Dataset.read(config.dataset, history=2)
        columns = data.terrain_index("flat"), data.terrain_index(config.stairs)
        write_json(path, observed(data, parts, columns, SensorNoise(), config.seed))
    return json.loads(path.read_text())


def _used(bench: Bench) -> dict[str, float]:
    return {f"{s:g}": round(bench.transitions(s, bench.flat) * bench.data.control_dt, 2) for s in SECONDS}


def _read(config: DynamicsBenchConfig, model: ModelConfig) -> Dataset:
    return Dataset.read(config.dataset, model.history, model.torque)


def _model(config: DynamicsBenchConfig, history: int, size: int) -> ModelConfig:
    return ModelConfig(history=history, robot=size, terrain=size, hidden=config.hidden)


def _choose(config: DynamicsBenchConfig, began: float) -> dict[str, Any] | None:
    """Return what predicts validation robots on stairs best after a short training; None if time is up.

    History and context size are chosen with the table's method, the rate of chains with DMCM's. What counts is the
    error of one step, which training lowers: half a second ahead on stairs a model that has learned little errs less.
    """
    path = config.out / "choice.json"
    settings = {"budget": config.budget, "seed": config.seed, "hidden": list(config.hidden), "stairs": config.stairs}
    if path.exists():
        held = json.loads(path.read_text())
        if held["settings"] != settings:
            raise ValueError(f"{path} holds a choice of other settings ({held['settings']}): give another --out")
        return held["chosen"]
    shapes = [(history, 8) for history in HISTORIES] + [(3, size) for size in SIZES if size != 8]
    tried = [{"method": "table_anchor", "history": h, "context": size} for h, size in shapes]
    tried += [{"method": "dmcm", "history": 3, "context": 8, "chain_rate": rate} for rate in CHAIN_RATES]
    for one in tried:
        error = _short(config, one, began)
        if error is None:
            return None
        one |= error
    shape, chains = (
        min((one for one in tried if one["method"] == name), key=lambda one: one["error_1"])
        for name in ("table_anchor", "dmcm")
    )
    chosen = {"history": shape["history"], "context": shape["context"], "chain_rate": chains["chain_rate"]}
    write_json(path, {"settings": settings, "tried": tried, "chosen": chosen})
    return chosen


def _short(config: DynamicsBenchConfig, tried: dict[str, Any], began: float) -> dict[str, float | None] | None:
    """Return the errors of validation robots on stairs after a quarter of the budget, None if time is up."""
    method, rate = METHODS[tried["method"]], tried.get("chain_rate", config.chain_rate)
    model = _model(config, tried["history"], tried["context"])
    data = _read(config, model)
    parts = split(data, config.seed)
    out = config.out / "choose" / f"h{model.history}_c{model.robot}_{rate:g}"
    base = base_config(config.dataset, model, config.seed, config.threads)
    training = configure(method, base, data, max(config.budget // 4, CHAIN_COST), out, rate)
    done = (training.output / "model.safetensors").exists()
    if not done and not _train(config, method, training, data, parts, began):
        return None
    bench = make_bench(config, training.output / "model.safetensors", data, parts, False)
    found = bench.adapt(parts.validation, SECONDS[-1], bench.flat)
    under = bench.under(found, bench.model.terrain_contexts[bench.stairs])
    return errors(bench, parts.validation, bench.stairs, under)
