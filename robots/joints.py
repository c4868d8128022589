"""Joint orders of the field, and the permutations between them.

Inside this stack the order is FL FR RL RR x hip thigh calf. Everything outside is converted at the edge, by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEGS = ("FL", "FR", "RL", "RR")
PARTS = ("hip", "thigh", "calf")

JOINT_NAMES = tuple(f"{leg}_{part}_joint" for leg in LEGS for part in PARTS)

# Unitree SDK and DDS motor order (unitree_legged_sdk, unitree_sdk2: FR_0, FR_1, FR_2, FL_0, ...).
SDK = tuple(f"{leg}_{part}_joint" for leg in ("FR", "FL", "RR", "RL") for part in PARTS)
# Isaac Gym and legged_gym follow the URDF.
ISAAC_GYM = JOINT_NAMES
# Isaac Lab orders breadth first: all hips, all thighs, all calves.
ISAAC_LAB = tuple(f"{leg}_{part}_joint" for part in PARTS for leg in LEGS)

ORDERS = {"internal": JOINT_NAMES, "sdk": SDK, "isaac_gym": ISAAC_GYM, "isaac_lab": ISAAC_LAB}


def permutation(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Return indices `p` such that `values_in_source_order[p]` is in target order, (n,).

    Raises:
        ValueError: if the two do not name the same joints, each once.
    """
    if len(set(source)) != len(source):
        raise ValueError(f"joint names are repeated: {sorted({n for n in source if list(source).count(n) > 1})}")
    missing, extra = set(target) - set(source), set(source) - set(target)
    if missing or extra:
        raise ValueError(f"joint names do not match: missing {sorted(missing)}, unknown {sorted(extra)}")
    index = {name: i for i, name in enumerate(source)}
    return np.array([index[name] for name in target])
