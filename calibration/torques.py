"""What measured joint torques say of the robot directly: the mass it carries, its friction and each leg's stiffness.

Nothing is learned here and nothing enters the context: it is Newton's law and Ohm's. The feet must push the ground as
hard as the whole robot weighs, and what pushes is the joints' torque, through the legs' Jacobians, less what the legs'
own masses and the joints' dry friction take. A motor's torque over the angle that its joint lags its target is its
stiffness. Both hold if the torque that a robot reports is the torque that it makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.resample import Ticks
from robots.joints import LEGS
from robots.kinematics import foot_jacobians
from robots.masses import link_jacobians, link_masses, link_positions
from robots.spec import RobotSpec

GRAVITY = 9.81  # m/s^2
SLOW = 0.3  # rad/s, over which dry friction changes its sign
BELOW = 0.5  # share of the torque limit up to which a motor does what its gains ask
PARTS = 4  # of the log, which give the spread
SHORTEST = 100  # ticks


@dataclass(frozen=True)
class Direct:
    """A reading with its spread over quarters of the log, as a standard deviation of the whole's."""

    name: str
    unit: str
    value: float
    spread: float


def read_torques(ticks: Ticks, spec: RobotSpec) -> tuple[Direct, ...]:
    """Return payload, dry friction, stiffness and the weakest leg's share of it; nothing if torques are missing.

    Args:
        ticks: of a walk.
        spec: the robot.
    """
    usable = np.flatnonzero(ticks.usable & ticks.moving)  # dry friction of a joint at rest may have any sign
    usable = usable[(usable > 1) & (usable < len(ticks.time) - 2)]
    if len(usable) < SHORTEST or not np.isfinite(ticks.effort[usable]).all() or not ticks.effort[usable].any():
        return ()
    weigh, push = _force_balance(ticks, spec), _servo_law(ticks, spec)

    def values(rows: np.ndarray) -> np.ndarray:
        payload, friction = _solve(weigh, rows)
        stiffness = np.array([_solve(leg, rows)[0] for leg in push]) / spec.kp
        return np.array([payload, friction, stiffness.mean(), *(stiffness / stiffness.max())])

    found, parts = values(usable), np.array([values(rows) for rows in np.array_split(usable, PARTS)])
    spread = parts.std(axis=0, ddof=1) / np.sqrt(PARTS)
    names = ("payload", "joint_friction", "kp_strength", *(f"leg_{leg.lower()}" for leg in LEGS))
    units = ("kg", "N m", "x", "x", "x", "x", "x")
    return tuple(Direct(n, u, float(v), float(s)) for n, u, v, s in zip(names, units, found, spread, strict=True))


Equations = tuple[np.ndarray, np.ndarray, np.ndarray]  # a (t, n, k) and b (t, n) of a x = b, and which count (t, n)


def _force_balance(ticks: Ticks, spec: RobotSpec) -> Equations:
    """Return the vertical balance of forces at every tick; unknown are payload, kg, and dry friction, N m."""
    q, rate = ticks.frames[:, 6:18] + spec.default_position, ticks.frames[:, 18:30]
    gravity = ticks.frames[:, 3:6]
    felt = ticks.acceleration if _measured(ticks) else -GRAVITY * gravity  # acceleration less gravity
    step = np.median(np.diff(ticks.time))
    moved = np.gradient(np.gradient(link_positions(spec, q), step, axis=0), step, axis=0)
    push = link_masses(spec)[:, None] * (felt[:, None, None] + moved)  # what carries and moves each link, N
    own = np.einsum("tlkxj,tlkx->tlj", link_jacobians(spec, q), push)
    own += (spec.armature * np.gradient(rate, step, axis=0)).reshape(-1, 4, 3)
    across = np.swapaxes(foot_jacobians(spec, q, spec.foot_radius * gravity[:, None]), -1, -2)

    def upward(torque: np.ndarray) -> np.ndarray:
        """Return the upward force with which the ground answers a torque of the legs, N, (t,)."""
        force = -np.linalg.solve(across, torque[..., None])[..., 0]
        return -np.einsum("tlx,tx->t", force, gravity)

    carried = push.sum(axis=(1, 2)) + spec.trunk.mass * felt
    left = upward(ticks.effort.reshape(-1, 4, 3) - own) + np.einsum("tx,tx->t", carried, gravity)
    rubbing = upward(np.tanh(rate / SLOW).reshape(-1, 4, 3))
    weight = -np.einsum("tx,tx->t", felt, gravity)
    return np.stack([weight, rubbing], axis=-1)[:, None], left[:, None], np.ones((len(left), 1), bool)


def _servo_law(ticks: Ticks, spec: RobotSpec) -> list[Equations]:
    """Return for each leg its joints' torques over targets, positions and velocities; the first unknown is kp.

    A target reaches the motor after a delay of up to two periods, so the two last ones share; each joint has an offset.
    """
    position, rate = ticks.frames[:, 6:18], ticks.frames[:, 18:30]
    target = spec.action_scale * ticks.frames[:, 30:42]
    last, before = np.roll(target, 1, axis=0), np.roll(target, 2, axis=0)
    free = np.abs(ticks.effort) < BELOW * spec.torque_limit
    offset = np.broadcast_to(np.eye(3), (len(position), 3, 3))
    found = []
    for leg in range(4):
        joints = slice(3 * leg, 3 * leg + 3)
        unknown = [last - position, before - last, -rate]
        law = np.concatenate([np.stack([u[:, joints] for u in unknown], axis=-1), offset], axis=-1)
        found.append((law, ticks.effort[:, joints], free[:, joints]))
    return found


def _solve(equations: Equations, rows: np.ndarray) -> np.ndarray:
    """Return the least-squares solution over some ticks; where it is not determined, the smallest."""
    law, value, counts = (part[rows] for part in equations)
    return np.linalg.lstsq(law[counts], value[counts], rcond=None)[0]


def _measured(ticks: Ticks) -> bool:
    """Return whether an accelerometer is in the log."""
    felt = ticks.acceleration[ticks.usable]
    return bool(np.isfinite(felt).all() and np.linalg.norm(felt.mean(axis=0)) > 0.5 * GRAVITY)
