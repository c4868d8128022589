"""The 20 s of walking from which the robot's context is found: standing, slow and fast, along, across and around.

The context is found on the first 16 s and judged on the last 4 s, which combine the motions of the first 16 s. A robot
that follows the commands stays within 1.2 m of where it started, along its first heading and across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RAMP = 0.3  # s, over which the command goes from one phase to the next


@dataclass(frozen=True)
class Phase:
    """A part of a motion.

    Attributes:
        name: for people.
        seconds: duration, s.
        velocity: forward m/s, left m/s, turning left rad/s.
    """

    name: str
    seconds: float
    velocity: tuple[float, float, float]


class Motion:
    """Velocity commands planned ahead: phases one after the other, with ramps between them.

    Attributes:
        phases: in order.
        seconds: how long it lasts, s.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)
        self.seconds = round(sum(phase.seconds for phase in self.phases), 6)
        self._velocities = np.array([(0.0, 0.0, 0.0), *(phase.velocity for phase in self.phases)])
        self._ends = np.cumsum([phase.seconds for phase in self.phases])

    def velocity_at(self, time: float) -> np.ndarray:
        """Return the velocity command at a time since the start, s: m/s, m/s, rad/s; zero before and after, (3,)."""
        i, since = self.phase_at(time)
        if i is None:
            return np.zeros(3)
        part = min(1.0, since / RAMP)
        return (1 - part) * self._velocities[i] + part * self._velocities[i + 1]

    def phase_at(self, time: float) -> tuple[int | None, float]:
        """Return the index of the phase at a time since the start, s, and since when, s; None before and after."""
        if not 0.0 <= time < self.seconds:
            return None, 0.0
        i = int(np.searchsorted(self._ends, time, side="right"))
        return i, time - (float(self._ends[i - 1]) if i else 0.0)

    def ideal_path(self, dt: float = 0.02) -> np.ndarray:
        """Return where a robot that follows the commands goes: x, y in m and heading in rad from its start, (n, 3)."""
        pose, path = np.zeros(3), [np.zeros(3)]
        for step in range(round(self.seconds / dt)):
            forward, left, turn = self.velocity_at(step * dt)
            cos, sin = np.cos(pose[2]), np.sin(pose[2])
            pose = pose + dt * np.array([cos * forward - sin * left, sin * forward + cos * left, turn])
            path.append(pose)
        return np.array(path)


MOTION = Motion(
    (
        Phase("stand", 1.2, (0.0, 0.0, 0.0)),
        Phase("forward slowly", 1.2, (0.4, 0.0, 0.0)),
        Phase("forward fast", 0.9, (0.8, 0.0, 0.0)),
        Phase("backward", 2.0, (-0.5, 0.0, 0.0)),
        Phase("right", 1.2, (0.0, -0.4, 0.0)),
        Phase("stand", 0.9, (0.0, 0.0, 0.0)),
        Phase("turn left", 1.6, (0.0, 0.0, 1.0)),
        Phase("left", 1.2, (0.0, 0.4, 0.0)),
        Phase("curve right", 1.8, (0.5, 0.0, -0.8)),
        Phase("backward fast", 1.2, (-0.7, 0.0, 0.0)),
        Phase("turn right", 1.2, (0.0, 0.0, -1.0)),
        Phase("forward and left", 1.0, (0.4, 0.3, 0.0)),
        Phase("stand", 0.6, (0.0, 0.0, 0.0)),
        Phase("forward", 1.0, (0.6, 0.0, 0.0)),
        Phase("curve left", 1.0, (0.3, 0.0, 0.9)),
        Phase("backward and right", 1.2, (-0.5, -0.3, 0.0)),
        Phase("stand", 0.8, (0.0, 0.0, 0.0)),
    )
)
SECONDS = MOTION.seconds
velocity_at, ideal_path = MOTION.velocity_at, MOTION.ideal_path
