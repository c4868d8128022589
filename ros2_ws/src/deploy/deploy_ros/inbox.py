"""What the operator asks for, handed from the executor's thread to the control loop's, and its answer handed back."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.controller import Controller
from deploy.driver import Operator, StateLike
from deploy.loop import Commands
from deploy.states import STATES

E_STOP = "damping"
PATIENCE = 1.0  # s that a caller waits for the loop's answer


@dataclass(frozen=True)
class Answer:
    """Whether a request was granted, and what to tell the operator."""

    accepted: bool
    text: str


@dataclass
class _Job:
    """What is to be done between two steps; `event` is put to the controller, `change` is called with it."""

    event: str | None = None
    change: Callable[[Controller], str] | None = None
    answer: Future[Answer] = field(default_factory=Future)


class Inbox:
    """The operator's side of one control loop; `commands` is the loop's, everything else is for other threads.

    Args:
        clock: monotonic time, s.

    Attributes:
        routine: commands of a running field routine, which go before the operator's velocity; None for none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._velocity: tuple[tuple[float, float, float], float] = ((0.0, 0.0, 0.0), -float("inf"))
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._asked: _Job | None = None
        self._e_stop, self._end = threading.Event(), threading.Event()
        self._open = False
        self.routine: Commands | None = None

    # For the executor's thread

    def set_velocity(self, forward: float, left: float, turn: float) -> None:
        """Take a velocity command: m/s, m/s, rad/s."""
        self._velocity = ((forward, left, turn), self._clock())

    @property
    def velocity_age(self) -> float:
        """Time since the last velocity command, s."""
        return self._clock() - self._velocity[1]

    def e_stop(self) -> None:
        """Have the motors damped on the next tick, before anything else that was asked for."""
        self._e_stop.set()

    def ask(self, event: str, patience: float = PATIENCE) -> Answer:
        """Put an event of `deploy.states.EVENTS` (or "stand" for whatever leads to standing) and return the answer."""
        if event == E_STOP:
            self.e_stop()
        elif self.routine is not None:
            return Answer(False, "the field routine runs: cancel the action adapt_context first")
        return self._do(_Job(event=event), patience)

    def put(self, event: str) -> None:
        """Put an event without waiting for the answer, which the controller's state tells."""
        self.ask(event, patience=0.0)

    def change(self, change: Callable[[Controller], str], patience: float = PATIENCE) -> Answer:
        """Have the loop call `change` with the controller between two steps; its text is the answer.

        A ValueError that it raises is a refusal.
        """
        return self._do(_Job(change=change), patience)

    def stop(self) -> None:
        """End the loop after the present tick."""
        self._end.set()

    def _do(self, job: _Job, patience: float) -> Answer:
        if not self._open:
            return Answer(False, "the control loop does not run: activate the node")
        self._jobs.put(job)
        try:
            return job.answer.result(patience)
        except FutureTimeout:
            return Answer(False, f"the control loop did not answer within {patience:g} s")

    @property
    def is_open(self) -> bool:
        """Whether the loop runs."""
        return self._open

    # For the control loop's thread

    def open(self) -> None:
        """Begin to take requests."""
        self._open = True

    def close(self) -> None:
        """Refuse what is still waiting, and whatever is asked later."""
        self._open = False
        waiting = [self._asked] if self._asked else []
        while not self._jobs.empty():
            waiting.append(self._jobs.get_nowait())
        for job in waiting:
            job.answer.set_result(Answer(False, "the control loop has ended"))
        self._asked = None

    def commands(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the operator wants in this period; None ends the run."""
        if self._asked is not None:  # was put in the last step
            self._asked.answer.set_result(_granted(controller))
            self._asked = None
        if self._end.is_set():
            return None
        wish = self.routine(controller, state) if self.routine is not None else None
        if wish is None:
            self.routine = None
            velocity, since = self._velocity
            wish = Operator(velocity=velocity, age=self._clock() - since)
        event = self._next_event(controller)
        return wish if event is None else replace(wish, event=event)

    def _next_event(self, controller: Controller) -> str | None:
        if self._e_stop.is_set():
            self._e_stop.clear()
            return E_STOP
        if self._jobs.empty():
            return None
        job = self._jobs.get_nowait()
        if job.change is not None:
            try:
                job.answer.set_result(Answer(True, job.change(controller)))
            except ValueError as refused:
                job.answer.set_result(Answer(False, str(refused)))
            return None
        self._asked = job
        return resolve(job.event, controller.state) if job.event else None


def resolve(event: str, state: str) -> str:
    """Return the controller's event for what the operator calls "stand": from lying, that is to stand up."""
    return "stand_up" if event == "stand" and "stand_up" in STATES[state].on else event


def _granted(controller: Controller) -> Answer:
    return Answer(False, controller.refusal) if controller.refusal else Answer(True, f"state is {controller.state}")


class Gamepad:
    """Reads a gamepad: buttons are events when they go down, axes are a velocity while the enabling button is held."""

    EVENTS = (E_STOP, "stand", "walk", "lie_down")

    def __init__(self) -> None:
        self._down: set[str] = set()

    def read(
        self, message: Any, axes: Sequence[int], buttons: Sequence[int], limit: Sequence[float]
    ) -> tuple[list[str], tuple[float, float, float] | None]:
        """Return the events of a sensor_msgs/Joy, and its velocity or None while the enabling button is up.

        Args:
            message: what the gamepad says; an index that it does not have reads as not touched.
            axes: indices of forward, left and turn; one that is not given reads as not touched.
            buttons: indices of e-stop, stand, walk, lie down and the enabling one; likewise.
            limit: velocity at full deflection: m/s, m/s, rad/s.
        """
        pressed = {name for name, i in zip(self.EVENTS, buttons, strict=False) if _at(message.buttons, i)}
        events, self._down = [name for name in self.EVENTS if name in pressed - self._down], pressed
        if len(buttons) <= len(self.EVENTS) or not _at(message.buttons, buttons[len(self.EVENTS)]):
            return events, None
        touched = [_at(message.axes, i) for i in axes]
        forward, left, turn = (_at(touched, k) * most for k, most in enumerate(limit))
        return events, (forward, left, turn)


def _at(values: Sequence[float], index: int) -> float:
    return float(values[index]) if 0 <= index < len(values) else 0.0
