"""Factors on a policy's gains, which make up for motors that are weaker or stronger than this robot's should be."""

from __future__ import annotations

from dataclasses import dataclass

LEAST, MOST = 0.7, 2.0  # that are ever used; standing takes twice the gains of walking anyway
RAMP = 0.3  # s in which gains change while a robot walks: it stands on these legs


@dataclass(frozen=True)
class Gains:
    """Factors on a policy's kp and kd."""

    kp: float = 1.0
    kd: float = 1.0

    def __str__(self) -> str:
        """Say it in words."""
        return "nominal" if self == NOMINAL else f"kp x {self.kp:.2f}, kd x {self.kd:.2f}"

    def toward(self, goal: Gains, part: float) -> Gains:
        """Return the gains a part, 0 to 1, of the way to others."""
        if part >= 1.0:
            return goal
        return Gains(self.kp + part * (goal.kp - self.kp), self.kd + part * (goal.kd - self.kd))


NOMINAL = Gains()
