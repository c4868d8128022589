"""Sine regression: tasks y = A sin(x − φ), A ∈ [0.1, 5], φ ∈ [0, π], a part of that range left out of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dynamics_model.meta import Batch

AMPLITUDE, PHASE, RANGE = (0.1, 5.0), (0.0, math.pi), 5.0
POINTS = 10  # of support, and of query in training


def sine(factors: Tensor, x: Tensor) -> Tensor:
    """Return y [..., N, 1] at x [..., N, 1] of tasks with normalised factors (amplitude, phase) in [0, 1], [..., 2]."""
    amplitude = AMPLITUDE[0] + (AMPLITUDE[1] - AMPLITUDE[0]) * factors[..., :1, None]
    return amplitude * torch.sin(x - PHASE[1] * factors[..., 1:2, None])


@dataclass(frozen=True)
class Exclusion:
    """Tasks that are never trained on: those with every normalised factor above its corner.

    Attributes:
        kind: "block" leaves out the tasks with both factors high, "range" those with a high amplitude.
        share: of all tasks.
    """

    kind: Literal["none", "block", "range"] = "none"
    share: float = 0.0

    @property
    def corner(self) -> tuple[float, float]:
        """Corners of amplitude and phase."""
        corners = {"none": (1.0, 1.0), "block": (1 - math.sqrt(self.share),) * 2, "range": (1 - self.share, 0.0)}
        return corners[self.kind]

    def __str__(self) -> str:
        """Return its short name, e.g. `block 25`."""
        return "none" if self.kind == "none" else f"{self.kind} {round(100 * self.share)}"


NONE, BLOCK_25 = Exclusion(), Exclusion("block", 0.25)


class SineTasks:
    """Training tasks of M stacked models, each with its own exclusion; what is drawn has the shape [M, B, ...].

    With `band` below 1 the factors are correlated: they never differ by more than it.
    """

    def __init__(self, exclusions: list[Exclusion], band: float = 1.0, points: int = POINTS, **place) -> None:
        """Draw from what every model's exclusion leaves; `place` is the tensors' device and dtype.

        Raises:
            ValueError: if factors should be both correlated and partly left out.
        """
        if band < 1 and any(e.kind != "none" for e in exclusions):
            raise ValueError("band: correlated factors go with no exclusion")
        self.corner = torch.tensor([e.corner for e in exclusions], **place)[:, None]
        self.band, self.points, self.place = band, points, place

    def draw(self, count: int) -> Tensor:
        """Return tasks drawn uniformly, [M, count, 2]."""
        first, second = self.corner.unbind(-1)
        area = 1 - (1 - first) * (1 - second)
        u = torch.rand(len(self.corner), count, **self.place) * area
        u = torch.where(u < first, u, first + (u - first) / second.clamp_min(1e-9))
        return self.change(torch.stack([u, u], -1), torch.ones(u.shape, dtype=torch.long, device=u.device))

    def draw_excluded(self, count: int) -> Tensor:
        """Return tasks [M, count, 2] drawn uniformly from what is left out, of shares above 0."""
        return self.corner + (1 - self.corner) * torch.rand(len(self.corner), count, 2, **self.place)

    def change(self, factors: Tensor, which: Tensor) -> Tensor:
        """Return the tasks [M, B, 2] with the factor `which` [M, B] drawn anew, given the other."""
        other = factors.flip(-1)
        high = torch.where(other > self.corner.flip(-1), self.corner, 1.0).minimum(other + self.band)
        low = (other - self.band).clamp_min(0.0)
        fresh = low + (high - low) * torch.rand_like(factors)
        return torch.where(torch.arange(2, device=which.device) == which[..., None], fresh, factors)

    def allowed(self, factors: Tensor) -> Tensor:
        """Return which tasks may be trained on, bool [M, B]; only recombination makes others."""
        inside = (factors <= self.corner).any(-1)
        return inside & ((factors[..., 0] - factors[..., 1]).abs() <= self.band)

    def sample(self, factors: Tensor, part: str) -> Batch:
        """Return points of the tasks, x uniform; those of a task that is left out have weight 0."""
        x = (2 * torch.rand(*factors.shape[:-1], self.points, 1, **self.place) - 1) * RANGE
        allowed = self.allowed(factors)
        weight = None if bool(allowed.all()) else allowed[..., None].expand(x.shape[:-1]).to(x.dtype)
        return Batch(x, sine(factors, x), weight)
