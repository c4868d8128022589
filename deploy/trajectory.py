"""Smooth joint motions through way points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class JointPath:
    """A motion from a start through poses, at rest at each of them.

    Args:
        start: joint positions, rad, (12,).
        waypoints: (pose (12,), seconds to it) in order.
        speed: mean joint speed, rad/s, that no way exceeds: it takes longer where its seconds are too few.
    """

    def __init__(
        self, start: np.ndarray, waypoints: Sequence[tuple[np.ndarray, float]], speed: float = float("inf")
    ) -> None:
        self._poses = np.array([start, *(pose for pose, _ in waypoints)], dtype=float)
        far = np.abs(np.diff(self._poses, axis=0)).max(axis=1)
        self._times = np.cumsum([0.0, *np.maximum([seconds for _, seconds in waypoints], far / speed)])

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return float(self._times[-1])

    def way(self, time: float) -> int:
        """Return which way point a time since the start, s, leads to; the last afterwards."""
        return min(int(np.searchsorted(self._times, time, side="right")) - 1, len(self._times) - 2)

    def position(self, time: float) -> np.ndarray:
        """Return the joint positions at a time since the start, s; the last pose afterwards; rad, (12,)."""
        if time >= self._times[-1]:
            return self._poses[-1].copy()
        i = self.way(time)
        part = (time - self._times[i]) / (self._times[i + 1] - self._times[i])
        smooth = part**3 * (10 - 15 * part + 6 * part**2)  # no velocity and no acceleration at both ends
        return self._poses[i] + smooth * (self._poses[i + 1] - self._poses[i])
