"""The discovery benchmark: sines with two and three factors, whose number and changes are found without labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynamics_model.discovery import Found, agreement, follow, number, stream_step
from dynamics_model.injection import ModulatedMLP
from dynamics_model.meta import Batch
from dynamics_model.scaled import ScaledLearner
from dynamics_model.sine import AMPLITUDE, PHASE, RANGE
from dynamics_model.sine_benchmark import clip

FREQUENCY = (0.5, 1.5)
HIDDEN, LEARNING_RATE, TASKS, POINTS = (40, 40), 1e-3, 25, 10


class Sines:
    """Tasks y = A sin(ω x − φ) with the factors (A, φ), or (A, φ, ω), normalised to [0, 1], for M stacked models."""

    def __init__(self, models: int, factors: int) -> None:
        """Draw for `models` models; two factors leave the frequency at 1."""
        self.models, self.factors = models, factors

    def draw(self, count: int) -> Tensor:
        """Return tasks drawn uniformly [M, count, F]."""
        return torch.rand(self.models, count, self.factors)

    def change(self, factors: Tensor, which: Tensor) -> Tensor:
        """Return the tasks with the factor `which` [M, B] of each drawn anew."""
        return torch.where(torch.arange(self.factors) == which[..., None], torch.rand_like(factors), factors)

    def sample(self, factors: Tensor, part: str) -> Batch:
        """Return points of the tasks, x uniform."""
        x = (2 * torch.rand(*factors.shape[:-1], POINTS, 1) - 1) * RANGE
        scales = (AMPLITUDE, PHASE, FREQUENCY)
        columns = [
            low + (high - low) * factors[..., i, None, None] for i, (low, high) in enumerate(scales[: self.factors])
        ]
        amplitude, phase, *rest = columns
        return Batch(x, amplitude * torch.sin((rest[0] if rest else 1.0) * x - phase))


@dataclass(frozen=True)
class DiscoveryConfig:
    """The discovery benchmark.

    Attributes:
        factors: true numbers of factors, each 2 (amplitude, phase) or 3 (and frequency).
        contexts: most contexts that a model may use; one model is trained for each number up to it.
        seeds: streams of each kind.
        seed: of everything random.
        iterations: of training.
        changes: on which models are judged.
        threads: of torch.
        json: file for the figures.
    """

    factors: tuple[int, ...] = (2, 3)
    contexts: int = 4
    seeds: int = 3
    seed: int = 0
    iterations: int = 5000
    changes: int = 1000
    threads: int = 1
    json: Path | None = None

    def __post_init__(self) -> None:
        """Raise ValueError unless all numbers are usable."""
        for name in ("contexts", "seeds", "iterations", "changes", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if not self.factors or not {2, 3}.issuperset(self.factors):
            raise ValueError(f"factors: each must be 2 or 3, not {self.factors}")


def run(config: DiscoveryConfig, report: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Return one row for each true number of factors and seed, and the errors that the number was judged by."""
    torch.set_num_threads(config.threads)
    return {
        "iterations": config.iterations,
        "rows": [row for factors in config.factors for row in _family(config, factors, report)],
    }


def table(figures: dict[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    head = ["factors", "seed", "found", "which changed: found", "number known", "labels in training", "chance"]
    lines = [head + [f"error, K = {k + 1}" for k in range(len(figures["rows"][0]["errors"]))]]
    for row in figures["rows"]:
        shares = [row[f"accuracy{name}"] for name in ("", "_number_known", "_labels_known")] + [row["chance"]]
        shown = ["—" if share is None else f"{share:.0%}" for share in shares]
        errors = [f"{error:.2f}" for error in row["errors"]]
        lines.append([str(row["factors"]), str(row["seed"]), str(row["discovered"]), *shown, *errors])
    lines.insert(1, ["---:"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _family(config: DiscoveryConfig, factors: int, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train models of 1, 2, … contexts without labels and one with them for every seed, stacked, and judge them."""
    torch.manual_seed(config.seed)
    free = [k + 1 for k in range(config.contexts)]
    sizes = [*free, factors] * config.seeds
    found = _train(config, factors, sizes, torch.tensor([*[False] * len(free), True] * config.seeds), report)
    matched = [agreement(found.chosen[m], found.true[m], k, factors) for m, k in enumerate(sizes)]
    rows = []
    for seed in range(config.seeds):
        first = seed * (len(free) + 1)
        errors = found.one[first : first + len(free)].tolist()
        row = {"factors": factors, "seed": config.seed + seed, "discovered": number(errors), "errors": errors}
        accuracy = {"accuracy": matched[first + row["discovered"] - 1], "chance": 1 / factors}
        accuracy["accuracy_number_known"] = matched[first + factors - 1] if factors <= config.contexts else None
        accuracy["accuracy_labels_known"] = matched[first + len(free)]
        rows.append(row | accuracy | {"error_labels_known": float(found.one[first + len(free)])})
    return rows


def _train(
    config: DiscoveryConfig, factors: int, sizes: list[int], labels: Tensor, report: Callable[[str], None]
) -> Found:
    """Train a model with so many contexts of one entry for each of `sizes`, and follow new streams with them."""
    most = max(sizes)
    tasks = Sines(len(sizes), factors)
    contexts = {f"context {k + 1}": 1 for k in range(most)}
    network = ModulatedMLP(1, HIDDEN, 1, [1] * most, len(sizes), shifts=(0,), gains=(0, -1))
    learner = ScaledLearner(network, contexts, models=len(sizes))
    active = torch.arange(most) < torch.tensor(sizes)[:, None, None]
    optimizer = torch.optim.Adam(learner.parameters(), LEARNING_RATE, fused=True)
    stream: Any = TASKS
    for i in range(config.iterations):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * i / config.iterations))
        optimizer.zero_grad(set_to_none=True)
        parts, stream = stream_step(learner, tasks, stream, active=active, labels=labels[:, None])
        sum(parts.values()).backward()
        clip(learner)
        optimizer.step()
        if i % 100 == 0:
            losses = "  ".join(f"{name} {float(part.detach()) / len(sizes):.3f}" for name, part in parts.items())
            report(f"{factors} factors, iteration {i}: {losses}")
    return follow(learner, tasks, config.changes, active=active)
