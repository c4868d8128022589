"""Where robots start, and how hard their terrain is."""

from __future__ import annotations

import numpy as np

from sim import terrain
from sim.config import TerrainConfig
from sim.terrain import KINDS, LEVELS, PLATEAU, TILE

START_MARGIN = 0.7  # m between a robot's start and the first step


def assign_kinds(shares: dict[str, float], count: int) -> np.ndarray:
    """Return an index into `KINDS` for each of `count` robots, in the given shares, (count,)."""
    weights = np.array([shares.get(kind, 0.0) for kind in KINDS])
    edges = np.cumsum(weights / weights.sum())
    return np.searchsorted(edges, (np.arange(count) + 0.5) / count).clip(0, len(KINDS) - 1)


class Curriculum:
    """Levels of all robots: one that gets far enough goes one up, one that misses half of its way one down."""

    def __init__(self, config: TerrainConfig, count: int, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.kind = assign_kinds(config.shares, count)
        self.level = rng.integers(0, min(config.start_level, LEVELS - 1) + 1, count)
        self.start = np.zeros((count, 2))

    def update(self, ids: np.ndarray, position: np.ndarray, commanded: np.ndarray, fallen: np.ndarray) -> None:
        """Move robots `ids` between levels by the distance walked, (m, 2) positions and commanded metres (m,)."""
        if not self.config.curriculum:
            return
        distance = np.linalg.norm(position - self.start[ids], axis=1)
        far = (distance > self.config.advance) | self.outside(ids, position)
        up = far & ~fallen
        down = ~up & (distance < 0.5 * commanded)
        level = self.level[ids] + up - down
        self.level[ids] = np.where(level >= LEVELS, self.rng.integers(0, LEVELS, len(ids)), level.clip(0))

    def center(self, ids: np.ndarray) -> np.ndarray:
        """Return the centres of the tiles of robots `ids`, (m, 2), m."""
        return np.stack([(self.level[ids] + 0.5) * TILE, (self.kind[ids] + 0.5) * TILE], axis=1)

    def place(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return start positions (m, 2), m, and headings (m,), rad, of robots `ids`.

        Where a terrain has a direction, 6 of 10 robots start before it and the others on top, all facing along it.
        """
        count, rng = len(ids), self.rng
        side = rng.choice([-1.0, 1.0], count)
        offset = rng.uniform([-2.0, -2.5], [2.0, 2.5], (count, 2))
        heading = rng.uniform(-np.pi, np.pi, count)
        on_top = rng.random(count) < 0.4
        for kind in ("slope", "stairs", "blocks"):
            mine = self.kind[ids] == KINDS.index(kind)
            before = -side * (half_length(kind, self.level[ids]) + START_MARGIN)
            top = rng.uniform(-0.3, 0.3, count)
            x = np.where(on_top & (kind != "blocks"), top, before)
            offset[mine, 0] = x[mine]
            heading[mine] = np.where(side > 0, 0.0, np.pi)[mine] + rng.uniform(-0.2, 0.2, count)[mine]
        self.start[ids] = self.center(ids) + offset
        return self.start[ids], heading

    def outside(self, ids: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return which robots `ids`, at positions (m, 2), have left their tile, (m,); flat ground has no end."""
        away = np.abs(position - self.center(ids)).max(axis=1) > TILE / 2 - 0.2
        return away & (self.kind[ids] != KINDS.index("flat"))

    def mean_level(self, kind: str) -> float:
        """Return the mean level of the robots on a kind of terrain, or 0 where there are none."""
        mine = self.kind == KINDS.index(kind)
        return float(self.level[mine].mean()) if mine.any() else 0.0


def half_length(kind: str, level: np.ndarray) -> np.ndarray:
    """Return how far a terrain reaches along x from its tile's centre, m, for levels (m,)."""
    if kind == "stairs":
        return np.full(np.shape(level), PLATEAU / 2 + (terrain.NUM_STEPS - 1) * terrain.STEP_DEPTH)
    if kind == "slope":
        return PLATEAU / 2 + 3.0 * np.cos(terrain.slope_angle(np.asarray(level)))
    return np.full(np.shape(level), 2.6)
