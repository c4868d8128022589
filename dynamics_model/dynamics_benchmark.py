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
from dynamics_model.contenders import (
    CHAIN_COST,
    CHAIN_POINTS,
    METHODS,
    Method,
    Split,
    base_config,
    configure,
    split,
    train,
)
from dynamics_model.dataset import Dataset, SensorNoise, digest
from dynamics_model.disentangle import probes, spread
from dynamics_model.network import DynamicsModel, ModelConfig
from dynamics_model.observed import observed
from dynamics_model.train import TrainConfig, write_json

HISTORIES, SIZES = (1, 3, 5), (4, 8)  # that `choose` tries, frames and entries of each context
CHAIN_RATES = (3e-4, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)  # learning rates that it tries
LATER = ("dataset", "stairs", "chain_points")  # settings that older figures do not name


@dataclass
class DynamicsBenchConfig:
    """Compare dynamics models on the dataset of `dmcm collect`; the last 15 % of every log judge.

    A method that is finished is kept, one that was interrupted goes on, both only with the settings and the data that
    they were begun with. Ctrl-C leaves a checkpoint.

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
    common, began = _common(config), time.monotonic()
    if config.choose:
        chosen = _choose(config, common, began)
        if chosen is None:
            yield "choose", None
            return
        config = replace(config, **chosen)
    model = _model(config, config.history, config.context)
    for name in config.methods or METHODS:
        figures = method_figures(config, common, METHODS[name], model, began)
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
    config: DynamicsBenchConfig, common: dict[str, Any], method: Method, model: ModelConfig, began: float
) -> dict[str, Any] | None:
    """Return a method's figures, from its file or by training and judging it; None if time is up."""
    path = config.out / method.name / "figures.json"
    settings = _settings(common, method, model, config.budget, config.chain_rate)
    if path.exists():
        held = json.loads(path.read_text())
        _agree(path.parent, held["settings"], settings)
        return held
    base = base_config(config.dataset, model, config.seed, config.threads)
    data = _read(config, replace(model, history=method.history or model.history, torque=method.torque))
    parts = split(data, config.seed)
    _claim(path.parent, settings)
    training = configure(method, base, data, config.budget, config.out, config.chain_rate)
    cpu = time.process_time()
    if not (training.output / "model.safetensors").exists() and not _train(
        config, method, training, data, parts, began
    ):
        return None
    figures = {"settings": settings, **judged(config, method, training, data, parts)}
    figures["cpu_seconds"] = round(time.process_time() - cpu, 1)  # of this call
    write_json(path, figures)
    return figures


def _common(config: DynamicsBenchConfig) -> dict[str, Any]:
    """Return the settings of whatever is made of the dataset."""
    return {"dataset": digest(config.dataset)[:16], "stairs": config.stairs, "seed": config.seed}


def _settings(
    common: dict[str, Any], method: Method, model: ModelConfig, budget: int, chain_rate: float
) -> dict[str, Any]:
    """Return all that a trained method and its figures depend on, besides the code."""
    shape = {"history": model.history, "context": model.robot, "hidden": list(model.hidden)}
    settings = {**common, "budget": budget, **shape}
    if method.chains:
        settings |= {"chain_cost": CHAIN_COST, "chain_points": CHAIN_POINTS}
    if not method.table:
        settings["chain_rate"] = chain_rate
    return settings


def _agree(path: Path, held: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise ValueError, naming what differs, unless what `path` holds was made with these settings."""
    held = {name: settings[name] for name in LATER if name in settings} | held
    other = [name for name in settings | held if held.get(name) != settings.get(name)]
    if other:
        which = ", ".join(f"{name} {held.get(name)}, not {settings.get(name)}" for name in other)
        raise ValueError(f"{path} holds a run of other settings ({which}): give another --out, or remove it")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Note in `folder` with which settings a model is trained there, or make sure that the one there was.

    Raises:
        ValueError: if there is one of other settings, or of some that nobody noted.
    """
    path = folder / "settings.json"
    if not any((folder / name).exists() for name in ("checkpoint.safetensors", "model.safetensors")):
        write_json(path, settings)
    elif path.exists():
        _agree(folder, json.loads(path.read_text()), settings)
    else:
        raise ValueError(f"{folder} holds a run of settings that nobody noted: give another --out, or remove it")


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
    path, settings = config.out / "observed.json", _common(config)
    if path.exists():
        held = json.loads(path.read_text())
        if isinstance(held, list):  # of before settings were noted with it
            return held
        _agree(path, held["settings"], settings)
        return held["rows"]
    torch.set_num_threads(config.threads)
    data = Dataset.read(config.dataset, history=2)
    columns = data.terrain_index("flat"), data.terrain_index(config.stairs)
    rows = observed(data, parts, columns, SensorNoise(), config.seed)
    write_json(path, {"settings": settings, "rows": rows})
    return rows


def _used(bench: Bench) -> dict[str, float]:
    return {f"{s:g}": round(bench.transitions(s, bench.flat) * bench.data.control_dt, 2) for s in SECONDS}


def _read(config: DynamicsBenchConfig, model: ModelConfig) -> Dataset:
    """Return the dataset as the model takes it.

    Raises:
        FileNotFoundError, DatasetError: if it is unusable, or without the stairs.
    """
    data = Dataset.read(config.dataset, model.history, model.torque)
    data.terrain_index(config.stairs)
    return data


def _model(config: DynamicsBenchConfig, history: int, size: int) -> ModelConfig:
    return ModelConfig(history=history, robot=size, terrain=size, hidden=config.hidden)


def _choose(config: DynamicsBenchConfig, common: dict[str, Any], began: float) -> dict[str, Any] | None:
    """Return what predicts validation robots on stairs best after a short training; None if time is up.

    History and context size are chosen with the table's method, the rate of chains with DMCM's. What counts is the
    error of one step, which training lowers: half a second ahead on stairs a model that has learned little errs less.
    """
    path = config.out / "choice.json"
    settings = {**common, "budget": config.budget, "hidden": list(config.hidden)}
    if path.exists():
        held = json.loads(path.read_text())
        _agree(path, held["settings"], settings)
        return held["chosen"]
    shapes = [(history, 8) for history in HISTORIES] + [(3, size) for size in SIZES if size != 8]
    tried = [{"method": "table_anchor", "history": h, "context": size} for h, size in shapes]
    tried += [{"method": "dmcm", "history": 3, "context": 8, "chain_rate": rate} for rate in CHAIN_RATES]
    for one in tried:
        error = _short(config, common, one, began)
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


def _short(
    config: DynamicsBenchConfig, common: dict[str, Any], tried: dict[str, Any], began: float
) -> dict[str, float | None] | None:
    """Return the errors of validation robots on stairs after a quarter of the budget, None if time is up."""
    method, rate = METHODS[tried["method"]], tried.get("chain_rate", config.chain_rate)
    model = _model(config, tried["history"], tried["context"])
    budget = max(config.budget // 4, CHAIN_COST)
    out = config.out / "choose" / f"h{model.history}_c{model.robot}_{rate:g}"
    data = _read(config, model)
    parts = split(data, config.seed)
    _claim(out / method.name, _settings(common, method, model, budget, rate))
    base = base_config(config.dataset, model, config.seed, config.threads)
    training = configure(method, base, data, budget, out, rate)
    done = (training.output / "model.safetensors").exists()
    if not done and not _train(config, method, training, data, parts, began):
        return None
    bench = make_bench(config, training.output / "model.safetensors", data, parts, False)
    found = bench.adapt(parts.validation, SECONDS[-1], bench.flat)
    under = bench.under(found, bench.model.terrain_contexts[bench.stairs])
    return errors(bench, parts.validation, bench.stairs, under)
