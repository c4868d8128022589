"""How the ground lies under a walking robot, from its legs and its sense of gravity alone."""

from __future__ import annotations

import numpy as np

from robots.kinematics import foot_positions
from robots.spec import RobotSpec

STANCE = 70  # percentile of a foot's depth within a second that is its depth while it stands


def tilt(gravity: np.ndarray) -> np.ndarray:
    """Return the body's angle from upright, degrees, (...), from gravity in the body frame, (..., 3)."""
    length = np.maximum(np.linalg.norm(gravity, axis=-1), 1e-9)
    return np.degrees(np.arccos(np.clip(-gravity[..., 2] / length, -1.0, 1.0)))


def slopes(position: np.ndarray, gravity: np.ndarray, spec: RobotSpec) -> np.ndarray:
    """Return the ground's slope in every second of a walk, downward to the front and to the left, degrees, (s, 2).

    The standing feet lie in the ground, however much the body sags or leans: what counts is how much deeper, along
    gravity, some of them are than others.

    Args:
        position: joint positions at the policy's ticks, rad, (t, 12).
        gravity: unit gravity in the body frame, (t, 3).
        spec: the robot.
    """
    feet = foot_positions(spec, position)
    depth = np.einsum("tlk,tk->tl", feet, gravity)
    x, y = feet[..., 0].mean(axis=0), feet[..., 1].mean(axis=0)
    fore, side = np.array([1, 1, -1, -1]), np.array([1, -1, 1, -1])
    seconds = max(1, round(len(position) * spec.control_dt))
    standing = np.array([np.percentile(part, STANCE, axis=0) for part in np.array_split(depth, seconds)])
    rise = np.column_stack([standing @ fore / (fore @ x), standing @ side / (side @ y)])
    return np.degrees(np.arctan(rise))
