"""Where the masses of the legs are, and how they move with the joints; functions take leading batch dimensions."""

from __future__ import annotations

import numpy as np

from robots.joints import LEGS
from robots.spec import RobotSpec

STEP = 1e-5  # rad, of the central differences


def link_masses(spec: RobotSpec) -> np.ndarray:
    """Return the masses of a leg's hip, thigh, calf and foot, kg, (4,)."""
    return np.array([link.mass for link in (spec.hip, spec.thigh, spec.calf, spec.foot)])


def link_positions(spec: RobotSpec, q: np.ndarray) -> np.ndarray:
    """Return the legs' centres of mass in the trunk frame, m.

    Args:
        spec: the robot.
        q: joint positions (..., 12), rad.

    Returns:
        (..., 4, 4, 3): leg FL FR RL RR, link hip thigh calf foot, axis x y z.
    """
    q = np.asarray(q, dtype=float).reshape(*np.shape(q)[:-1], 4, 3)
    fore = np.array([1.0 if leg[0] == "F" else -1.0 for leg in LEGS])
    side = np.array([1.0 if leg[1] == "L" else -1.0 for leg in LEGS])
    roll, thigh, calf = q[..., 0], q[..., 1], q[..., 1] + q[..., 2]
    out = spec.abduction_offset
    knee = -spec.thigh_length * np.sin(thigh), -spec.thigh_length * np.cos(thigh)
    still = np.zeros_like(roll)
    # In the leg's own plane, before the hip rolls it: forward, outward, up.
    links = [
        (still + fore * spec.hip.com[0], spec.hip.com[1], still + spec.hip.com[2]),
        _swung(thigh, spec.thigh.com, (0.0, 0.0), out),
        _swung(calf, spec.calf.com, knee, out),
        _swung(calf, (0.0, 0.0, -spec.calf_length), knee, out),
    ]
    cos, sin = np.cos(roll), np.sin(roll)
    hip = np.stack([fore * spec.hip_offset[0], side * spec.hip_offset[1], np.zeros(4)], axis=-1)
    found = [hip + np.stack([x, cos * side * y - sin * z, sin * side * y + cos * z], axis=-1) for x, y, z in links]
    return np.stack(found, axis=-2)


def link_jacobians(spec: RobotSpec, q: np.ndarray) -> np.ndarray:
    """Return how the legs' centres of mass move with their leg's joints, m/rad.

    Returns:
        (..., 4, 4, 3, 3): leg, link, axis x y z in the trunk frame, joint hip thigh calf.
    """
    q, columns = np.asarray(q, dtype=float), []
    for joint in range(3):
        step = np.zeros(12)
        step[joint::3] = STEP
        columns.append((link_positions(spec, q + step) - link_positions(spec, q - step)) / (2 * STEP))
    return np.stack(columns, axis=-1)


def _swung(
    angle: np.ndarray, com: tuple[float, float, float], joint: tuple, out: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return where a mass is that turns by `angle` about the leg's y axis at `joint` (forward, up)."""
    forward = joint[0] + np.cos(angle) * com[0] + np.sin(angle) * com[2]
    up = joint[1] - np.sin(angle) * com[0] + np.cos(angle) * com[2]
    return forward, out + com[1], up
