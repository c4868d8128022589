"""The control loop: read, step, write, record, wait; and the pace that a driver keeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np

from deploy.controller import Controller
from deploy.driver import RobotDriver, StateLike
from deploy.log import LogWriter

THREAD_SWITCH = 5e-4  # s that the log's thread may keep the interpreter to itself; Python's 5 ms would miss deadlines


@dataclass(frozen=True)
class Operator:
    """What the operator wants in a period.

    Attributes:
        velocity: forward m/s, left m/s, turning left rad/s.
        event: one of `deploy.states.EVENTS`, or None.
    """

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    event: str | None = None


# Asked once per period; None ends the run.
Commands = Callable[[Controller, "StateLike | None"], "Operator | None"]


@dataclass
class LoopReport:
    """How a run went.

    Attributes:
        ticks: periods.
        overruns: periods in which reading, stepping and writing took longer than the period.
        step_ms: p50, p99, p999 and max of that time, ms.
        trips: faults.
        fault: the last one, "" if none is latched.
        log_error: why the log ended early, "" if it did not.
    """

    ticks: int = 0
    overruns: int = 0
    step_ms: dict[str, float] = field(default_factory=dict)
    trips: int = 0
    fault: str = ""
    log_error: str = ""


def percentiles(milliseconds: np.ndarray) -> dict[str, float]:
    """Return p50, p99, p999 and max."""
    if not len(milliseconds):
        return {}
    values = np.percentile(milliseconds, [50, 99, 99.9, 100])
    return dict(zip(("p50", "p99", "p999", "max"), values.tolist(), strict=True))


class Pacer:
    """Keeps a period by absolute deadlines, for drivers of real robots.

    Args:
        period: s.

    Attributes:
        missed: deadlines that had passed before they were waited for.
    """

    def __init__(self, period: float) -> None:
        self.period, self.missed = period, 0
        self._deadline = time.monotonic() + period

    def wait(self) -> None:
        """Block until the next deadline; after a missed one, continue on the grid of the first."""
        late = time.monotonic() - self._deadline
        if late > 0:
            skipped = int(late // self.period) + 1
            self.missed += skipped
            self._deadline += skipped * self.period
        time.sleep(max(0.0, self._deadline - time.monotonic()))
        self._deadline += self.period


class _Durations:
    """Times of the periods in a ring, so that a long run needs no more memory than a short one."""

    def __init__(self, size: int = 100_000) -> None:
        self._ring, self.count = np.zeros(size), 0

    def add(self, seconds: float) -> None:
        self._ring[self.count % len(self._ring)] = seconds
        self.count += 1

    def milliseconds(self) -> np.ndarray:
        return 1e3 * self._ring[: self.count]


def run(
    controller: Controller,
    driver: RobotDriver,
    commands: Commands,
    log: LogWriter | None = None,
    record: Collection[str] | None = None,
) -> LoopReport:
    """Drive the robot until `commands` returns None or something raises; leave it damped either way.

    The driver's `wait` sets the pace. The log and the driver stay open: who opened them closes them.

    Args:
        controller: what decides.
        driver: the robot.
        commands: what the operator wants, given the controller and the state.
        log: where a record is written at the policy's rate.
        record: states in which it is written; None is all.

    Raises:
        ValueError: if the driver's robot, joint order or rate is not the controller's.
    """
    _check(controller, driver)
    times, overruns, switch = _Durations(), 0, sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH)
    try:
        while True:
            start = time.perf_counter()
            state = driver.read()
            wish = commands(controller, state)
            if wish is None:
                break
            command = controller.step(state, wish.velocity, wish.event)
            driver.write(command)
            took = time.perf_counter() - start
            times.add(took)
            overruns += took > driver.command_dt
            wanted = record is None or controller.state in record
            if log is not None and state is not None and controller.policy_tick and wanted:
                log.record(state, controller.target, controller.velocity, command, controller.status())
            driver.wait()
    finally:
        driver.write(controller.damping_command())
        sys.setswitchinterval(switch)
    return LoopReport(
        ticks=times.count,
        overruns=overruns,
        step_ms=percentiles(times.milliseconds()),
        trips=controller.trips,
        fault=controller.fault,
        log_error=log.error if log is not None else "",
    )


def _check(controller: Controller, driver: RobotDriver) -> None:
    spec = controller.spec
    if driver.robot != spec.name:
        raise ValueError(f"the driver is of robot '{driver.robot}', the controller of '{spec.name}'")
    if tuple(driver.joint_names) != spec.joint_names:
        raise ValueError("the driver does not use the internal joint order; convert by name at its edge")
    if abs(driver.command_dt - controller.config.command_dt) > 1e-9:
        raise ValueError(
            f"the driver's period is {driver.command_dt:g} s, the controller's {controller.config.command_dt:g} s"
        )
