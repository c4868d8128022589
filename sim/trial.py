"""A stairs trial on the field robot: the flight of steps, the operator who walks up it, and who says how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robots.kinematics import yaw
from sim.terrain import NUM_STEPS, PLATEAU, STEP_DEPTH, Box, stairs


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
