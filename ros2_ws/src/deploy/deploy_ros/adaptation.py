"""The field routine inside a control loop that goes on: what the action `adapt_context` does, without ROS."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from calibration.field import ENDED, LIE_DOWN, RECORD, STAND_UP, WAITING, WALK, FieldRoutine
from calibration.report import plain
from calibration.routine import Result
from calibration.store import ContextStore
from deploy.calibration_motion import SECONDS
from deploy.context import RobotContext
from deploy.controller import Controller
from deploy.log import LogWriter
from deploy_ros.find import find_elsewhere
from deploy_ros.inbox import Inbox
from deploy_ros.shown import ShownDriver

DESIGNED = "designed"
ADAPT = "adapt"
POLL = 0.05  # s
# Share of the routine at which each phase begins; the walk has what is left.
BEGINS = {WAITING: 0.0, STAND_UP: 0.02, WALK: 0.1, LIE_DOWN: 0.9, ADAPT: 0.95}


@dataclass(frozen=True)
class Goal:
    """What is asked for; `seconds` 0 and `profile` "" are the designed motion, `accept` is to use what is found."""

    seconds: float = 0.0
    profile: str = ""
    accept: bool = True


@dataclass(frozen=True)
class Feedback:
    """How it goes: phase, share done, m walked, a few words on the data, error so far in the targets' variance."""

    phase: str
    progress: float
    walked: float
    quality: str
    error: float


@dataclass(frozen=True)
class Outcome:
    """How it ended: whether the context is in use, why not, its file, and the plain reading."""

    accepted: bool
    reason: str = ""
    context: str = ""
    report: str = ""


class Adaptation:
    """One run of the routine, in a thread of its own; the control loop walks it, another process computes.

    Args:
        goal: what is asked for.
        inbox: of the running control loop.
        shown: its driver, which records.
        controller: of the loop.
        models: folder with the robot's models.
        folder: where contexts and logs are kept.
        compensate: read the motors first, and find the context with corrected gains.
        find: `find_elsewhere`, or what tests put in its place.

    Attributes:
        outcome: None until it has ended.
    """

    def __init__(
        self,
        goal: Goal,
        inbox: Inbox,
        shown: ShownDriver,
        controller: Controller,
        models: Path | None,
        folder: Path,
        compensate: bool = False,
        find: Callable[..., dict[str, Any]] | None = None,
    ) -> None:
        self.outcome: Outcome | None = None
        self._goal, self._inbox, self._shown, self._controller = goal, inbox, shown, controller
        self._models, self._folder, self._find = models, folder, find or find_elsewhere
        self._compensate = compensate
        self._routine: FieldRoutine | None = None
        self._adapting, self._canceled = False, ""
        self._thread = threading.Thread(target=self._run, name="adapt", daemon=True)
        self._thread.start()

    def cancel(self, reason: str = "canceled") -> None:
        """Stop the walk; the robot stands, and nothing is saved."""
        self._canceled = reason
        if self._routine is not None:
            self._routine.cancel(reason)

    def feedback(self) -> Feedback:
        """Return how it goes."""
        routine = self._routine
        if routine is None:
            return Feedback("preparing", 0.0, 0.0, "", math.nan)
        phase = ADAPT if self._adapting else routine.phase
        figures, progress = routine.figures, BEGINS.get(phase, BEGINS[ADAPT])
        if phase == WALK:
            progress += (BEGINS[LIE_DOWN] - progress) * figures.progress
        return Feedback(phase, progress, figures.distance, figures.quality, figures.error)

    def _run(self) -> None:
        try:
            self.outcome = self._adapt(self._walk(_checked(self._goal, self._models)))
        except (ValueError, OSError) as problem:
            self.outcome = Outcome(False, " ".join(str(problem).split()))
        except Exception as problem:  # the action must end, whatever happened
            self.outcome = Outcome(False, f"the adaptation failed: {problem}")

    def _walk(self, models: Path) -> Path:
        """Let the robot walk the motion and return the log.

        Raises:
            ValueError: if it came to nothing, with the reason.
        """
        spec = self._controller.spec
        store = ContextStore(self._folder, spec.name, self._shown.serial)
        routine = FieldRoutine(spec, models, store, compensate=self._compensate, stay=True)
        log = _new_log(self._folder / "logs", store.folder.name)
        self._routine = routine  # first, so that a cancel finds it or is found
        if self._canceled:
            raise ValueError(self._canceled)
        with LogWriter(log, spec, {**self._controller.provenance(), "serial": store.serial}) as writer:
            self._shown.record(writer, RECORD)
            self._inbox.routine = routine
            while routine.phase not in ENDED and self._inbox.is_open:
                time.sleep(POLL)
            self._shown.record(None)
        if routine.problem or not self._inbox.is_open:
            raise ValueError(routine.problem or "the control loop has ended")
        if writer.error:
            raise ValueError(writer.error)
        return log

    def _adapt(self, log: Path) -> Outcome:
        self._adapting = True
        routine, spec = self._routine, self._controller.spec
        assert routine is not None and self._models is not None
        content = self._find(log, spec.name, self._models, command="adapt_context")
        if self._canceled:
            return Outcome(False, self._canceled)
        error = content["error"]
        report = f"{plain(content)}; prediction error {error['before']:.4f} before, {error['after']:.4f} after"
        if not self._goal.accept:
            return Outcome(False, "not asked to accept it", str(log), report)
        if not self._inbox.is_open:
            return Outcome(False, "the control loop has ended", str(log), report)
        try:
            context = routine.accept(Result(content, (), 0.0))
        except ValueError as refused:
            return Outcome(False, str(refused), str(log), report)
        answer = self._inbox.change(lambda controller: _use(controller, context))
        return Outcome(answer.accepted, "" if answer.accepted else answer.text, context.source, report)


def _checked(goal: Goal, models: Path | None) -> Path:
    if goal.profile not in ("", DESIGNED):
        raise ValueError(f"speed profile '{goal.profile}' is unknown: give '{DESIGNED}'")
    if goal.seconds and abs(goal.seconds - SECONDS) > 0.5:
        raise ValueError(f"the designed motion lasts {SECONDS:g} s, not {goal.seconds:g}: give 0 for all of it")
    if models is None:
        raise ValueError("no models are shipped for this robot: give a folder with the parameter 'models'")
    return models


def _new_log(folder: Path, robot: str) -> Path:
    """Return the name of a log that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    name, more = f"{robot}-{datetime.now(timezone.utc):%Y-%m-%dT%H%M%SZ}", 2
    path = folder / name
    while path.exists():
        path, more = folder / f"{name}-{more}", more + 1
    return path


def _use(controller: Controller, context: RobotContext) -> str:
    controller.set_context(context)
    return "in use"
