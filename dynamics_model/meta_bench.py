"""How fast meta-learners train: iterations and tasks per second on one thread."""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dynamics_model.chains import ChainConfig, stream_losses
from dynamics_model.meta import ContextLearner, Learner
from dynamics_model.mlp import StackedMLP
from dynamics_model.sine import NONE, SineTasks
from dynamics_model.weights import WeightLearner

TASKS, BATCHES, WIDTHS, STACKS = 25, (25, 100, 400, 1600), (40, 128, 512), (1, 3, 7, 21)


@dataclass(frozen=True)
class MetaBenchConfig:
    """Speed of meta-training on sine.

    Attributes:
        seconds: s that each figure is measured for.
        inner_steps: inner steps of a task, second order.
        threads: of torch.
        seed: of everything random.
        json: file for the figures.
    """

    seconds: float = 2.0
    inner_steps: int = 1
    threads: int = 1
    seed: int = 0
    json: Path | None = None


def keep_memory() -> None:
    """Let glibc keep freed memory instead of giving it back and faulting it in again every iteration (2-3 times)."""
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    for parameter, value in ((-3, 1 << 30), (-1, 1 << 30), (-2, 1 << 26)):  # M_MMAP_THRESHOLD, M_TRIM_..., M_TOP_PAD
        libc.mallopt(parameter, value)


def cavia(width: int = 40, models: int = 1) -> Learner:
    """Return CAVIA with 5 context values on a network 1-width-width-1."""
    return ContextLearner(StackedMLP(1, (width, width), 1, 5, models), {"all": 5}, models=models)


def maml(width: int = 40, models: int = 1) -> Learner:
    """Return MAML on a network 1-width-width-1."""
    return WeightLearner(StackedMLP(1, (width, width), 1, 0, models), models=models)


def speed(learner: Learner, tasks: int, config: MetaBenchConfig, models: int = 1) -> float:
    """Return the training iterations per second, data, backward pass and Adam included.

    With one thread seconds are the processor's, so that what else the machine does hardly counts.
    """
    clock = time.process_time if config.threads == 1 else time.perf_counter
    family = SineTasks([NONE] * models)
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], 1e-3, fused=True)
    chains = ChainConfig(chains=tasks, restart=1.0, inner_steps=config.inner_steps, recombination=0.0)

    def iterate() -> None:
        optimizer.zero_grad(set_to_none=True)
        parts, _ = stream_losses(learner, family, chains)
        parts["query"].backward()
        optimizer.step()

    for _ in range(2):
        iterate()
    count, begun = 0, clock()
    while clock() - begun < config.seconds:
        iterate()
        count += 1
    return count / (clock() - begun)


def bench(config: MetaBenchConfig) -> dict[str, Any]:
    """Return the figures: iterations per second of one model, tasks per second against batch and width, and stacked.

    Raises:
        ValueError: if a number is too small.
    """
    for name in ("seconds", "inner_steps", "threads"):
        if getattr(config, name) <= 0:
            raise ValueError(f"{name}: must be positive, not {getattr(config, name)}")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    keep_memory()
    return {
        "threads": config.threads,
        "inner_steps": config.inner_steps,
        "cavia_iterations_per_s": speed(cavia(), TASKS, config),
        "maml_iterations_per_s": speed(maml(), TASKS, config),
        "tasks_per_s": [
            {"width": width, "tasks": tasks, "cavia": tasks * speed(cavia(width), tasks, config)}
            | ({"maml": tasks * speed(maml(width), tasks, config)} if width * tasks <= 128 * 400 else {})
            for width in WIDTHS
            for tasks in BATCHES
        ],
        "stacked": [
            {"models": m, **{f.__name__: m * speed(f(40, m), TASKS, config, m) for f in (cavia, maml)}} for m in STACKS
        ],
    }


def table(figures: dict[str, Any]) -> str:
    """Return the figures of `bench` as text."""
    lines = [f"CAVIA {figures['cavia_iterations_per_s']:8.0f} iterations/s of {TASKS} tasks, one model"]
    lines += [f"MAML  {figures['maml_iterations_per_s']:8.0f} iterations/s", ""]
    lines += [f"{'tasks/s: width':>15} {'tasks in a batch':>17} {'CAVIA':>8} {'MAML':>8}"]
    for row in figures["tasks_per_s"]:
        maml_cell = f"{row['maml']:8.0f}" if "maml" in row else f"{'-':>8}"
        lines.append(f"{row['width']:15d} {row['tasks']:17d} {row['cavia']:8.0f} {maml_cell}")
    lines += ["", f"{'stacked models':>15} {'CAVIA':>8} {'MAML':>8}  model-iterations/s"]
    lines += [f"{row['models']:15d} {row['cavia']:8.0f} {row['maml']:8.0f}" for row in figures["stacked"]]
    return "\n".join(lines)
