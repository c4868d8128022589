"""The field routine: stand up, walk the calibration motion, lie down; adapt; keep what is accepted.

It neither prints nor asks. A control loop runs it as its `commands` (`deploy.loop.run`), in whatever thread; whoever
shows it to the operator reads `phase`, `figures` and `problem`, may `cancel` it at any time, and calls `adapt` and
`accept` when the walk is over. Nothing is saved before `accept`.

With `compensate`, the motors are read from the first seconds of the motion, and all of it is walked with gains that
make up for them: soft robots stay on their feet, and the context found is of a robot much like those that are known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration import routine
from calibration.adapt import adapt
from calibration.compensation import compensation
from calibration.live import GOOD, Figures, LiveQuality
from calibration.model import DynamicsModel
from calibration.resample import Samples
from calibration.routine import Result
from calibration.store import ContextStore
from deploy.calibration_motion import SECONDS
from deploy.context import ActiveContexts, ContextBank, RobotContext, load_bank, load_context
from deploy.controller import Controller
from deploy.driver import Operator, StateLike
from deploy.gains import NOMINAL, Gains
from deploy.realtime import step_back
from robots.spec import RobotSpec

STAND = 1.0  # s before the motion
PATIENCE = 2.0  # s for which a refused event is asked for again: the first states may still be on their way
FIRST = 5.3  # s of the motion on which the motors are read: standing, forward slowly and fast, backward
AREA = 1.5  # m that the robot may go away from where the motion began
RECORD = ("stand", "calibrate")  # states that belong into the log

WAITING, STAND_UP, WALK, LIE_DOWN, WALKED, FAILED = "waiting", "stand up", "walk", "lie down", "walked", "failed"
ENDED = (WALKED, FAILED)


@dataclass(frozen=True)
class Outcome:
    """How the routine ended.

    Attributes:
        accepted: whether a context was saved.
        reason: why not, or "accepted".
        context: the file saved, or None.
        result: of the adaptation, None if it did not come to that.
    """

    accepted: bool
    reason: str
    context: Path | None = None
    result: Result | None = None


class FieldRoutine:
    """The robot's part of the routine, as `commands` of a control loop, and what follows from its log.

    Args:
        spec: the robot.
        model_dir: folder with dynamics.onnx and bank.safetensors.
        store: where accepted contexts are kept.
        compensate: correct the gains on the way, see above.
        waits: whether the robot waits while its motors are read, as a simulation does that runs as fast as it can.
        stay: end standing instead of lying, as for an operator who goes on walking.
        watch: called with the figures once a second of the motion, in the loop's thread.

    Attributes:
        phase: "waiting", "stand up", "walk", "lie down", and at the end "walked" or "failed".
        figures: the latest ones.
        problem: why it failed, "" while it did not.
        seconds: of robot time from the first command to the last, s.
        gains: factors on the gains with which the whole motion is walked; None without compensation, or before.

    Raises:
        FileNotFoundError, ValueError: if the models are missing, damaged, or of another robot.
    """

    def __init__(
        self,
        spec: RobotSpec,
        model_dir: str | Path,
        store: ContextStore,
        *,
        compensate: bool = False,
        waits: bool = False,
        stay: bool = False,
        watch: Callable[[Figures], None] | None = None,
    ) -> None:
        self.spec, self.store, self._model_dir = spec, store, Path(model_dir)
        self._model = DynamicsModel.load(self._model_dir / "dynamics.onnx", spec)
        self._bank = load_bank(self._model_dir / "bank.safetensors", spec, self._model.digest)
        self._terrain = self._bank.terrain(routine.TERRAIN)
        self._live = LiveQuality(spec, self._model, self._terrain, self._bank.nominal_robot)
        self._stay, self._watch, self._compensate, self._waits = stay, watch, compensate, waits
        self.gains: Gains | None = None
        self._reading: threading.Thread | None = None
        self.phase, self.figures, self.problem, self.seconds = WAITING, Figures(), "", 0.0
        self._in_phase, self._shown = 0.0, -1
        self._found: Gains | str | None = None
        self._asked_at: float | None = None
        self._last: StateLike | None = None

    def cancel(self, reason: str = "stopped by the operator") -> None:
        """Stop the robot and let it lie down; harmless after the end. May be called from any thread."""
        if self.phase not in ENDED and not self.problem:
            self.problem = reason

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the robot is to do now; None when the routine has ended."""
        dt = controller.config.command_dt
        self._learn(controller, state)
        if self.phase in ENDED:
            return None
        self.seconds, self._in_phase = self.seconds + dt, self._in_phase + dt
        if controller.state in ("fault", "damping"):
            return self._fail(controller.fault or "the operator's emergency stop")
        if self.problem and self.phase != LIE_DOWN:
            self._enter(LIE_DOWN)
        if self.phase != WALK:
            controller.calibration_gains = NOMINAL
        return getattr(self, f"_{self.phase.replace(' ', '_')}")(controller)

    # One method a phase

    def _waiting(self, controller: Controller) -> Operator | None:
        if controller.state in ("passive", "stand"):
            self._enter(STAND_UP)
        elif self._in_phase > PATIENCE:
            return self._fail(f"the robot is in state '{controller.state}': let it stand or lie first")
        return Operator()

    def _stand_up(self, controller: Controller) -> Operator | None:
        if controller.state == "passive":
            return self._ask(controller, "stand_up")
        if controller.state == "stand":
            self._enter(WALK)
        return Operator()

    def _walk(self, controller: Controller) -> Operator | None:
        if controller.state == "calibrate":
            self._look(controller)
            if self._compensate and self.gains is None:
                return self._read(controller)
        elif controller.state == "stand" and self.figures.progress > 0.0:
            self.figures = replace(self.figures, progress=1.0)
            self._enter(LIE_DOWN)
        elif controller.state == "stand" and self._in_phase >= STAND:
            return self._ask(controller, "calibrate")
        return Operator()

    def _read(self, controller: Controller) -> Operator:
        """After the first seconds read the motors, in a thread while the walk goes on; then begin anew with gains."""
        if self._reading is None and self.figures.progress * SECONDS >= FIRST:
            self._reading = threading.Thread(target=self._read_motors, args=[self._live.samples()], daemon=True)
            self._reading.start()
            if self._waits:
                self._reading.join()
        if self._found is None:
            return Operator()
        if isinstance(self._found, str):
            self.cancel(self._found)
            return Operator()
        self.gains = controller.calibration_gains = self._found
        self._live.restart()
        self._in_phase, self._shown = 0.0, -1
        return Operator(event="calibrate")

    def _read_motors(self, walked: Samples) -> None:
        nominal, dt = self._bank.nominal_robot, self.spec.control_dt
        try:
            step_back()
            self._found = compensation(adapt(self._model, walked, self._terrain, nominal, dt, splits=0).readings)
        except Exception as problem:  # a thread must not end without a word
            self._found = str(problem)

    def _lie_down(self, controller: Controller) -> Operator | None:
        stay = self._stay and not self.problem
        if controller.state == ("stand" if stay else "passive"):
            return self._fail(self.problem) if self.problem else self._enter(WALKED)
        if controller.state in ("calibrate", "walk"):
            return Operator(event="stand")
        return Operator(event="lie_down") if controller.state in ("stand", "stand_up") else Operator()

    def _ask(self, controller: Controller, event: str) -> Operator | None:
        """Ask for an event until it is granted, or for so long that it will not be."""
        self._asked_at = self._in_phase if self._asked_at is None else self._asked_at
        if controller.refusal and self._in_phase - self._asked_at > PATIENCE:
            return self._fail(controller.refusal)
        return Operator(event=event)

    def _enter(self, phase: str) -> None:
        self.phase, self._in_phase, self._asked_at = phase, 0.0, None

    def _fail(self, reason: str) -> None:
        self.problem = reason
        self._enter(FAILED)

    # What is seen of the walk

    def _learn(self, controller: Controller, state: StateLike | None) -> None:
        """Take the state that the last step was about, once that step is known to be the policy's."""
        if self._last is not None and controller.policy_tick and controller.state == "calibrate":
            action = (controller.target - self.spec.default_position) / self.spec.action_scale
            self._live.add(self._last, action)
        self._last = state

    def _look(self, controller: Controller) -> None:
        progress = controller.progress or 0.0
        self.figures = replace(self.figures, progress=max(progress, 1e-6))
        second = int(self._in_phase)
        if second == self._shown:
            return
        self._shown = second
        self.figures = self._live.figures(max(progress, 1e-6))
        if self._watch is not None:
            self._watch(self.figures)
        if self.figures.quality != GOOD:
            self.cancel(f"the walk is no good to adapt on: {self.figures.quality}")
        elif self.figures.away > AREA:
            self.cancel(
                f"the robot is {self.figures.away:.1f} m from its start: give it more room, or a grippier floor"
            )

    # After the walk

    def adapt(self, log: str | Path, command: str, seed: int = 0) -> Result:
        """Return the context of the robot that walked in the log; takes a second or two and nothing of the robot.

        Raises:
            FileNotFoundError, RefusedError: if the log cannot be used.
        """
        return routine.find(log, self.spec.name, self._model_dir, command=command, seed=seed)

    def accept(self, result: Result) -> RobotContext:
        """Save the context, keep the one before for undo, and return it as the controller takes it.

        Raises:
            ContextError: if a controller would refuse it; then the one in use stays.
            RefusedError: if it cannot be saved; likewise.
        """
        return load_context(keep(result, self.store, self._bank), self.spec, self._model.digest)


def keep(result: Result, store: ContextStore, bank: ContextBank) -> Path:
    """Save a context as the one in use, and return its file.

    Raises:
        ContextError: if a controller with this bank would refuse it; then the one in use stays.
        RefusedError: if it cannot be saved; likewise.
    """
    found = np.array(result.context["robot_context"])
    source = "the context that was found, which is not kept"
    ActiveContexts(bank).set_robot(RobotContext(found, result.context["dynamics_digest"], source=source))
    return store.save(result.context)
