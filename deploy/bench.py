"""How long a step of the controller takes and its parts, and how well a loop keeps its period on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.controller import Controller
from deploy.driver import JointCommand, Operator, RobotState, StateLike
from deploy.log import LogWriter
from deploy.loop import LoopReport, Pacer, percentiles, run
from deploy.realtime import Realtime, steady_memory
from robots.spec import RobotSpec

WARM_UP = 100  # steps
REST = 200, 0.01  # steps after which it rests, s: the kernel halts a SCHED_FIFO thread that never does
FORWARD = Operator((0.5, 0.0, 0.0))
Times = dict[str, float]  # p50, p99, p999 and max, ms


class Walker:
    """A driver without a robot: it reports joints that swing about the default pose, never a fault.

    Args:
        spec: the robot.
        dt: time between two commands, s.
        seed: of the sensor noise.
        realtime: whether `wait` waits.
    """

    def __init__(self, spec: RobotSpec, dt: float, seed: int = 0, realtime: bool = False) -> None:
        draw = np.random.default_rng(seed)
        self.robot, self.joint_names, self.command_dt = spec.name, spec.joint_names, dt
        self.serial = ""
        self._center, self._phase = spec.default_position, draw.uniform(0, 2 * np.pi, 12)
        self._gyro = draw.normal(0, 0.2, (512, 3))
        self._step, self._realtime = 0, realtime
        self._pacer: Pacer | None = None

    @property
    def problem(self) -> None:
        """Nothing."""

    def read(self) -> RobotState:
        """Return the next measurement."""
        stamp = self._step * self.command_dt
        angle = 10.0 * stamp + self._phase
        return RobotState(
            stamp=stamp,
            angular_velocity=self._gyro[self._step % 512],
            quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
            joint_position=self._center + 0.1 * np.sin(angle),
            joint_velocity=np.cos(angle),
            joint_torque=np.zeros(12),
            foot_force=np.full(4, 30.0),
            linear_acceleration=np.array([0.0, 0.0, 9.81]),
        )

    def write(self, command: JointCommand) -> None:
        """Take a command, and leave it."""

    def remote(self) -> None:
        """Return None: there is none."""

    def wait(self) -> None:
        """Go on to the next period, in real time if asked to."""
        self.skip()
        if self._realtime:
            self._pacer = self._pacer or Pacer(self.command_dt)
            self._pacer.wait()

    def skip(self) -> None:
        """Go on to the next period at once."""
        self._step += 1

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class StepTimes:
    """Times of steps.

    Attributes:
        steps: how many were measured.
        step_ms: of the steps that run the policy.
        between_ms: of the steps between them, which only guard and limit; empty at the policy's own rate.
    """

    steps: int
    step_ms: Times
    between_ms: Times


def measure(controller: Controller, steps: int = 5000, seed: int = 0) -> StepTimes:
    """Return the times of a fresh controller's steps while it walks.

    Args:
        controller: in state "passive".
        steps: at the policy's rate that are measured.
        seed: of the measurements it is fed.

    Raises:
        RuntimeError: if the controller does not get to walk, with the reason.
    """
    robot = _walk(controller, Walker(controller.spec, controller.config.command_dt, seed))
    with_policy, between = [], []
    with steady_memory():
        while len(with_policy) < steps + WARM_UP:
            robot.wait()
            state = robot.read()
            start = time.perf_counter()
            controller.step(state, FORWARD)
            took = time.perf_counter() - start
            (with_policy if controller.policy_tick else between).append(took)
            if controller.policy_tick and len(with_policy) % REST[0] == 0:
                time.sleep(REST[1])
    if controller.state != "walk":
        raise RuntimeError(f"the controller stopped walking: {controller.fault or controller.cause}")
    return StepTimes(steps, percentiles(1e3 * np.array(with_policy[WARM_UP:])), percentiles(1e3 * np.array(between)))


def budget(controller: Controller, folder: Path, steps: int = 5000, seed: int = 0) -> dict[str, Times]:
    """Return the times of a tick's parts, one after the other: guards, observation, policy, limits, log.

    Args:
        controller: in state "passive".
        folder: for a log, made here.
        steps: how many are measured.
        seed: of the measurements.
    """
    robot = _walk(controller, Walker(controller.spec, controller.config.command_dt, seed))
    supervisor, runner = controller.supervisor, controller.runner
    assert runner is not None
    policy, contexts = runner.policy, controller.contexts
    times: dict[str, list[float]] = {}
    with steady_memory(), LogWriter(folder, controller.spec, controller.provenance()) as log:
        while len(times.get("log", ())) < steps + WARM_UP:
            robot.wait()
            state = robot.read()
            command = controller.step(state, FORWARD)
            if not controller.policy_tick:
                continue
            seen = controller.observation()
            parts: dict[str, Callable[[], object]] = {
                "guards": lambda state=state: supervisor.check(state),
                "observation": lambda: runner.observer.observe(supervisor.reading, controller.velocity, runner.action),
                "policy": lambda seen=seen: policy(seen, contexts.robot, contexts.terrain),
                "limits": lambda command=command: supervisor.limit(command),
                "log": lambda state=state, command=command: log.record(
                    state, controller.target, controller.velocity, command, controller.status()
                ),
            }
            for name, part in parts.items():
                start = time.perf_counter()
                part()
                times.setdefault(name, []).append(time.perf_counter() - start)
    return {name: percentiles(1e3 * np.array(mine[WARM_UP:])) for name, mine in times.items()}


def jitter(controller: Controller, seconds: float, folder: Path, realtime: Realtime | None = None) -> LoopReport:
    """Return how a loop in real time keeps its period while the controller walks and logs.

    Args:
        controller: in state "passive".
        seconds: duration.
        folder: for the log, made here.
        realtime: how the loop is scheduled.

    Raises:
        ValueError: if `realtime` is not permitted.
        RuntimeError: if the controller does not get to walk.
    """
    robot = _walk(controller, Walker(controller.spec, controller.config.command_dt, realtime=True))
    left = round(seconds / controller.config.command_dt)

    def commands(controller: Controller, state: StateLike | None) -> Operator | None:
        nonlocal left
        left -= 1
        return FORWARD if left > 0 else None

    with LogWriter(folder, controller.spec, controller.provenance()) as log:
        return run(controller, robot, commands, log, realtime=realtime)


@contextmanager
def busy(cores: int | None = None) -> Iterator[None]:
    """Keep every core busy with a process each, at normal priority."""
    count = cores or len(os.sched_getaffinity(0))
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _walk(controller: Controller, robot: Walker) -> Walker:
    """Step, in no time, until the controller walks; return the robot, ready for the next step."""
    for _ in range(round(15.0 / controller.config.command_dt)):
        event = {"passive": "stand_up", "stand": "walk"}.get(controller.state)
        controller.step(robot.read(), Operator(event=event))
        robot.skip()
        if controller.state == "walk":
            return robot
    raise RuntimeError(f"the controller does not walk: {controller.fault or controller.refusal or controller.cause}")
