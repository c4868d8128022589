"""Analytic leg kinematics and frame changes; every function also takes leading batch dimensions."""

from __future__ import annotations

import numpy as np

from robots.joints import LEGS
from robots.spec import RobotSpec


def foot_positions(spec: RobotSpec, q: np.ndarray) -> np.ndarray:
    """Return the foot centres in the trunk frame, m.

    Args:
        spec: the robot.
        q: joint positions (..., 12), rad.

    Returns:
        (..., 4, 3), legs FL FR RL RR.
    """
    q = np.asarray(q, dtype=float).reshape(*np.shape(q)[:-1], 4, 3)
    fore = np.array([1.0 if leg[0] == "F" else -1.0 for leg in LEGS])
    side = np.array([1.0 if leg[1] == "L" else -1.0 for leg in LEGS])
    hip, thigh, calf = q[..., 0], q[..., 1], q[..., 1] + q[..., 2]
    # In the plane of the leg: forward swing and downward reach, then the hip's roll about x.
    x = -spec.thigh_length * np.sin(thigh) - spec.calf_length * np.sin(calf)
    down = spec.thigh_length * np.cos(thigh) + spec.calf_length * np.cos(calf)
    out = side * spec.abduction_offset
    y = out * np.cos(hip) + down * np.sin(hip)
    z = out * np.sin(hip) - down * np.cos(hip)
    return np.stack([fore * spec.hip_offset[0] + x, side * spec.hip_offset[1] + y, z], axis=-1)


def foot_jacobians(spec: RobotSpec, q: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
    """Return how the feet move with their legs' joints, m/rad: velocities in the trunk frame are `J @ dq`.

    Args:
        spec: the robot.
        q: joint positions (..., 12), rad.
        offset: from each foot's centre to the point of the foot that is meant, trunk frame, (..., 4, 3), m.

    Returns:
        (..., 4, 3, 3): leg FL FR RL RR, axis x y z, joint hip thigh calf.
    """
    point = foot_positions(spec, q) + (0.0 if offset is None else offset)
    q = np.asarray(q, dtype=float).reshape(*np.shape(q)[:-1], 4, 3)
    fore = np.array([1.0 if leg[0] == "F" else -1.0 for leg in LEGS])
    side = np.array([1.0 if leg[1] == "L" else -1.0 for leg in LEGS])
    zero, cos, sin = np.zeros(q.shape[:-1]), np.cos(q[..., 0]), np.sin(q[..., 0])
    pitch_axis = np.stack([zero, cos, sin], axis=-1)
    roll_axis = np.broadcast_to([1.0, 0.0, 0.0], pitch_axis.shape)
    hip = np.stack([fore * spec.hip_offset[0], side * spec.hip_offset[1], np.zeros(4)], axis=-1)
    thigh = hip + (side * spec.abduction_offset)[:, None] * pitch_axis
    forward, down = -spec.thigh_length * np.sin(q[..., 1]), spec.thigh_length * np.cos(q[..., 1])
    knee = thigh + np.stack([forward, down * sin, -down * cos], axis=-1)
    joints = ((roll_axis, hip), (pitch_axis, thigh), (pitch_axis, knee))
    return np.stack([np.cross(axis, point - origin) for axis, origin in joints], axis=-1)


def projected_gravity(quaternion: np.ndarray) -> np.ndarray:
    """Return the unit gravity vector in the base frame, (..., 3), for quaternions (w, x, y, z), (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=float), -1, 0)
    return np.stack([2 * (w * y - x * z), -2 * (y * z + w * x), -(w * w - x * x - y * y + z * z)], axis=-1)


def yaw(quaternion: np.ndarray) -> np.ndarray:
    """Return the heading about world z, rad, of quaternions (w, x, y, z), (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=float), -1, 0)
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
