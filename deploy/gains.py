"""Factors on a policy's gains, which make up for motors that are weaker or stronger than this robot's should be."""

from __future__ import annotations

from dataclasses import dataclass

LEAST, MOST = 0.7, 2.0  # that are ever used; standing takes twice the gains of walking anyway


@dataclass(frozen=True)
class Gains:
    """Factors on a policy's kp and kd."""

    kp: float = 1.0
    kd: float = 1.0

    def __str__(self) -> str:
        """Say it in words."""
        return "nominal" if self == NOMINAL else f"kp x {self.kp:.2f}, kd x {self.kd:.2f}"


NOMINAL = Gains()
