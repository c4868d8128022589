"""How long a step of the controller takes: observation, policy, guards and limits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.controller import Controller
from deploy.driver import RobotState
from deploy.loop import percentiles
from robots.spec import RobotSpec

WARM_UP = 100  # steps


@dataclass(frozen=True)
class ControlBench:
    """Times of steps.

    Attributes:
        steps: how many were measured.
        step_ms: p50, p99, p999 and max of the steps that run the policy, ms.
        between_ms: the same of the steps between them, which only guard and limit; empty at the policy's own rate.
    """

    steps: int
    step_ms: dict[str, float]
    between_ms: dict[str, float]


class _Walker:
    """A robot that only reports: joints near the default pose, always different, never a fault."""

    def __init__(self, spec: RobotSpec, dt: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._gyro = draw.normal(0, 0.2, (512, 3))
        self._position = np.clip(spec.default_position + draw.normal(0, 0.1, (512, 12)), *spec.position_limits)
        self._velocity = np.clip(draw.normal(0, 1.0, (512, 12)), -spec.velocity_limit, spec.velocity_limit)
        self._dt, self._step = dt, 0

    def read(self) -> RobotState:
        """Return the next measurement."""
        self._step += 1
        i = self._step % 512
        return RobotState(
            stamp=self._step * self._dt,
            angular_velocity=self._gyro[i],
            quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
            joint_position=self._position[i],
            joint_velocity=self._velocity[i],
            joint_torque=np.zeros(12),
        )


def measure(controller: Controller, steps: int = 5000, seed: int = 0) -> ControlBench:
    """Return the times of a fresh controller's steps while it walks.

    Args:
        controller: in state "passive".
        steps: at the policy's rate that are measured.
        seed: of the measurements it is fed.

    Raises:
        RuntimeError: if the controller does not get to walk, with the reason.
    """
    robot = _Walker(controller.spec, controller.config.command_dt, seed)
    _walk(controller, robot)
    with_policy, between = [], []
    velocity = (0.5, 0.0, 0.0)
    while len(with_policy) < steps + WARM_UP:
        state = robot.read()
        start = time.perf_counter()
        controller.step(state, velocity)
        took = time.perf_counter() - start
        (with_policy if controller.policy_tick else between).append(took)
    if controller.state != "walk":
        raise RuntimeError(f"the controller stopped walking: {controller.fault or controller.cause}")
    return ControlBench(steps, _percentiles(with_policy[WARM_UP:]), _percentiles(between))


def _walk(controller: Controller, robot: _Walker) -> None:
    """Step until the controller walks."""
    still = (0.0, 0.0, 0.0)
    for _ in range(round(10.0 / controller.config.command_dt)):
        event = {"passive": "stand_up", "stand": "walk"}.get(controller.state)
        controller.step(robot.read(), still, event)
        if controller.state == "walk":
            return
    raise RuntimeError(f"the controller does not walk: {controller.fault or controller.refusal or controller.cause}")


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return percentiles(1e3 * np.array(seconds))
