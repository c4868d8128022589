"""What can be known before a motor moves: files that belong together, a log that can be written, a loop on time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

import robots
from deploy.bench import jitter
from deploy.context import ActiveContexts, ContextBank, RobotContext, load_bank, load_context
from deploy.controller import Controller, ControllerConfig
from deploy.driver import RobotDriver
from deploy.gains import NOMINAL
from deploy.guards import SafetyConfig
from deploy.load import BANK, CALIBRATION, POLICY, policy_path
from deploy.policy import OnnxPolicy
from deploy.realtime import Realtime
from robots.spec import RobotSpec

SPACE_WARN, SPACE_FAIL = 2e9, 1e8  # bytes; a run of an hour takes about 0.5 GB
LATE_WARN = 0.5  # of the command period: a p99 jitter above that is worth a look
LATE_FAIL = 0.02  # s: jitter that a walking policy feels, a period of its own

Verdict = Literal["ok", "warn", "fail"]
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """A line of the preflight's table."""

    name: str
    verdict: Verdict
    text: str


def preflight(
    robot: str,
    models: Path,
    policy: str | Path = POLICY,
    context: Path | None = None,
    jitter_seconds: float = 5.0,
    driver: RobotDriver | None = None,
    log: Path | None = None,
    command_dt: float = 0.002,
    realtime: Realtime | None = None,
) -> list[Check]:
    """Return what was checked; nothing moves.

    Args:
        robot: name of its folder in `robots`.
        models: folder with policies and bank.
        policy: a file of that folder, or the path of any other.
        context: the robot's context.json; None is the nominal robot's.
        jitter_seconds: how long the loop is timed; 0 leaves it out.
        driver: an open driver, whose robot is asked for its state.
        log: folder in which logs are made; None is the working directory.
        command_dt: time between two commands, s.
        realtime: how the loop will be scheduled.
    """
    checks: list[Check] = []
    spec = robots.load(robot)
    walk = _file(checks, "policy", lambda: OnnxPolicy.load(policy_path(models, policy), spec), _describe_policy)
    calibration = None
    if (models / CALIBRATION).exists():
        calibration = _file(
            checks, "calibration policy", lambda: OnnxPolicy.load(models / CALIBRATION, spec), _describe_policy
        )
    bank = None
    if walk is not None and (walk.takes_contexts or (models / BANK).exists()):
        bank = _file(
            checks, "context bank", lambda: load_bank(models / BANK, spec, walk.dynamics_digest), _describe_bank
        )
    if walk is not None and (bank is not None or not walk.takes_contexts):
        checks.append(_contexts(spec, walk, bank, context))
    checks.append(_log_folder(log or Path.cwd()))
    if driver is not None:
        checks.append(_robot(driver, spec))
    if jitter_seconds > 0 and all(check.verdict != "fail" for check in checks):
        made = Controller(spec, walk, calibration, bank, ControllerConfig(command_dt))
        checks.append(_timing(made, jitter_seconds, realtime))
    return checks


def _file(checks: list[Check], name: str, load: Callable[[], T], describe: Callable[[T], str]) -> T | None:
    """Load a file, note how that went, and return its content."""
    try:
        loaded = load()
    except (ValueError, OSError) as problem:
        checks.append(Check(name, "fail", " ".join(str(problem).split())))
        return None
    checks.append(Check(name, "ok", describe(loaded)))
    return loaded


def _describe_policy(policy: OnnxPolicy) -> str:
    whole = "checksum good" if policy.sealed else "no checksum"
    return f"{policy.path.name}: this robot's, reference pairs replayed, {whole}, sha256 {policy.sha256[:12]}"


def _describe_bank(bank: ContextBank) -> str:
    return f"{len(bank.robot_contexts)} robots, terrains {', '.join(bank.terrains)}; dynamics {bank.dynamics_digest}"


def _contexts(spec: RobotSpec, walk: OnnxPolicy, bank: ContextBank | None, context: Path | None) -> Check:
    """Check that policy, bank and context belong together, and where the context lies."""
    name = "robot context"
    try:
        active = ActiveContexts(bank)
        active.check(walk)
        found: RobotContext | None = None if context is None else load_context(context, spec, walk.dynamics_digest)
        if found is None:
            needs = walk.takes_contexts
            return Check(name, "warn" if needs else "ok", "none: the nominal robot's" if needs else "none needed")
        active.set_robot(found)
    except (ValueError, OSError) as problem:
        return Check(name, "fail", " ".join(str(problem).split()))
    corrects = "" if active.gains == NOMINAL else f"; gains of walking: {active.gains}"
    if active.warning:
        return Check(name, "warn", f"{active.warning}{corrects}")
    return Check(name, "ok", f"{context}, within the training robots' range{corrects}")


def _log_folder(folder: Path) -> Check:
    name = "log folder"
    there = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        return Check(name, "fail", f"{there} cannot be written: {problem.strerror}")
    free = shutil.disk_usage(there).free
    verdict: Verdict = "fail" if free < SPACE_FAIL else "warn" if free < SPACE_WARN else "ok"
    return Check(name, verdict, f"{there} has {free / 1e9:.1f} GB left")


def _robot(driver: RobotDriver, spec: RobotSpec) -> Check:
    """Check what the robot reports."""
    name = "robot"
    if driver.robot != spec.name or tuple(driver.joint_names) != spec.joint_names:
        return Check(name, "fail", f"the driver is of robot '{driver.robot}', or uses another joint order")
    if driver.problem is not None:
        return Check(name, "fail", driver.problem)
    state = driver.read()
    if state is None:
        return Check(name, "fail", "no state received")
    battery, hottest = getattr(state, "battery", None), getattr(state, "motor_temperature", None)
    known = f"serial {driver.serial or 'unknown'}"
    known += "" if battery is None else f", battery {100 * battery:.0f} %"
    known += "" if hottest is None else f", hottest motor {np.max(hottest):.0f} °C"
    low = battery is not None and battery < 4 * SafetyConfig().battery
    return Check(name, "warn" if low else "ok", known)


def _timing(controller: Controller, seconds: float, realtime: Realtime | None) -> Check:
    """Time the loop, with a log, while it walks a robot that is not there."""
    name = "timing"
    period = controller.config.command_dt
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = jitter(controller, seconds, Path(folder) / "log", realtime)
    except (ValueError, RuntimeError) as problem:
        return Check(name, "fail", " ".join(str(problem).split()))
    step, off = report.step_ms, report.jitter_ms
    text = (
        f"{1 / period:.0f} Hz for {seconds:g} s: step p99 {step['p99']:.2f} ms, jitter p99 {off['p99']:.2f} ms, "
        f"max {off['max']:.1f} ms, late ticks {report.late} of {report.ticks}"
    )
    slow = step["p99"] > 1e3 * period or off["p99"] > 1e3 * LATE_FAIL
    return Check(name, "fail" if slow else "warn" if off["p99"] > 1e3 * LATE_WARN * period else "ok", text)
