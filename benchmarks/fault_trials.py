"""Puts every fault of `deploy.faults` on the simulated field robot in every state, and judges the controller."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import robots
from deploy.controller import Controller, ControllerConfig
from deploy.driver import JointCommand, Operator, StateLike
from deploy.faults import FAULTS, Expectation, Fault, Faulty
from deploy.fuzz import within_limits
from deploy.load import load_controller
from deploy.log import LogWriter
from deploy.loop import LoopReport, run
from deploy.summary import Summary, summarize
from sim.field import FieldRobot

STATES = ("stand", "walk", "calibrate")
COMMAND_DT = 0.005  # s
BEFORE, AFTER = 1.2, 2.5  # s in the state before the fault, and after its beginning where the robot carries on
DAMPED = 0.5  # s that are watched once the motors are damped
LOSS = 1.1  # s of the log that a fault may cost


@dataclass(frozen=True)
class Row:
    """How a fault went.

    Attributes:
        fault, state: which, and where.
        expected: what the controller had to do, and within what, ms; 0 where it carries on.
        within_ms: as above.
        safe: whether it did, and no command left the limits.
        reaction_ms: from the first bad state to the first damping command; None where it carried on.
        commands: how many were judged.
        outside: of them outside the limits.
        log_readable: whether the log reads until less than `LOSS` before its end and tells what happened.
        reason: what the controller says.
    """

    fault: str
    state: str
    expected: Expectation
    within_ms: float
    safe: bool
    reaction_ms: float | None
    commands: int
    outside: int
    log_readable: bool
    reason: str


class Judge:
    """Commands for the run, and what is seen of it: when the fault begins, when the motors are damped.

    Args:
        state: in which the fault begins.
        begin: lets it begin.
        dt: time between two commands, s.
    """

    def __init__(self, state: str, begin: Callable[[], None], dt: float) -> None:
        self.reaction: int | None = None
        self.commands = self.outside = 0
        self._state, self._begin, self._dt = state, begin, dt
        self._inside = self._since = self._damped = 0
        self._over = False

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the operator wants, None at the end."""
        if self._since:
            self._since += 1
            self._damped += self.reaction is not None
            self._over = self._damped > DAMPED / self._dt or self._since > AFTER / self._dt
            return None if self._over else Operator((0.5, 0.0, 0.0))
        if controller.state == self._state:
            self._inside += 1
            if self._inside > BEFORE / self._dt:
                self._since = 1
                self._begin()
            return Operator((0.5, 0.0, 0.0))
        wish = {"passive": "stand_up", "stand": self._state if self._state != "stand" else None}
        return Operator(event=wish.get(controller.state))

    def watch(self, controller: Controller, command: JointCommand) -> None:
        """Look at a command that is sent."""
        powered = controller.state not in ("passive", "damping", "fault")
        self.commands += 1
        self.outside += not within_limits(command, controller.supervisor.reading, controller.spec, powered)
        if self._since > 1 and self.reaction is None and not self._over and not command.kp.any():
            self.reaction = self._since - 2


class Watched(Faulty):
    """A faulty driver whose commands a judge sees."""

    controller: Controller
    judge: Judge

    def write(self, command: JointCommand) -> None:
        """Send a command that the judge has seen."""
        self.judge.watch(self.controller, command)
        super().write(command)


# Faults of the machine, not of the robot: what happens to the log's folder and to the policy's file meanwhile.
def _fill_disk(folder: Path, models: Path) -> None:
    size = max(file.stat().st_size for file in (folder / "log").iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _remove_folder(folder: Path, models: Path) -> None:
    (folder / "log").rename(folder / "gone")
    shutil.rmtree(folder / "gone")


def _corrupt_policy(folder: Path, models: Path) -> None:
    for file in models.glob("*.onnx"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0x55
        file.write_bytes(content)


MACHINE = {
    "policy file corrupted": _corrupt_policy,
    "disk full while logging": _fill_disk,
    "log directory gone": _remove_folder,
}
NONE = Fault("none", "carries on", 0.0)


@dataclass(frozen=True)
class Job:
    """A row to be tried, in a process of its own."""

    fault: str
    state: str
    robot: str
    models: Path
    seed: int


def jobs(robot: str, models: Path, seed: int) -> list[Job]:
    """Return every fault in every state."""
    names = [NONE.name, *(fault.name for fault in FAULTS), *MACHINE]
    return [Job(name, state, robot, models, seed) for name in names for state in STATES]


def run_all(wanted: list[Job], workers: int) -> Iterator[Row]:
    """Try the rows, each in a fresh process, and yield them in order."""
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        yield from pool.map(try_fault, wanted)


def try_fault(job: Job) -> Row:
    """Bring a robot to the state, let the fault begin, and judge."""
    fault = next((fault for fault in FAULTS if fault.name == job.fault), NONE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = Path(shutil.copytree(job.models, folder / "models"))
        spec = robots.load(job.robot)
        controller = load_controller(spec, models, config=ControllerConfig(COMMAND_DT))
        driver = Watched(FieldRobot(spec, seed=job.seed, command_dt=COMMAND_DT), fault)

        def begin() -> None:
            driver.begin()
            if job.fault in MACHINE:
                time.sleep(1.5)  # until the log has been on the disk once, though time is simulated
                MACHINE[job.fault](folder, models)
                time.sleep(1.5)  # until the log has seen what became of it

        driver.controller, driver.judge = controller, Judge(job.state, begin, COMMAND_DT)
        # A log that is written in no time cannot lose a second: its last second is simulated time.
        log = LogWriter(folder / "log", spec, controller.provenance())
        report = run(controller, driver, driver.judge, log)
        if job.fault in MACHINE:
            time.sleep(1.5)
        log.close()
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        )
        refused = job.fault != "policy file corrupted" or _refused(job, models)
        return _row(job, fault, driver.judge, controller, report, _read(log), refused)


def _read(log: LogWriter) -> Summary | None:
    with suppress(ValueError):
        return summarize(log.folder)
    return None


def _refused(job: Job, models: Path) -> bool:
    """Return whether the next start refuses the corrupted policy."""
    try:
        load_controller(robots.load(job.robot), models)
    except ValueError:
        return True
    return False


def _row(
    job: Job,
    fault: Fault,
    judge: Judge,
    controller: Controller,
    report: LoopReport,
    log: Summary | None,
    refused: bool,
) -> Row:
    reaction = None if judge.reaction is None else judge.reaction * COMMAND_DT
    as_expected = (
        reaction is None if fault.expected == "carries on" else reaction is not None and reaction <= fault.within
    )
    return Row(
        fault=job.fault,
        state=job.state,
        expected=fault.expected,
        within_ms=round(1e3 * fault.within),
        safe=bool(as_expected and not judge.outside and refused),
        reaction_ms=None if reaction is None else 1e3 * reaction,
        commands=judge.commands,
        outside=judge.outside,
        log_readable=_tells(job, log, controller),
        reason=controller.fault or report.log_error or "carries on",
    )


def _tells(job: Job, log: Summary | None, controller: Controller) -> bool:
    """Return whether the log holds the run until its end, or until the disk failed."""
    if log is None or not log.records:
        return False
    if job.fault == "disk full while logging":
        return True
    last = controller.history[-1]
    told = any(event.get("to") == last.target and event.get("cause") == last.cause for event in log.events)
    return (told or job.fault == "log directory gone") and log.gap < LOSS
