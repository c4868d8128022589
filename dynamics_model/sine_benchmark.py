"""The sine benchmark: trains every method for every exclusion and seed side by side, and measures them alike."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from dynamics_model.chains import ChainConfig, stream_losses
from dynamics_model.checkpoint import load_checkpoint, restore, restore_optimizer, save_checkpoint
from dynamics_model.injection import ModulatedMLP
from dynamics_model.meta import ContextLearner, Learner
from dynamics_model.meta_bench import keep_memory
from dynamics_model.mlp import StackedMLP
from dynamics_model.scaled import ScaledLearner
from dynamics_model.sine import BLOCK_25, NONE, Exclusion, SineTasks
from dynamics_model.sine_metrics import fits, measure, rows
from dynamics_model.train import write_json
from dynamics_model.weights import WeightLearner

HIDDEN, TASKS, CLIP = (40, 40), 25, 10.0
LEARNING_RATE, RATES_LEARNING_RATE = 1e-3, 5e-3  # Adam's: of networks, and of inner rates where they are learned
# Trained one group after the other, each a stack of models.
FIRST = (NONE, BLOCK_25)
SECOND = tuple(Exclusion(*e) for e in (("block", 0.1), ("block", 0.4), ("range", 0.1), ("range", 0.25), ("range", 0.4)))
TWO = {"amplitude": 2, "phase": 3}


@dataclass(frozen=True)
class Method:
    """A way to train, and for which exclusions.

    Attributes:
        contexts: sizes of named contexts; none for a method that adapts weights.
        head: of weights, adapt only the last layer's (ANIL).
        modulated: contexts shift the first layer and scale the last (`ModulatedMLP`), with rates that are learned and
            depend on the size of the outputs (`ScaledLearner`); else they are inputs, with a fixed rate.
        lasso: weight of the penalty by which contexts leave the sites they do not need.
        inner_rate: of every inner step.
        inner_steps: in training, of every task.
        recombination, restart, order, changed: of `ChainConfig`.
        band: of the training tasks (`SineTasks`).
        init: of `StackedMLP`.
        iterations: as a multiple of the benchmark's.
        exclusions: trained for.
    """

    contexts: Mapping[str, int] = field(default_factory=dict)
    head: bool = False
    modulated: bool = False
    lasso: float = 0.0
    inner_rate: float = 1.0
    inner_steps: int = 3
    recombination: float = 0.0
    restart: float = 1.0
    order: str = "sequential"
    changed: str = "reset"
    band: float = 1.0
    init: str = "fan_in"
    iterations: float = 1.0
    exclusions: tuple[Exclusion, ...] = FIRST + SECOND

    def learner(self, models: int) -> Learner:
        """Return `models` stacked learners with fresh weights."""
        if self.modulated:
            modulated = ModulatedMLP(1, HIDDEN, 1, tuple(self.contexts.values()), models)
            return ScaledLearner(modulated, self.contexts, models=models)
        network = StackedMLP(1, HIDDEN, 1, sum(self.contexts.values()), models, self.init)
        if self.contexts:
            return ContextLearner(network, self.contexts, self.inner_rate, models=models)
        parts = {"head": ["weights.2", "biases.2"]} if self.head else None
        return WeightLearner(network, parts, self.inner_rate, models=models)

    def chains(self) -> ChainConfig:
        """Return how its tasks follow each other."""
        names = ("recombination", "restart", "order", "changed", "inner_steps")
        return ChainConfig(chains=TASKS, **{name: getattr(self, name) for name in names})


def dmcm(**changes) -> Method:
    """Return DMCM with `changes`."""
    return dataclasses.replace(Method(TWO, recombination=0.5, restart=0.25), **changes)


METHODS = {
    "CAVIA": Method({"all": 5}),
    "CAVIA, 1 step": Method({"all": 5}, inner_steps=1, iterations=5.0, exclusions=(NONE,)),
    "DMCM": dmcm(),
    "DMCM, modulated": dmcm(modulated=True, lasso=0.05, recombination=1.0, restart=1.0),
    "CAVIA, modulated": Method({"all": 5}, modulated=True, iterations=0.5),
    "DMCM, modulated, in chains": dmcm(
        modulated=True, lasso=0.05, recombination=1.0, restart=0.5, iterations=0.5, exclusions=FIRST
    ),
    "DMCM without recombination": dmcm(recombination=0.0),
    "ANIL": Method(head=True, inner_rate=0.1),
    "MAML": Method(inner_rate=0.01),
    "MAML, 1/√fan-out init": Method(inner_rate=0.01, init="fan_out", exclusions=(NONE, BLOCK_25)),
}
ABLATIONS = {
    "i.i.d. order": dmcm(order="iid", exclusions=FIRST),
    "correlated factors": dmcm(band=0.3, exclusions=(NONE,)),
    "correlated factors, no recombination": dmcm(band=0.3, recombination=0.0, exclusions=(NONE,)),
    "keep the changed context": dmcm(changed="keep", exclusions=FIRST),
    "K = 3": dmcm(contexts={"amplitude": 2, "phase": 2, "third": 1}, exclusions=FIRST),
    "K = 4": dmcm(contexts={"amplitude": 1, "phase": 2, "third": 1, "fourth": 1}, exclusions=FIRST),
}


@dataclass(frozen=True)
class SineConfig:
    """The sine benchmark.

    Attributes:
        out: folder for checkpoints, tables and figures; a rerun continues there.
        seeds: models of every method and exclusion.
        seed: of everything random.
        iterations: of training.
        tasks: test tasks.
        methods: which; all by default.
        exclusions: which, such as "none" and "block 25"; all by default.
        ablations: the ablations too.
        quick: a look in a minute: one seed, 300 iterations, exclusions none and block 25.
        threads: of torch.
        checkpoint_seconds: s between checkpoints.
        quiet: show no progress.
        json: file for the figures.
    """

    out: Path = Path("runs/sine")
    seeds: int = 3
    seed: int = 0
    iterations: int = 10_000
    tasks: int = 1000
    methods: tuple[str, ...] = ()
    exclusions: tuple[str, ...] = ()
    ablations: bool = False
    quick: bool = False
    threads: int = 1
    checkpoint_seconds: float = 60.0
    quiet: bool = False
    json: Path | None = None

    def settled(self) -> SineConfig:
        """Return the configuration with `quick` worked out.

        Raises:
            ValueError: if a number is too small, a method or an exclusion unknown.
        """
        for name in ("seeds", "iterations", "tasks", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        unknown = [name for name in self.methods if name not in METHODS | ABLATIONS]
        if unknown:
            raise ValueError(f"methods: unknown method '{unknown[0]}', choose from {', '.join(METHODS | ABLATIONS)}")
        unknown = [name for name in self.exclusions if name not in map(str, FIRST + SECOND)]
        if unknown:
            known = ", ".join(map(str, FIRST + SECOND))
            raise ValueError(f"exclusions: unknown exclusion '{unknown[0]}', choose from {known}")
        return dataclasses.replace(self, seeds=1, iterations=300, tasks=200) if self.quick else self

    def stacks(self) -> list[tuple[str, Method]]:
        """Return the stacks of models to train: names and methods, each with some of its exclusions."""
        known = METHODS | ABLATIONS
        chosen = {n: known[n] for n in self.methods} or (known if self.ablations else METHODS)
        if self.quick:
            return [(n, dataclasses.replace(m, iterations=1.0, exclusions=(NONE, BLOCK_25))) for n, m in chosen.items()]
        wanted = [e for e in FIRST + SECOND if not self.exclusions or str(e) in self.exclusions]
        parts = [
            (name, dataclasses.replace(method, exclusions=tuple(e for e in group if e in method.exclusions)))
            for group in ([e for e in FIRST if e in wanted], [e for e in SECOND if e in wanted])
            for name, method in chosen.items()
        ]
        return [(name, method) for name, method in parts if method.exclusions]


def run(config: SineConfig) -> dict[str, Any] | None:
    """Train and measure what `config.out` does not hold yet; return the figures, None if interrupted.

    SIGINT and SIGTERM write a checkpoint first.

    Raises:
        ValueError: for an unusable configuration, or a folder with results of another one.
    """
    config = config.settled()
    torch.set_num_threads(config.threads)
    keep_memory()
    config.out.mkdir(parents=True, exist_ok=True)
    results, curves = [], {}
    with _signals() as stop, _progress(config.quiet) as progress:
        for name, method in config.stacks():
            training = Training(config, name, method)
            result = training.run(progress, stop)
            if result is None:
                return None
            results.append(result)
            if name in METHODS and BLOCK_25 in training.exclusions:
                model = training.exclusions.index(BLOCK_25)
                curves[name] = fits(training.learner, len(training.exclusions), model)
    return {
        "rows": [row for result in results for row in result["rows"]],
        "training": [{k: v for k, v in result.items() if k != "rows"} | {"tasks": TASKS} for result in results],
        "fits": curves,
    }


class Training:
    """One method: the models of all its exclusions and seeds, stacked, and how far they have come."""

    def __init__(self, config: SineConfig, name: str, method: Method) -> None:
        """Build the models, or restore their checkpoint.

        Raises:
            ValueError: if the folder holds the method trained otherwise.
        """
        self.config, self.name, self.method = config, name, method
        self.exclusions = [e for e in method.exclusions for _ in range(config.seeds)]
        self.iterations = round(config.iterations * method.iterations)
        slug = "".join(c if c.isalnum() else "_" for c in f"{name} {method.exclusions[0]}".lower())
        self.result, self.checkpoint = config.out / f"{slug}.json", config.out / f"{slug}.safetensors"
        described = {**dataclasses.asdict(method), "exclusions": [str(e) for e in self.exclusions], "seed": config.seed}
        self.identity = json.loads(json.dumps({**described, "iterations": self.iterations, "tasks": config.tasks}))
        self.state: dict[str, Any] = {"iteration": 0, "seconds": 0.0, "identity": self.identity}
        torch.manual_seed(config.seed)
        self.learner = method.learner(len(self.exclusions))
        named = [(n, p) for n, p in self.learner.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in named if n.startswith("network.")], "peak": LEARNING_RATE},
            {"params": [p for n, p in named if not n.startswith("network.")], "peak": RATES_LEARNING_RATE},
        ]
        self.optimizer = torch.optim.Adam([g for g in groups if g["params"]], fused=True)
        self.tasks = SineTasks(self.exclusions, method.band)
        self.chain = Chain()
        if self.checkpoint.exists():
            saved, self.state = load_checkpoint(self.checkpoint)
            if self.state["identity"] != self.identity:
                raise ValueError(f"{self.checkpoint}: trained with other options; choose another --out")
            self.chain.resize(saved)
            restore(saved, self.modules, self.checkpoint)
            restore_optimizer(saved, self.optimizer)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {"learner": self.learner, "chain": self.chain}

    def run(self, progress: Progress, stop: list[bool]) -> dict[str, Any] | None:
        """Train to the end, measure, and return rows and cost; None if stopped before."""
        bar = progress.add_task(self.name, total=self.iterations, completed=self.state["iteration"], note="")
        if self.result.exists():
            done = json.loads(self.result.read_text())
            if done["identity"] != self.identity:
                raise ValueError(f"{self.result}: measured with other options; choose another --out")
            progress.update(bar, completed=self.iterations, note="done before")
            return done
        before, begun, written = self.state["seconds"], time.process_time(), time.monotonic()
        while self.state["iteration"] < self.iterations and not stop:
            loss = self.step()
            self.state["iteration"] += 1
            self.state["seconds"] = before + time.process_time() - begun
            if self.state["iteration"] % 50 == 0:
                speed = self.state["iteration"] * len(self.exclusions) / self.state["seconds"]
                note = f"loss {float(loss):.3f}  {speed:.0f} model-iterations per CPU-s"
                progress.update(bar, completed=self.state["iteration"], note=note)
            if time.monotonic() - written > self.config.checkpoint_seconds:
                self.save()
                written = time.monotonic()
        self.save()
        if stop:
            return None
        progress.update(bar, completed=self.iterations, note="measuring")
        found = measure(self.learner, self.exclusions, self.config.tasks, self.method.changed == "keep")
        made = rows(self.name, found, self.exclusions)
        done = {"rows": made, "method": self.name, "cpu_seconds": self.state["seconds"], "identity": self.identity}
        write_json(self.result, done)
        return done

    def step(self) -> Tensor:
        """Do one iteration and return the mean loss over models."""
        share = self.state["iteration"] / self.iterations
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * 0.5 * (1 + math.cos(math.pi * share))
        self.optimizer.zero_grad(set_to_none=True)
        parts, state = stream_losses(self.learner, self.tasks, self.method.chains(), self.chain.state)
        self.chain.state = state
        if self.method.lasso:
            parts["lasso"] = self.method.lasso * self.learner.network.site_norm()
        sum(parts.values()).backward()
        clip(self.learner)
        self.optimizer.step()
        return parts["query"].detach() / len(self.exclusions)

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self.checkpoint, self.modules, self.optimizer, self.state)


class Chain(nn.Module):
    """Where a stream of tasks is: the factors and contexts of its chains, as a checkpoint holds them."""

    def __init__(self) -> None:
        """Start nowhere."""
        super().__init__()
        self.register_buffer("factors", torch.zeros(0))
        self.register_buffer("context", torch.zeros(0))

    @property
    def state(self) -> tuple[Tensor, Tensor] | None:
        """The state that `stream_losses` takes."""
        return (self.factors, self.context) if len(self.factors) else None

    @state.setter
    def state(self, value: tuple[Tensor, Tensor] | None) -> None:
        if value is not None:
            self.factors, self.context = value

    def resize(self, saved: Mapping[str, Tensor]) -> None:
        """Make room for the state in the tensors of a checkpoint."""
        self.factors, self.context = (torch.empty_like(saved[f"chain.{n}"]) for n in ("factors", "context"))


def clip(learner: nn.Module, limit: float = CLIP) -> None:
    """Limit the gradient's norm of each stacked model by itself; one that is not finite becomes zero."""
    gradients = [p.grad for p in learner.parameters() if p.grad is not None]
    norm = sum(g.flatten(1).square().sum(1) for g in gradients).sqrt()
    scale = limit / norm.clamp_min(limit)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1))).nan_to_num_(0.0, 0.0, 0.0)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    columns = (TextColumn("{task.description:<36}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    columns += (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        yield progress


@contextmanager
def _signals() -> Iterator[list[bool]]:
    """Yield a list that is no longer empty after SIGINT or SIGTERM; elsewhere than in the main thread it stays so."""
    stop: list[bool] = []
    try:
        before = {n: signal.signal(n, lambda *_: stop.append(True)) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
