"""The frozen contexts that a policy sees in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class ContextTable:
    """Frozen contexts that the policy sees: robots to draw from, and a terrain context for every kind and level.

    Attributes:
        robot_factors: (r, F), see `sim.factors`.
        robot_contexts: (r, c), or (r, len(KINDS), LEVELS, c) if it takes a robot and a terrain to make one.
        terrain_contexts: (len(KINDS), LEVELS, d).
        nominal_robot: context of the unchanged robot, shaped as one of `robot_contexts`; None is zero.
    """

    robot_factors: np.ndarray | torch.Tensor
    robot_contexts: np.ndarray | torch.Tensor
    terrain_contexts: np.ndarray | torch.Tensor
    nominal_robot: np.ndarray | torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.nominal_robot is None:
            self.nominal_robot = np.zeros(self.robot_contexts.shape[1:])

    @property
    def paired(self) -> bool:
        """Whether a context is of a robot on a terrain."""
        return self.robot_contexts.ndim == 4

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of values of a robot's and of a terrain's context."""
        return self.robot_contexts.shape[-1], self.terrain_contexts.shape[-1]

    def to(self, device: torch.device) -> ContextTable:
        """Return the table as float32 tensors on a device."""
        return ContextTable(*(torch.as_tensor(v, dtype=torch.float32, device=device) for v in vars(self).values()))

    def robots(self, rows: torch.Tensor, kind: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Return the contexts (n, c) of the robots in rows (n,), on terrains of a kind and level, (n,) each."""
        return self.robot_contexts[rows, kind, level] if self.paired else self.robot_contexts[rows]

    def nominal(self, kind: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Return the contexts (n, c) of the unchanged robot on terrains of a kind and level, (n,) each."""
        return self.nominal_robot[kind, level] if self.paired else self.nominal_robot.expand(len(kind), -1)

    def nearest_robot(self, factors: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the rows (n,) of the robots whose factors are nearest to the given ones, (n, F)."""
        known = torch.as_tensor(self.robot_factors, dtype=torch.float32)
        spread = known.std(dim=0, correction=0) + 1e-6
        asked = torch.as_tensor(factors, dtype=torch.float32, device=known.device)
        return torch.cdist(asked / spread, known / spread).argmin(dim=1)


def spread(contexts: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of each value, (c,), over contexts (..., c)."""
    return contexts.reshape(-1, contexts.shape[-1]).std(dim=0, correction=0)
