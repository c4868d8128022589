"""The control loop: read, step, write, record, wait; and the pace that a driver keeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace

import numpy as np

from deploy.controller import Controller
from deploy.driver import JointCommand, Operator, RobotDriver, StateLike
from deploy.live import LivePublisher
from deploy.log import LogWriter
from deploy.realtime import Realtime, steady_memory
from deploy.states import INITIAL

LATE = 1.5  # of the period: a tick that comes later after the last one is late
LATE_TICKS = 25  # that many in a row are a fault, where late ticks are acted on
SINK = 1.5  # s for which a robot that does not lie at the end is told to damp: it sinks, and a message may get lost
THREAD_SWITCH = 5e-4  # s that the log's thread may keep the interpreter to itself; Python's 5 ms would miss deadlines


# Asked once per period; None ends the run.
Commands = Callable[[Controller, "StateLike | None"], "Operator | None"]


@dataclass
class LoopReport:
    """How a run went.

    Attributes:
        ticks: periods.
        overruns: periods in which reading, stepping and writing took longer than the period.
        step_ms: p50, p99, p999 and max of that time, ms.
        late: periods that lasted more than `LATE` times what they should.
        jitter_ms: p50, p99, p999 and max of how far a period was off, ms; means something in real time only.
        trips: faults.
        fault: the last one, "" if none is latched.
        log_error: why the log ended early, "" if it did not.
    """

    ticks: int = 0
    overruns: int = 0
    step_ms: dict[str, float] = field(default_factory=dict)
    late: int = 0
    jitter_ms: dict[str, float] = field(default_factory=dict)
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
        self._ring, self.count = np.full(size, 0.0), 0  # written, so that the memory is there

    def add(self, seconds: float) -> None:
        self._ring[self.count % len(self._ring)] = seconds
        self.count += 1

    def milliseconds(self) -> np.ndarray:
        return 1e3 * self._ring[: self.count]


class _Lateness:
    """Watches in real time whether ticks come when they should."""

    def __init__(self, period: float) -> None:
        self.period, self.late, self.in_a_row, self.jitter = period, 0, 0, _Durations()
        self._last: float | None = None

    def tick(self, now: float) -> None:
        if self._last is not None:
            lasted = now - self._last
            self.jitter.add(abs(lasted - self.period))
            late = lasted > LATE * self.period
            self.late += late
            self.in_a_row = self.in_a_row + 1 if late else 0
        self._last = now


def with_remote(commands: Commands, driver: RobotDriver) -> Commands:
    """Return commands that the robot's own hand-held remote overrides while somebody touches it."""

    def merged(controller: Controller, state: StateLike | None) -> Operator | None:
        wish, remote = commands(controller, state), driver.remote()
        if wish is None or remote is None:
            return wish
        return replace(remote, event=remote.event or wish.event)

    return merged


def run(
    controller: Controller,
    driver: RobotDriver,
    commands: Commands,
    log: LogWriter | None = None,
    record: Collection[str] | None = None,
    realtime: Realtime | None = None,
    late_limit: int = 0,
    live: LivePublisher | None = None,
    sink: float = 0.0,
) -> LoopReport:
    """Drive the robot until `commands` returns None or something raises; leave it damped either way.

    The driver's `wait` sets the pace. The log and the driver stay open: who opened them closes them. What the robot's
    own remote asks for is asked here, and wins.

    Args:
        controller: what decides.
        driver: the robot.
        commands: what the operator wants, given the controller and the state.
        log: where a record is written at the policy's rate, and every transition.
        record: states in which it is written; None is all.
        realtime: how the calling thread is scheduled meanwhile.
        late_limit: late ticks in a row that are a fault, such as `LATE_TICKS`; 0 where time is simulated.
        live: who tells watchers of every policy tick.
        sink: s for which the motors are told to damp at the end, such as `SINK`, unless the robot lies; with 0, as for
            trials in simulation, they are told once.

    Raises:
        ValueError: if the driver's robot, joint order or rate is not the controller's, or `realtime` is not permitted.
    """
    _check(controller, driver)
    times, overruns, lateness = _Durations(), 0, _Lateness(driver.command_dt)
    journal = _Journal(log, controller, record) if log is not None else None
    commands, switch = with_remote(commands, driver), sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH)
    try:
        with realtime or nullcontext(), steady_memory():
            while True:
                start = time.perf_counter()
                lateness.tick(start)
                state = driver.read()
                wish = commands(controller, state)
                if wish is None:
                    break
                if late_limit and lateness.in_a_row >= late_limit:
                    controller.trip(f"the control loop is late: {late_limit} ticks in a row, the machine is too busy")
                command = controller.step(state, wish, driver.problem)
                driver.write(command)
                took = time.perf_counter() - start
                times.add(took)
                overruns += took > driver.command_dt
                if journal is not None:
                    journal.tick(state, command)
                if live is not None and state is not None and controller.policy_tick:
                    live.send(state, 1e3 * took)
                driver.wait()
    finally:
        sys.setswitchinterval(switch)
        _let_sink(controller, driver, 0.0 if controller.state == INITIAL else sink)
    return LoopReport(
        ticks=times.count,
        overruns=overruns,
        step_ms=percentiles(times.milliseconds()),
        late=lateness.late,
        jitter_ms=percentiles(lateness.jitter.milliseconds()),
        trips=controller.trips,
        fault=controller.fault,
        log_error=log.error if log is not None else "",
    )


def _let_sink(controller: Controller, driver: RobotDriver, seconds: float) -> None:
    """Tell the motors to damp, at least once; what fails is tried again a period later."""
    for period in range(round(seconds / driver.command_dt) + 1):
        if period:
            with suppress(Exception):
                driver.wait()
                controller.supervisor.check(driver.read(), driver.problem)
        with suppress(Exception):
            driver.write(controller.damping_command())


class _Journal:
    """Writes to the log what a tick brought: a record at the policy's rate, transitions and refusals."""

    def __init__(self, log: LogWriter, controller: Controller, record: Collection[str] | None) -> None:
        self._log, self._controller, self._record = log, controller, record
        self._transitions, self._refusal = controller.transitions, controller.refusal

    def tick(self, state: StateLike | None, command: JointCommand) -> None:
        log, controller = self._log, self._controller
        if state is not None and controller.policy_tick and (self._record is None or controller.state in self._record):
            log.record(state, controller.target, controller.velocity, command, controller.status())
        if controller.transitions != self._transitions:
            self._note_transitions()
        if controller.refusal != self._refusal:
            self._refusal = controller.refusal
            if self._refusal:
                log.event(controller.supervisor.reading.stamp, {"refused": self._refusal})

    def _note_transitions(self) -> None:
        fresh = min(self._controller.transitions - self._transitions, len(self._controller.history))
        self._transitions = self._controller.transitions
        for change in list(self._controller.history)[-fresh:]:
            self._log.event(change.stamp, {"from": change.source, "to": change.target, "cause": change.cause})


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
