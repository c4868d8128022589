"""Trials on the field robot: what stands in the way, the operator who walks there, and who says how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robots.kinematics import yaw
from sim.shapes import NUM_STEPS, PLATEAU, STEP_DEPTH, Box, stairs


@dataclass(frozen=True)
class StairsTrial:
    """Walk up a flight of steps to the middle of the plateau above it.

    Attributes:
        rise: of a step, m.
        steps: number of steps.
        distance: from the start to the first step, m.
        speed: forward command, m/s.
        heading: yaw at the start, rad; the operator steers to zero.
        time_limit: s of walking.
    """

    rise: float
    steps: int = NUM_STEPS
    distance: float = 0.8
    speed: float = 0.5
    heading: float = 0.0
    time_limit: float = 20.0
    boxes: list[Box] = field(init=False)

    def __post_init__(self) -> None:
        shift = self.goal
        boxes = [
            Box((b.center[0] + shift, *b.center[1:]), b.half, b.pitch) for b in stairs(self.rise, self.steps, width=4.0)
        ]
        object.__setattr__(self, "boxes", boxes)

    @classmethod
    def drawn(cls, rise: float, steps: int, seed: int) -> StairsTrial:
        """Return a trial whose distance, speed and first heading vary with the seed."""
        rng = np.random.default_rng(seed)
        distance, speed, heading = rng.uniform([0.6, 0.4, -0.2], [1.0, 0.6, 0.2])
        return cls(rise, steps, float(distance), float(speed), float(heading))

    @property
    def goal(self) -> float:
        """Where the middle of the plateau lies, x, m."""
        return self.distance + (self.steps - 1) * STEP_DEPTH + PLATEAU / 2

    def velocity(self, quaternion: np.ndarray) -> tuple[float, float, float]:
        """Return what the operator commands: ahead, holding the stairs' direction."""
        return self.speed, 0.0, float(np.clip(-1.0 * yaw(quaternion), -1.0, 1.0))

    def reached(self, position: np.ndarray) -> bool:
        """Return whether the robot is at the goal, on top."""
        on_top = position[2] > self.steps * self.rise + 0.1
        return bool(position[0] >= self.goal and on_top and abs(position[1]) < 2.0)


STONE = 0.2  # m, side of a paving stone
PAVED = (3.2, 2.0)  # m along and across


@dataclass(frozen=True)
class Course:
    """Walk straight ahead over flat ground, or over paving stones of random height.

    Attributes:
        height: of the highest stone, m; 0 is flat ground.
        seed: of the stones.
        length: from the start to the goal, m.
        speed: forward command, m/s.
        heading: yaw at the start, rad; the operator steers to zero.
        time_limit: s of walking.
    """

    height: float = 0.0
    seed: int = 0
    length: float = 4.5
    speed: float = 0.5
    heading: float = 0.0
    time_limit: float = 20.0
    boxes: list[Box] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _paving(self.height, self.seed) if self.height else [])

    @classmethod
    def drawn(cls, height: float, seed: int) -> Course:
        """Return a trial whose stones, speed and first heading vary with the seed."""
        speed, heading = np.random.default_rng(seed).uniform([0.4, -0.2], [0.6, 0.2])
        return cls(height, seed, speed=float(speed), heading=float(heading))

    def velocity(self, quaternion: np.ndarray) -> tuple[float, float, float]:
        """Return what the operator commands: ahead, holding the direction."""
        return self.speed, 0.0, float(np.clip(-1.0 * yaw(quaternion), -1.0, 1.0))

    def reached(self, position: np.ndarray) -> bool:
        """Return whether the robot is at the goal."""
        return bool(position[0] >= self.length)


def _paving(height: float, seed: int) -> list[Box]:
    rng = np.random.default_rng([seed, 1])
    rows, columns = (round(extent / STONE) for extent in PAVED)
    tops = height * rng.uniform(0.1, 1.0, (rows, columns))
    return [
        Box(
            (0.6 + (i + 0.5) * STONE, (j + 0.5) * STONE - PAVED[1] / 2, tops[i, j] / 2),
            (STONE / 2, STONE / 2, tops[i, j] / 2),
        )
        for i in range(rows)
        for j in range(columns)
    ]
