"""What only a simulation knows of a robot and of a terrain, as contexts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.factors import FACTOR_NAMES, WEAK_LEGS, WIDE, RobotFactors
from sim.terrain import KINDS, LEVELS, TERRAINS

DIGEST = "true factors"  # in place of a dynamics model's
BASIC = tuple(kind for kind in KINDS if TERRAINS[kind].kin is None)
TERRAIN_SIZE = len(BASIC) + 1
SPREAD = np.array(
    [
        WIDE.weak_leg[1] - WIDE.weak_leg[0]
        if i in WEAK_LEGS
        else np.ptp(getattr(WIDE, "payload_shift" if name in ("payload_x", "payload_y") else name))
        for i, name in enumerate(FACTOR_NAMES)
    ]
)


def robot_contexts(factors: np.ndarray) -> np.ndarray:
    """Return the differences from the nominal robot in units of the wide ranges, (n, 12), of factors (n, 12)."""
    return (factors - RobotFactors().as_array()) / SPREAD


def terrain_context(kind: str, level: float) -> np.ndarray:
    """Return one value for each kind in `BASIC`, 1 for this kind or its kin, and the difficulty from 0 to 1, (6,)."""
    context = np.zeros(TERRAIN_SIZE)
    context[BASIC.index(TERRAINS[kind].kin or kind)] = 1.0
    context[-1] = 0.0 if kind == "flat" else level / (LEVELS - 1)
    return context


def from_factors(factors: np.ndarray, contexts: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the ridge regression from factors to contexts over known robots, as a function (n, F) -> (n, ...).

    Args:
        factors: of the robots, (r, F).
        contexts: theirs, (r, ...).
    """
    mean, scale = factors.mean(axis=0), factors.std(axis=0) + 1e-9
    x, y = (factors - mean) / scale, contexts.reshape(len(contexts), -1)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))

    def context(others: np.ndarray) -> np.ndarray:
        return (y.mean(axis=0) + (others - mean) / scale @ weights).reshape(-1, *contexts.shape[1:])

    return context
