"""Factors on a policy's gains, which make up for motors that are weaker or stronger than this robot's should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from robots.joints import LEGS

LEAST, MOST = 0.7, 2.0  # that are ever used; standing takes twice the gains of walking anyway
ROUNDING = 1e-6  # of a product of two factors
RAMP = 0.3  # s in which gains change while a robot walks: it stands on these legs
ALIKE = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Gains:
    """Factors on a policy's kp and kd, and of each leg on both, in the order of `robots.joints.LEGS`."""

    kp: float = 1.0
    kd: float = 1.0
    legs: tuple[float, ...] = ALIKE

    def __post_init__(self) -> None:
        """Take a list for the legs, as JSON has it."""
        object.__setattr__(self, "legs", tuple(self.legs))

    @classmethod
    def from_row(cls, row: Sequence[float]) -> Gains:
        """Return the gains that `row` gives, or those of a log from before legs had their own: kp and kd.

        Raises:
            ValueError: if it has another number of numbers.
        """
        kp, kd, *legs = map(float, row)
        if len(legs) not in (0, len(LEGS)):
            raise ValueError(f"gains have 2 or {2 + len(LEGS)} factors, not {2 + len(legs)}")
        return cls(kp, kd, tuple(legs) or ALIKE)

    def row(self) -> list[float]:
        """Return all as numbers: kp, kd, then the legs'."""
        return [self.kp, self.kd, *self.legs]

    @cached_property
    def joint_kp(self) -> np.ndarray:
        """The factor on every joint's kp, (12,)."""
        return self.kp * np.repeat(self.legs, 3)

    @cached_property
    def joint_kd(self) -> np.ndarray:
        """The factor on every joint's kd, (12,)."""
        return self.kd * np.repeat(self.legs, 3)

    def __str__(self) -> str:
        """Say it in words."""
        if self == NOMINAL:
            return "nominal"
        legs = ", ".join(f"{leg} x {factor:.2f}" for leg, factor in zip(LEGS, self.legs, strict=True))
        return f"kp x {self.kp:.2f}, kd x {self.kd:.2f}{'' if self.legs == ALIKE else f' ({legs})'}"

    def toward(self, goal: Gains, part: float) -> Gains:
        """Return the gains a part, 0 to 1, of the way to others."""
        if part >= 1.0:
            return goal
        return Gains.from_row([a + part * (b - a) for a, b in zip(self.row(), goal.row(), strict=True)])


NOMINAL = Gains()
