"""Feeds a controller states that no robot should report, and counts commands that leave the limits: none may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.controller import Controller
from deploy.driver import JointCommand, Operator, RobotState
from deploy.reading import Reading
from deploy.states import EVENTS, STATES
from robots.spec import RobotSpec

GARBAGE = 0.001  # share of states that are garbage; every one of them is a fault, and standing up again takes its time
ROUNDING = 1.0 + 1e-9


@dataclass
class FuzzReport:
    """What a run of fuzzed states gave.

    Attributes:
        ticks: states.
        outside: commands outside the limits.
        trips: faults.
        states: ticks in each of the controller's states.
    """

    ticks: int
    outside: int
    trips: int
    states: dict[str, int]


class Fuzzer:
    """Makes states: joints that follow while the robot stands up, thrash while it walks, and garbage now and then.

    Args:
        spec: the robot.
        dt: time between two states, s.
        seed: of everything.
    """

    def __init__(self, spec: RobotSpec, dt: float, seed: int) -> None:
        self._spec, self._dt, self._draw = spec, dt, np.random.default_rng(seed)
        self._lower, self._upper = spec.position_limits
        self._stamp, self._lean = 0.0, np.zeros(2)
        self._position, self._velocity = spec.default_position, np.zeros(12)

    def state(self, thrash: bool, target: np.ndarray) -> RobotState | None:
        """Return the next state; `target` is where joints go that do not thrash."""
        draw, dt = self._draw, self._dt
        self._stamp += dt
        if thrash:
            most = draw.choice([0.3, 1.0, 1.19]) * self._spec.velocity_limit
            velocity = draw.uniform(-most, most)
        else:
            velocity = np.clip((target - self._position) / dt, -2.0, 2.0)
        position = np.clip(self._position + 0.5 * dt * (self._velocity + velocity), self._lower, self._upper)
        velocity = 2.0 * (position - self._position) / dt - self._velocity
        if np.any(np.abs(velocity) > 1.19 * self._spec.velocity_limit):
            position, velocity = self._position, np.zeros(12)
        self._position, self._velocity = position, velocity
        rates = draw.normal(0.0, 1.0, 3) if thrash else draw.normal(0.0, 0.01, 3)
        self._lean = np.clip(self._lean + dt * rates[:2], -0.6, 0.6) if thrash else 0.9 * self._lean
        x, y = np.sin(self._lean / 2)
        quaternion = np.array([np.sqrt(max(0.0, 1.0 - x * x - y * y)), x, y, 0.0])
        state = RobotState(self._stamp, rates, quaternion, position.copy(), velocity, draw.normal(0, 40.0, 12))
        return self._spoil(state) if draw.random() < GARBAGE else state

    def _spoil(self, state: RobotState) -> RobotState | None:
        draw = self._draw
        kind = draw.integers(6)
        if kind == 0:
            return None
        name = ("angular_velocity", "quaternion", "joint_position", "joint_velocity", "joint_torque")[draw.integers(5)]
        value = np.array(getattr(state, name))
        if kind == 1:
            value[draw.integers(len(value))] = draw.choice([np.nan, np.inf, -np.inf, 1e308, -1e200, 5e-324])
        elif kind == 2:
            value = draw.normal(0.0, 10.0 ** draw.uniform(-3, 12), len(value))
        elif kind == 3:
            value = value[: draw.integers(len(value))]
        elif kind == 4:
            state.stamp = float(draw.choice([np.nan, np.inf, -1.0, 1e300, state.stamp - 0.03, state.stamp + 9.0]))
        else:
            value = np.array(["x"] * len(value), dtype=object)
        setattr(state, name, value)
        return state

    def operator(self, state: str) -> Operator:
        """Return a wish: mostly one that leads to walking, now and then any."""
        draw = self._draw
        chance = draw.random()
        useful = {
            "passive": "stand_up",
            "stand": ("walk", "calibrate")[chance < 0.02],
            "fault": "reset",
            "damping": "reset",
        }
        event = useful.get(state) if chance < 0.2 else None
        if chance > 0.999:
            event = str(draw.choice([*EVENTS, "", "fly"]))
        velocity = draw.normal(0.0, 10.0 ** draw.uniform(-1, 3), 3)
        if chance > 0.99:
            velocity[draw.integers(3)] = draw.choice([np.nan, np.inf])
        return Operator(tuple(velocity.tolist()), event, float(draw.choice([0.0, 0.0, 0.0, 9.0, np.nan])))


def fuzz(controller: Controller, ticks: int, seed: int = 0) -> FuzzReport:
    """Return how a controller fares with so many fuzzed states.

    Args:
        controller: fresh.
        ticks: how many.
        seed: of the states and the operator.
    """
    fuzzer = Fuzzer(controller.spec, controller.config.command_dt, seed)
    report = FuzzReport(ticks, 0, 0, dict.fromkeys(STATES, 0))
    with np.errstate(all="ignore"):
        for _ in range(ticks):
            row = STATES[controller.state]
            operator = fuzzer.operator(controller.state)
            command = controller.step(fuzzer.state(row.motion == "policy", controller.target), operator)
            reading, now = controller.supervisor.reading, STATES[controller.state]
            powered = now.kp > 0
            share = np.maximum(controller.gains.joint_kp, controller.contexts.gains.joint_kp) if powered else 1.0
            report.outside += not within_limits(command, reading, controller.spec, powered, share)
            report.states[controller.state] += 1
    report.trips = controller.trips
    return report


def within_limits(
    command: JointCommand, reading: Reading, spec: RobotSpec, powered: bool, share: float | np.ndarray = 1.0
) -> bool:
    """Return whether a command is finite, within joint and torque limits, and stiff only where it may be.

    Args:
        command: what would be sent.
        reading: what was measured last and could be believed.
        spec: the robot.
        powered: whether position control is allowed now.
        share: of the torque limits, that may be asked for, (12,) or one for all.
    """
    lower, upper = spec.position_limits
    parts: Sequence[np.ndarray] = (command.position, command.velocity, command.torque, command.kp, command.kd)
    if not all(part.shape == (12,) and np.isfinite(part).all() for part in parts):
        return False
    if (command.position < lower).any() or (command.position > upper).any():
        return False
    if (command.kp < 0).any() or (command.kd < 0).any() or (command.kp.any() and not powered):
        return False
    if reading.problem is not None:
        blind = command.kd * spec.velocity_limit
        return not command.kp.any() and not command.torque.any() and bool((blind <= ROUNDING * spec.torque_limit).all())
    torque = command.kp * (command.position - reading.joint_position) + command.torque
    torque += command.kd * (command.velocity - reading.joint_velocity)
    return bool((np.abs(torque) <= ROUNDING * share * spec.torque_limit).all())
