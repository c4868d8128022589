"""Training of the quadruped's dynamics model: a table of contexts first, then DMCM through the inner steps."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from dynamics_model.adaptation import alternate
from dynamics_model.chains import ChainConfig, chain_losses
from dynamics_model.checkpoint import load_checkpoint, restore, restore_optimizer, save_checkpoint
from dynamics_model.dataset import Dataset, SensorNoise, digest
from dynamics_model.network import DynamicsModel, ModelConfig, ModelError, ModelInfo
from dynamics_model.table import GridTasks, Table, table_loss
from dynamics_model.validate import Ground, choose_steps, condition, judge, preview

CHAIN_RATE = 0.6  # of the rates found by preconditioning: the second stage starts with careful steps


@dataclass(frozen=True)
class StageConfig:
    """How long and how fast a stage trains.

    Attributes:
        iterations: at most so many; 0 leaves the stage out.
        seconds: at most so long, s; infinite for no limit. The learning rate falls with whichever is nearer.
        learning_rate: of the network, at its highest.
        context_learning_rate: of the table's contexts, or of the logarithms of the inner rates in the second stage.
        validate_every: iterations between validations on held-out robots.
    """

    iterations: int
    seconds: float = math.inf
    learning_rate: float = 2e-3
    context_learning_rate: float = 1e-2
    validate_every: int = 2000


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run.

    Attributes:
        dataset: folder of task files.
        output: folder for the model and its checkpoints.
        seed: of everything random.
        threads: torch threads.
        held_out: share of the robots that never train.
        flat: name of the terrain on which robots are adapted.
        model: shape of the network.
        noise: sensor noise added to every sample.
        table, stages: the first stage; `chains_stage` the second.
        batch: transitions in an iteration of the first stage.
        anchor: let the table's robot contexts be a linear map of the true factors plus a free part.
        penalty: weight of the free contexts' mean square.
        chains: the second stage's chains.
        points: support and query transitions of a task in the second stage.
        resume: continue from the checkpoint in `output`.
        checkpoint_seconds: s between checkpoints.
        patience: stop as by a signal after so long, s.
        quiet: show no progress.
    """

    dataset: Path
    output: Path
    seed: int = 0
    threads: int = 2
    held_out: float = 0.125
    flat: str = "flat"
    model: ModelConfig = field(default_factory=ModelConfig)
    noise: SensorNoise = field(default_factory=SensorNoise)
    table: StageConfig = field(default_factory=lambda: StageConfig(4000, 300.0))
    chains_stage: StageConfig = field(default_factory=lambda: StageConfig(1200, 600.0, 3e-4, 3e-3, 300))
    batch: int = 4096
    anchor: bool = True
    penalty: float = 1e-4
    chains: ChainConfig = field(default_factory=ChainConfig)
    points: int = 256
    resume: bool = False
    checkpoint_seconds: float = 60.0
    patience: float = math.inf
    quiet: bool = False


@dataclass
class TrainResult:
    """What a run left behind.

    Attributes:
        model: path of the model file, None if the run was interrupted (its checkpoint is there).
        validation: figures of the finished model on held-out robots.
        rates: iterations per second of each stage that ran.
    """

    model: Path | None
    validation: dict[str, Any]
    rates: dict[str, float]


def run(config: TrainConfig) -> TrainResult:
    """Train, and write `model.safetensors`, `history.json` and `checkpoint.safetensors` to the output folder.

    SIGINT and SIGTERM write a checkpoint and return.

    Raises:
        FileNotFoundError, ValueError: for an unusable dataset or checkpoint, one clear sentence.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    trainer = Trainer(config, Dataset.read(config.dataset, config.model.history, config.model.torque))
    return trainer.run()


class Trainer:
    """One run: dataset, model, table, and how far it has come."""

    def __init__(self, config: TrainConfig, data: Dataset, split: tuple[Tensor, Tensor] | None = None) -> None:
        """Build the model with its normalizers, or restore the checkpoint; `split` says who trains and who is held out.

        Raises:
            FileNotFoundError, ValueError: if there is nothing to resume, or it does not fit.
        """
        self.config, self.data = config, data
        self.terrain = data.terrain_index(config.flat)
        self.train, self.held = split or data.split(config.held_out, config.seed, self.terrain)
        self.ground = Ground(data, self.train, self.held, self.terrain, config.noise)
        self.model = DynamicsModel(config.model, len(data.terrain_ids))
        tasks = data.grid[self.train]
        self.model.fit_normalizers(data.sample(tasks[tasks >= 0], 64, noise=config.noise))
        self.table = self.make_table()
        begun: dict[str, Any] = {"stage": "table", "iteration": 0, "elapsed": 0.0, "history": [], "rates": {}}
        self.state = {"identity": _identity(config, data, self.held), **begun}
        self.saved: dict[str, Tensor] = {}
        self.stop, self.began = False, time.monotonic()
        self.checkpoint = config.output / "checkpoint.safetensors"
        if config.resume:
            mine = self.state["identity"]
            self.saved, self.state = load_checkpoint(self.checkpoint)
            _agree(self.checkpoint, self.state.get("identity", {}), mine)
            restore(self.saved, self.modules, self.checkpoint)

    def make_table(self) -> Table:
        """Return the contexts of the first stage."""
        return Table(self.data, self.train, self.model, self.config.anchor)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {"model": self.model, "table": self.table}

    def run(self) -> TrainResult:
        """Run the stages that are left and write the model."""
        with _signals(self), _progress(self.config.quiet) as progress:
            if self.state["stage"] == "table":
                self._table(progress)
            if self.state["stage"] == "chains" and not self.stop:
                self._chains(progress)
        if self.stop:
            return TrainResult(None, {}, self.state["rates"])
        return self._finish()

    def _table(self, progress: Progress) -> None:
        config, stage = self.config, self.config.table
        parameters = [
            {"params": list(self.model.parameters()), "lr": stage.learning_rate},
            {"params": list(self.table.parameters()), "lr": stage.context_learning_rate},
        ]

        def step() -> float:
            loss = table_loss(self.model, self.table, self.data, self.train, config.batch, config.noise)
            (loss + config.penalty * self.table.penalty()).backward()
            return float(loss.detach())

        self._loop("table", stage, parameters, step, progress)
        if self.stop:
            return
        if stage.iterations:
            self.take_over()
        self._next("chains")

    def take_over(self) -> None:
        """Give the table's contexts to the model, in coordinates in which adaptation is well conditioned."""
        contexts, terrains = self.table.split(self.terrain)
        self.model.terrain_contexts.copy_(terrains)
        condition(self.model, self.data, self.train, contexts, self.config.noise)
        if self.config.chains_stage.iterations:
            self.model.learner.log_rate.data += math.log(CHAIN_RATE)

    def _chains(self, progress: Progress) -> None:
        config, stage = self.config, self.config.chains_stage
        learner = self.model.learner
        tasks = GridTasks(self.model, self.data, self.train, config.points, config.noise)
        learner.log_rate.requires_grad_(True)
        network = [p for p in self.model.parameters() if p is not learner.log_rate]
        parameters = [
            {"params": network, "lr": stage.learning_rate},
            {"params": [learner.log_rate], "lr": stage.context_learning_rate},
        ]

        def step() -> float:
            total = 0.0
            for parts in chain_losses(learner, tasks, config.chains):
                sum(parts.values()).backward()
                total += float(parts["query"].detach())
            return total

        self._loop("chains", stage, parameters, step, progress)
        learner.log_rate.requires_grad_(False)
        if self.stop:
            return
        if stage.iterations:
            condition(self.model, self.data, *self._adapted(rounds=2), config.noise)
        self._next("done")

    def _loop(
        self,
        name: str,
        stage: StageConfig,
        parameters: list[dict[str, Any]],
        step: Callable[[], float],
        progress: Progress,
    ) -> None:
        if not stage.iterations:
            return
        optimizer = torch.optim.Adam(parameters, fused=True)
        restore_optimizer(self.saved, optimizer)
        self.saved = {}
        peaks = [group["lr"] for group in optimizer.param_groups]
        everything = [p for group in optimizer.param_groups for p in group["params"]]
        bar = progress.add_task(name, total=1.0, loss="", note="")
        begun, before, written = time.monotonic(), self.state["elapsed"], time.monotonic()
        deadline = self.began + self.config.patience
        smooth = None
        while not self.stop:
            self.state["elapsed"] = before + time.monotonic() - begun
            share = max(self.state["iteration"] / stage.iterations, self.state["elapsed"] / stage.seconds)
            if share >= 1.0:
                break
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * _schedule(share)
            optimizer.zero_grad(set_to_none=True)
            loss = step()
            norm = nn.utils.clip_grad_norm_(everything, 1.0)
            if math.isfinite(loss) and math.isfinite(float(norm)):
                optimizer.step()
            self.state["iteration"] += 1
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            speed = self.state["iteration"] / max(self.state["elapsed"], 1e-9)
            progress.update(bar, completed=share, loss=f"loss {smooth:.4f}  {speed:.1f} it/s")
            if self.state["iteration"] % stage.validate_every == 0:
                progress.update(bar, note=self._validate(name, smooth))
            self.stop = self.stop or time.monotonic() > deadline
            if time.monotonic() - written > self.config.checkpoint_seconds:
                self._save(optimizer)
                written = time.monotonic()
        self.state["rates"][name] = self.state["iteration"] / max(self.state["elapsed"], 1e-9)
        progress.update(bar, completed=1.0)
        if self.stop:
            self._save(optimizer)
        else:
            self._validate(name, smooth)

    def _validate(self, stage: str, loss: float | None) -> str:
        if len(self.held) == 0:
            return ""
        if stage == "table":
            rows, (contexts, terrains) = self.train, self.table.split(self.terrain)
            self.model.terrain_contexts.copy_(terrains)
        else:
            rows, contexts = self._adapted(rounds=1, robots=64)
        figures = preview(self.model, self.ground, rows, contexts)
        entry = {"stage": stage, "iteration": self.state["iteration"], "elapsed": self.state["elapsed"], "loss": loss}
        self.state["history"].append({**entry, **figures})
        return summary(figures)

    def _adapted(self, rounds: int, robots: int | None = None) -> tuple[Tensor, Tensor]:
        """Return rows of training robots and their contexts adapted on flat ground, terrain contexts refitted."""
        rows = self.train[: robots or len(self.train)]
        rows = rows[self.data.grid[rows, self.terrain] >= 0]
        options = {"count": 400, "steps": 5, "rate": 0.5, "noise": self.config.noise}
        return rows, alternate(self.model, self.data, rows, self.terrain, rounds, **options)

    def _next(self, stage: str) -> None:
        self.state.update(stage=stage, iteration=0, elapsed=0.0)
        self._save(None)

    def _save(self, optimizer: torch.optim.Optimizer | None) -> None:
        save_checkpoint(self.checkpoint, self.modules, optimizer, self.state)
        write_json(self.config.output / "history.json", self.state["history"])

    def _finish(self) -> TrainResult:
        config, data = self.config, self.data
        steps, rate, validation = self.judge()
        info = ModelInfo(
            robot=data.robot,
            robot_digest=data.robot_digest,
            control_dt=data.control_dt,
            terrains=data.terrains,
            train_robots=[data.robot_ids[i] for i in self.train],
            held_out_robots=[data.robot_ids[i] for i in self.held],
            noise=asdict(config.noise),
            inner_steps=steps,
            inner_rate=rate,
            validation=validation,
            history=self.state["history"],
        )
        path = config.output / "model.safetensors"
        self.model.save(path, info)
        write_json(config.output / "history.json", self.state["history"])
        return TrainResult(path, validation, self.state["rates"])

    def judge(self) -> tuple[int, float, dict[str, Any]]:
        """Return the gradient steps and the multiple of the rates that adapt best, and figures of who is held out."""
        if not len(self.held):
            return 10, 0.5, {}
        steps, rate = choose_steps(self.model, self.ground)
        return steps, rate, judge(self.model, self.ground, steps, rate)


def summary(figures: dict[str, Any]) -> str:
    """Return the figures of `judge` as one short line."""
    line = f"error {figures['nominal']:.3f} > {figures['adapted']:.3f}" if "adapted" in figures else ""
    shown = [n for n in ("payload", "kp_strength", "kd_strength") if n in figures.get("r2", {})]
    return "  ".join([line, *(f"{name} R2 {figures['r2'][name]:.2f}" for name in shown)])


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1))
    os.replace(temporary, path)


def _schedule(share: float) -> float:
    """Return the learning rate's factor after `share` of a stage: a short rise, then half a cosine to 2 %."""
    return min(1.0, 0.05 + share / 0.02) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        yield progress


def _identity(config: TrainConfig, data: Dataset, held: Tensor) -> dict[str, Any]:
    """Return what a run must keep when it is resumed: its data, who is held out, and what it learns."""
    return {
        "dataset": digest(config.dataset)[:16],
        "held_out": [data.robot_ids[row] for row in held.tolist()],
        "seed": config.seed,
        "flat": config.flat,
        "anchor": config.anchor,
        "noise": asdict(config.noise),
        "model": json.loads(json.dumps(asdict(config.model))),
    }


def _agree(path: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to resume a run of other settings.

    Raises:
        ModelError: naming what differs.
    """
    differ = [name for name, value in wanted.items() if there.get(name) != value]
    if differ:
        raise ModelError(
            f"{path}: begun with another {', '.join(differ)}: resume with the same, or give another --output"
        )


@contextmanager
def _signals(trainer: Trainer) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the loop after its iteration; elsewhere than in the main thread do nothing."""

    def stop(number: int, frame: object) -> None:
        trainer.stop = True

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
