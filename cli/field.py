"""`dmcm field`: 20 s of walking on the robot, its context found, shown, and kept if the operator accepts it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cli.drivers import RobotName, Simulated, Wire
from cli.record import check_output, write_figures

if TYPE_CHECKING:
    from calibration import Result
    from calibration.field import FieldRoutine
    from calibration.live import Figures
    from calibration.store import ContextStore
    from deploy.context import RobotContext
    from deploy.controller import Controller
    from deploy.driver import RobotDriver
    from deploy.loop import Commands, LoopReport
    from deploy.operate import Teller


SPEED, LONGEST = 0.3, 5.0  # m/s and s of the walk with the new context: 1.5 m
CLEAR = "\x1b[K"  # to the end of the line: the one before may have been longer


@dataclass(frozen=True)
class FieldConfig(Simulated, Wire):
    """Find this robot's context in 20 s of walking on flat ground, 2 m free on every side, and keep it.

    The robot stands up, walks a designed motion and lies down again; then what was found is shown and asked about.
    Ctrl-C (or SIGTERM, or the terminal's end) lets the robot lie down, a second one damps it; nothing is saved then,
    and the context that was kept before stays.

    Attributes:
        robot: which robot.
        driver: how it is reached.
        log: adapt on this log (rosbag2 folder, .mcap or .db3) instead of walking.
        contexts: folder of all robots' contexts.
        serial: of the robot; what the driver or the log says by default.
        compensate: read the motors after 5 s, walk the 20 s with gains that make up for them, and keep those with the
            context; in simulation only so far. With --log, see `dmcm adapt`.
        yes: accept without asking.
        walk: after accepting, walk forward that long with the new context, at 0.3 m/s, s.
        undo: make the context that was accepted before the current one, and do nothing else.
        list: show this robot's contexts, * the current one, and do nothing else.
        logs: folder for the log of the walk.
        policy: ONNX file that walks with the context; multi.onnx of the models by default.
        model_dir: folder with models; the shipped ones by default.
        jitter: how long preflight watches this machine's timing, s.
        fast: a simulation as fast as possible instead of in real time.
        rate: commands a second.
        fifo: SCHED_FIFO priority, 1 to 99; 0 for none.
        cpu: core to stay on.
        report: HTML file for a report to show; beside the walk's log by default.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    driver: Literal["sim", "unitree_dds", "unitree_udp"] = "sim"
    log: Path | None = None
    contexts: Path = Path("contexts")
    serial: str = ""
    compensate: bool = False
    yes: bool = False
    walk: float = 0.0
    undo: bool = False
    list: bool = False
    logs: Path = Path("runs/field")
    policy: Path | None = None
    model_dir: Path | None = None
    jitter: float = 2.0
    fast: bool = False
    rate: float = 200.0
    fifo: int = 0
    cpu: int | None = None
    report: Path | None = None
    json: Path | None = None


def main(arguments: Sequence[str]) -> int:
    """Run the routine; return 1 if no context was kept."""
    import tyro

    config = tyro.cli(FieldConfig, prog="dmcm field", args=arguments)
    check_output(config.json)
    check_output(config.report)
    if not 0.0 <= config.walk <= LONGEST:
        raise ValueError(f"--walk {config.walk:g} is out of range: give 0 to {LONGEST:g} s")
    if config.list or config.undo:
        return _look_up(config)
    typed = shlex.join(["dmcm", "field", *arguments])
    figures = _from_log(config, typed) if config.log else _on_robot(config, typed)
    write_figures(config.json, figures, ["field", *arguments], config.seed)
    return 0 if figures["accepted"] else 1


def _look_up(config: FieldConfig) -> int:
    from calibration.report import plain
    from calibration.store import ContextStore

    store = ContextStore.find(config.contexts, config.robot, config.serial)
    if config.undo:
        path = store.undo()
        print(f"current: {path or 'the nominal context'}")
        return 0
    entries = store.entries()
    for entry in entries:
        print(f"{'*' if entry.current else ' '} {entry.path}  {plain(entry.content)}")
    if not any(entry.current for entry in entries):
        print("* the nominal context")
    return 0


def _from_log(config: FieldConfig, typed: str) -> dict[str, Any]:
    import models
    import robots
    from calibration import find
    from calibration.field import keep
    from calibration.store import ContextStore
    from deploy.context import load_bank
    from deploy.load import BANK

    folder = config.model_dir or models.path(config.robot)
    result = find(config.log, config.robot, folder, command=typed, compensate=config.compensate)
    store = ContextStore(config.contexts, config.robot, config.serial or result.context["log"]["serial"])
    _show(result)
    if config.report is not None:
        _report(config.report, result, config.log, folder)
    accepted = _ask(config, store)
    path = keep(result, store, load_bank(folder / BANK, robots.load(config.robot))) if accepted else None
    print(f"kept as {path}" if path else "not kept; the context before stays")
    return {"accepted": accepted, "context": path and str(path), **result.figures()}


def _on_robot(config: FieldConfig, typed: str) -> dict[str, Any]:
    import robots
    from calibration.field import FieldRoutine
    from calibration.store import ContextStore
    from cli.drivers import open_driver
    from deploy.operate import Teller

    models_dir, spec = _models(config), robots.load(config.robot)
    driver = open_driver(config.driver, config.robot, 1 / config.rate, config, config, None, config.fast)
    try:
        store = ContextStore(config.contexts, config.robot, config.serial or driver.serial)
        store.current()
        waits = config.driver == "sim" and config.fast
        with Teller() as tell:
            watch = _Progress(tell)
            routine = FieldRoutine(spec, models_dir, store, compensate=config.compensate, waits=waits, watch=watch)
            _preflight(config, driver)
            log = config.logs / f"{store.folder.name}-{datetime.now(timezone.utc):%Y-%m-%dT%H%M%SZ}"
            report = _walk_motion(config, driver, routine, log)
        if routine.problem:
            raise ValueError(f"{routine.problem}; nothing was saved, the context before stays")
        result = routine.adapt(log, typed, config.seed)
        _show(result)
        _report(config.report or Path(f"{log}.html"), result, log, models_dir)
        figures = {"robot_seconds": routine.seconds, "step_ms": report.step_ms, **result.figures()}
        if not _ask(config, store):
            print("not kept; the context before stays")
            return {"accepted": False, **figures}
        context = routine.accept(result)
        undo = _undo(config, store)
        print(f"kept as {context.source}, sha256 {context.digest[:16]}; `{undo}` goes back")
        run = shlex.join(["dmcm", "run", "--robot", config.robot, "--context", context.source])
        print(f"to walk with it: `{run} ...`, or context:={context.source} in ROS 2")
        walked = _walk_with(config, driver, context, undo) if config.walk else 0.0
        print(f"robot time {routine.seconds + walked:.1f} s")
        return {"accepted": True, **figures, "context": context.source, "walk_seconds": walked}
    finally:
        driver.close()


def _undo(config: FieldConfig, store: ContextStore) -> str:
    which = ["--robot", config.robot, "--serial", store.serial, "--contexts", str(config.contexts)]
    return shlex.join(["dmcm", "field", "--undo", *which])


def _models(config: FieldConfig) -> Path:
    import models

    return config.model_dir or models.path(config.robot)


def _preflight(config: FieldConfig, driver: RobotDriver) -> None:
    """Print the checks; refuse to move if one fails."""
    from calibration.report import checks_text
    from deploy.load import POLICY
    from deploy.preflight import preflight
    from deploy.realtime import Realtime

    policy = config.policy or POLICY
    print("Preflight ...", flush=True)
    jitter = 0.0 if config.fast else config.jitter
    timing = 1 / config.rate, Realtime(config.fifo, config.cpu)
    checks = preflight(config.robot, _models(config), policy, None, jitter, driver, config.logs, *timing)
    print(checks_text(checks))
    failed = [check for check in checks if check.verdict == "fail"]
    if failed:
        raise ValueError(f"preflight failed ({failed[0].name}: {failed[0].text}); the robot was not moved")


def _controller(config: FieldConfig, context: RobotContext | None) -> Controller:
    import robots
    from deploy.controller import ControllerConfig
    from deploy.load import POLICY, load_controller

    timing = ControllerConfig(command_dt=1 / config.rate)
    return load_controller(robots.load(config.robot), _models(config), config.policy or POLICY, context, "flat", timing)


def _walk_motion(config: FieldConfig, driver: RobotDriver, routine: FieldRoutine, log: Path) -> LoopReport:
    from calibration.field import RECORD
    from deploy.log import LogWriter

    made = _controller(config, None)
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"\nStanding up; then 20 s of walking within 1.5 m. Ctrl-C lies down. Log: {log}")
    with LogWriter(log, made.spec, {**made.provenance(), "serial": routine.store.serial}) as writer:
        report = _drive(config, made, driver, routine, routine.cancel, writer, RECORD)
    if report.log_error and not routine.problem:
        raise ValueError(f"{report.log_error}; nothing was saved, the context before stays")
    return report


def _walk_with(config: FieldConfig, driver: RobotDriver, context: RobotContext, undo: str) -> float:
    """Walk forward with the context and lie down, or say how to go back; return the robot's time, s."""
    from deploy.operate import Operation
    from deploy.script import Script, parse

    text = f"stand_up; walk {SPEED} for {config.walk}; stand; lie_down"
    print(f"\nWalking {config.walk:g} s with the new context ...")
    script = Script(parse(text), 1 / config.rate)
    operation = Operation(script, driver, lambda line: None)
    report = _drive(config, _controller(config, context), driver, operation, operation.stop, None, None)
    if problem := report.fault or script.error:
        print(f"dmcm: {problem}; `{undo}` goes back to the context before", file=sys.stderr)
    return report.ticks / config.rate


def _drive(
    config: FieldConfig,
    made: Controller,
    driver: RobotDriver,
    commands: Commands,
    cancel: Callable[[], None],
    log: Any,
    record: Any,
) -> LoopReport:
    """Run the loop; the first Ctrl-C, SIGTERM or end of the terminal cancels gently, the next one damps."""
    from deploy.live import LivePublisher
    from deploy.loop import LATE_TICKS, SINK, run
    from deploy.realtime import Realtime

    asked: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        cancel()

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        simulated = config.driver == "sim" and config.fast
        limit = 0 if simulated else LATE_TICKS
        realtime = Realtime(fifo=config.fifo, cpu=config.cpu)
        return run(made, driver, commands, log, record, realtime, limit, LivePublisher(made), SINK)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class _Progress:
    """Tells of the live figures: one line that changes in a terminal, one in four seconds elsewhere."""

    def __init__(self, tell: Teller) -> None:
        self._tell = tell
        self._count, self._terminal, self._done = 0, sys.stdout.isatty(), 0.0

    def __call__(self, figures: Figures) -> None:
        if figures.progress < self._done:
            gap = "\n" if self._terminal else ""
            self._tell(f"{gap}  The motors are read; the whole walk, with corrected gains:")
        self._done = figures.progress
        error = "not known yet" if isnan(figures.error) else f"{figures.error:.4f}"
        line = (
            f"  {100 * figures.progress:3.0f} %   walked {figures.distance:4.1f} m, {figures.away:.1f} m from the start"
            f"   data {figures.quality}   error with the nominal context {error}"
        )
        last = figures.progress > 0.945
        if self._terminal:
            self._tell(f"\r{line}{CLEAR}", end="\n" if last else "")
        elif self._count % 4 == 0 or last:
            self._tell(line)
        self._count += 1


def _show(result: Result) -> None:
    from calibration.report import plain, text

    error = result.context["error"]
    print(f"\n{text(result)}\n")
    print(f"In plain words: {plain(result.context)}.")
    print(f"Prediction error {error['before']:.4f} before, {error['after']:.4f} after.")


def _report(path: Path, result: Result, log: Path, folder: Path) -> None:
    from calibration import report_page

    print(f"Report: {report_page.write(path, result, log, folder, 'Field adaptation')}")


def _ask(config: FieldConfig, store: ContextStore) -> bool:
    """Return whether the operator accepts the context."""
    if config.yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError("nobody can be asked here: give --yes to accept the context")
    answer = input(f"Keep this context for {store.folder.name}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
