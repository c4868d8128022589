"""What simulation learned about this kind of robot: the map of training robots and the dynamics model, if shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.model import DynamicsModel
from deploy.context import ContextBank, load_bank
from deploy.load import BANK
from robots.spec import RobotSpec
from viewer.track import Track, prediction_error

DYNAMICS = "dynamics.onnx"


class Plane:
    """The plane in which the training robots' contexts differ most (principal components).

    Args:
        contexts: (r, n).

    Attributes:
        shares: of the variance along its two axes.
    """

    def __init__(self, contexts: np.ndarray) -> None:
        self._mean = contexts.mean(axis=0)
        _, spread, axes = np.linalg.svd(contexts - self._mean, full_matrices=False)
        self._axes, self.shares = axes[:2], tuple((spread**2 / np.sum(spread**2))[:2].tolist())

    def project(self, contexts: np.ndarray) -> np.ndarray:
        """Return where contexts (..., n) lie in it, (..., 2)."""
        return (contexts - self._mean) @ self._axes.T


class Knowledge:
    """Bank and dynamics model of a robot's models folder; each may be missing.

    Args:
        spec: the robot.
        folder: with the models.

    Attributes:
        bank: contexts of the training robots.
        plane: to draw them in.
        model: of the dynamics.

    Raises:
        ValueError: if a file is damaged or of another robot.
    """

    def __init__(self, spec: RobotSpec, folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self.bank: ContextBank | None = None
        self.model: DynamicsModel | None = None
        self.plane: Plane | None = None
        if (folder / BANK).exists():
            self.bank = load_bank(folder / BANK, spec)
            self.plane = Plane(self.bank.robot_contexts)
            if (folder / DYNAMICS).exists():
                model = DynamicsModel.load(folder / DYNAMICS, spec)
                self.model = model if model.digest == self.bank.dynamics_digest else None

    def terrain(self, name: str) -> np.ndarray:
        """Return the context of a terrain, flat ground's where the bank does not know it."""
        assert self.bank is not None
        return self.bank.terrain(name if name in self.bank.terrains else self.bank.terrains[0])

    def errors(self, track: Track, context: np.ndarray | None, terrain: str) -> dict[str, np.ndarray]:
        """Return the prediction error over a track, (t,), with the nominal robot's context and with the one in use."""
        if self.model is None or self.bank is None:
            return {}
        used = {"nominal": self.bank.nominal_robot}
        if context is not None and not np.allclose(context, self.bank.nominal_robot):
            used["in use"] = context
        ground = self.terrain(terrain)
        return {name: prediction_error(track, self.spec, self.model, robot, ground) for name, robot in used.items()}
