"""Smooth joint motions through way points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class JointPath:
    """A motion from a start through poses, at rest at each of them.

    Args:
        start: joint positions, rad, (12,).
        waypoints: (pose (12,), seconds to it) in order.
    """

    def __init__(self, start: np.ndarray, waypoints: Sequence[tuple[np.ndarray, float]]) -> None:
        self._poses = np.array([start, *(pose for pose, _ in waypoints)], dtype=float)
        self._times = np.cumsum([0.0, *(seconds for _, seconds in waypoints)])

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return float(self._times[-1])

    def position(self, time: float) -> np.ndarray:
        """Return the joint positions at a time since the start, s; the last pose afterwards; rad, (12,)."""
        if time >= self._times[-1]:
            return self._poses[-1].copy()
        i = int(np.searchsorted(self._times, time, side="right")) - 1
        part = (time - self._times[i]) / (self._times[i + 1] - self._times[i])
        smooth = part**3 * (10 - 15 * part + 6 * part**2)  # no velocity and no acceleration at both ends
        return self._poses[i] + smooth * (self._poses[i + 1] - self._poses[i])
