"""What a robot is told to do, as a line of text: `stand_up; walk 1.0 0 0 for 60; stand for 2; lie_down`."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.controller import Controller
from deploy.driver import Operator, StateLike

PATIENCE = 3.0  # s for which a refused event is asked for again: the first states may still be on their way

# Event -> the state in which it has been done.
GOALS = {
    "stand_up": "stand",
    "stand": "stand",
    "walk": "walk",
    "calibrate": "stand",
    "lie_down": "passive",
    "damping": "damping",
    "reset": "passive",
}


class ScriptError(ValueError):
    """A script that cannot be read, and where."""


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        event: operator's event that leads there, None to stay.
        seconds: to stay there.
        velocity: meanwhile: forward m/s, left m/s, turning left rad/s.
    """

    event: str | None
    seconds: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


def parse(text: str) -> list[Step]:
    """Return the steps of a script.

    Steps are separated by semicolons: `walk FORWARD [LEFT [TURNING]] for SECONDS`, `wait SECONDS`, and the events
    `stand_up`, `stand`, `calibrate`, `lie_down`, `damping`, `reset`, each with `for SECONDS` to stay there. A robot
    that walks stands before it lies down.

    Raises:
        ScriptError: if a step is none of these.
    """
    steps = [_step(part) for part in (part.strip() for part in text.split(";")) if part]
    if not steps:
        raise ScriptError("the script is empty: give steps such as 'stand_up; walk 0.5 for 10; lie_down'")
    return steps


def _step(text: str) -> Step:
    words = text.split()
    word, rest = words[0], words[1:]
    seconds = None
    if "for" in rest:
        place = rest.index("for")
        if len(rest) != place + 2:
            raise ScriptError(f"'{text}': after 'for' comes one number of seconds")
        seconds, rest = _number(text, rest[place + 1]), rest[:place]
    if word == "wait" and seconds is None and len(rest) == 1:
        seconds, rest = _number(text, rest[0]), []
    numbers = [_number(text, value) for value in rest]
    if seconds is not None and seconds < 0:
        raise ScriptError(f"'{text}': a time cannot be negative")
    if word == "walk":
        if not 1 <= len(numbers) <= 3 or seconds is None:
            raise ScriptError(f"'{text}': write 'walk FORWARD LEFT TURNING for SECONDS', in m/s, m/s, rad/s and s")
        forward, left, turning = (*numbers, 0.0, 0.0)[:3]
        return Step("walk", seconds, (forward, left, turning))
    if word == "wait" and seconds is not None and not numbers:
        return Step(None, seconds)
    if word not in GOALS or numbers:
        raise ScriptError(f"'{text}' is no step: choose one of wait, {', '.join(GOALS)}")
    return Step(word, seconds or 0.0)


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ScriptError(f"'{text}': '{value}' is not a number") from None
    if not abs(number) < 1e6:
        raise ScriptError(f"'{text}': '{value}' is out of range")
    return number


class Script:
    """Gives a script's commands to the control loop (`deploy.loop.Commands`), and ends with it.

    Args:
        steps: what to do.
        period: time between two calls, s.

    Attributes:
        error: why it ended early, "" if it did not.
    """

    def __init__(self, steps: list[Step], period: float) -> None:
        self.error = ""
        self._steps, self._period = list(steps), period
        self._waited = self._asked = 0.0
        self._arrived = self._moving = False

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the operator wants now, None at the end."""
        while self._steps and not self.error:
            wish = self._follow(self._steps[0], controller)
            if wish is not None:
                return wish
            if self.error:
                break
            self._steps.pop(0)
            self._waited = self._asked = 0.0
            self._arrived = self._moving = False
        return None

    def _follow(self, step: Step, controller: Controller) -> Operator | None:
        """Return what a step wants, None when it is done or cannot be."""
        if controller.fault and step.event not in ("reset", "damping"):
            self.error = f"the robot faulted: {controller.fault}"
            return None
        if not self._arrived and not self._reached(step, controller):
            return self._ask(step, controller)
        self._arrived = True
        if self._waited >= step.seconds - 1e-9:
            return None
        if step.event is not None and controller.state != GOALS[step.event]:
            self.error = f"the robot left state '{GOALS[step.event]}': {controller.cause}"
            return None
        self._waited += self._period
        return Operator(velocity=step.velocity)

    def _reached(self, step: Step, controller: Controller) -> bool:
        if step.event is None:
            return True
        through = step.event == "calibrate" and not self._moving  # it ends in the state that it starts from
        return controller.state == GOALS[step.event] and not through

    def _ask(self, step: Step, controller: Controller) -> Operator | None:
        """Ask for the step's event until the robot moves on, then wait for it to arrive."""
        if self._moving and controller.state in ("damping", "fault"):
            self.error = f"'{step.event}' ended in state '{controller.state}': {controller.cause}"
            return None
        if step.event == "lie_down" and controller.state in ("walk", "calibrate", "stop"):
            return Operator(event=None if controller.state == "stop" else "stand")
        if self._asked and not controller.refusal:
            self._moving = True
            return Operator()
        if self._asked > PATIENCE:
            self.error = controller.refusal
            return None
        self._asked += self._period
        return Operator(event=step.event)


def leave(controller: Controller, state: StateLike | None) -> Operator | None:
    """Bring the robot to lie and end, from whatever state: for when the operator wants to go (`Commands`)."""
    event = {"stand_up": "lie_down", "stand": "lie_down", "walk": "stand", "calibrate": "stand"}.get(controller.state)
    if event is None and controller.state not in ("stop", "lie_down"):
        return None
    return Operator(event=event)
