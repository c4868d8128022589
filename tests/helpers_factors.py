"""What tests ask of factor ranges."""

import numpy as np

from sim.factors import FACTOR_NAMES, WEAK_LEGS, FactorRanges


def within(ranges: FactorRanges, values: np.ndarray) -> np.ndarray:
    """Return which rows of `values` (n, 12) lie inside the ranges, (n,) bool."""
    column = {name: values[:, i] for i, name in enumerate(FACTOR_NAMES)}
    held = values[:, list(WEAK_LEGS)].min(axis=1) >= ranges.weak_leg[0]
    for name in ("payload", "kp_scale", "kd_scale", "torque_limit_scale", "joint_friction", "latency"):
        low, high = getattr(ranges, name)
        held &= (column[name] >= low) & (column[name] <= high)
    return held
