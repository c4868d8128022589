"""Where robots start, and how hard their terrain is."""

from __future__ import annotations

import numpy as np
import torch

from sim.batched import Draw, Part
from sim.config import TerrainConfig
from sim.shapes import TILE
from sim.terrain import KINDS, LEVELS, TERRAINS

START_MARGIN = 0.7  # m between a robot's start and the first step
ON_TOP = 0.4  # share of the robots that start on the plateau of a terrain that has one
START_RIM = 0.5  # m that a robot starts inside its tile at least
RIM = 0.2  # m inside its tile where a robot is taken to have left it
START_SPREAD = 0.3  # m, on a plateau or in a tile's centre


def assign_kinds(shares: dict[str, float], count: int) -> np.ndarray:
    """Return an index into `KINDS` for each of `count` robots, in the given shares, (count,)."""
    weights = np.array([shares.get(kind, 0.0) for kind in KINDS])
    edges = np.cumsum(weights / weights.sum())
    return np.searchsorted(edges, (np.arange(count) + 0.5) / count).clip(0, len(KINDS) - 1)


class Curriculum:
    """Levels of all robots: one that gets far enough goes one up, one that misses half of its way one down.

    Attributes:
        kind: index into `KINDS`, (n,).
        level: difficulty, (n,).
        start: where each robot's episode began, (n, 2), m.
    """

    def __init__(self, config: TerrainConfig, count: int, draw: Draw) -> None:
        self.config, self.draw = config, draw
        device = draw.device
        self.kind = torch.as_tensor(assign_kinds(config.shares, count), device=device)
        self.level = draw.integers(min(config.start_level, LEVELS - 1) + 1, count)
        self.start = torch.zeros(count, 2, device=device)
        self._reach = torch.tensor(
            [[kind.reach(i) for i in range(LEVELS)] for kind in TERRAINS.values()], device=device
        )
        starts = [kind.start for kind in TERRAINS.values()]
        self._along = torch.tensor([start in ("before", "along") for start in starts], device=device)
        self._plateaued = torch.tensor([start == "along" for start in starts], device=device)
        self._wander = torch.tensor([_wander(kind) for kind in KINDS], device=device)

    def update(self, part: Part, position: torch.Tensor, commanded: torch.Tensor, fallen: torch.Tensor) -> None:
        """Move robots between levels by the distance walked: positions (m, 2), m, commanded metres (m,), falls (m,)."""
        if not self.config.curriculum:
            return
        distance = (position - self.start[part.rows]).norm(dim=1)
        gone = self._outside(part.rows, position) & (distance > 0.5 * self.config.advance)
        up = ((distance > self.config.advance) | gone) & ~fallen
        down = ~up & (distance < 0.5 * commanded)
        level = self.level[part.rows] + up.long() - down.long()
        part.put(self.level, torch.where(level < LEVELS, level.clamp(min=0), self.draw.integers(LEVELS, part.count)))

    def place(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """Return start positions (m, 2), m, and headings (m,), rad.

        Robots that start before a terrain, or along it (6 of 10 before it, the others on its plateau), face along it.
        """
        draw, count = self.draw, part.count
        kind, level = self.kind[part.rows], self.level[part.rows]
        along = self._along[kind]
        side = draw.integers(2, count) * 2.0 - 1.0
        on_top = (draw.uniform(0.0, 1.0, count) < ON_TOP) & self._plateaued[kind]
        before = -side * (self._reach[kind, level] + START_MARGIN).clamp(max=TILE / 2 - START_RIM)
        offset = draw.uniform(-1.0, 1.0, count, 2) * self._wander[kind]
        x = torch.where(on_top, draw.uniform(-START_SPREAD, START_SPREAD, count), before)
        offset[:, 0] = torch.where(along, x, offset[:, 0])
        ahead = (1.0 - side) * (torch.pi / 2) + draw.uniform(-0.2, 0.2, count)
        heading = torch.where(along, ahead, draw.uniform(-torch.pi, torch.pi, count))
        start = self._center(part.rows) + offset
        part.put(self.start, start)
        return start, heading

    def outside(self, position: torch.Tensor) -> torch.Tensor:
        """Return which robots, at positions (n, 2), have left their tile, (n,); flat ground has no end."""
        return self._outside(slice(None), position)

    def mean_levels(self) -> torch.Tensor:
        """Return the mean level of the robots on each kind of terrain, 0 where there are none, (len(KINDS),)."""
        total = torch.zeros(2, len(KINDS), device=self.level.device)
        total[0].index_add_(0, self.kind, self.level.float())
        total[1].index_add_(0, self.kind, torch.ones_like(self.kind, dtype=torch.float32))
        return total[0] / total[1].clamp(min=1.0)

    def _center(self, rows: torch.Tensor | slice) -> torch.Tensor:
        return (torch.stack([self.level[rows], self.kind[rows]], dim=1) + 0.5) * TILE

    def _outside(self, rows: torch.Tensor | slice, position: torch.Tensor) -> torch.Tensor:
        away = (position - self._center(rows)).abs().amax(dim=1) > TILE / 2 - RIM
        return away & (self.kind[rows] != KINDS.index("flat"))


def _wander(kind: str) -> tuple[float, float]:
    """Return how far from its tile's centre a robot starts at most, along x and y, m."""
    if TERRAINS[kind].start == "centre":
        return START_SPREAD, START_SPREAD
    return 2.0, 1.5 if kind == "stepping_stones" else 2.5
