"""A run with people around: what happens is told as it happens, and whoever wants to stop it can."""

from __future__ import annotations

from collections.abc import Callable

from deploy.controller import Controller
from deploy.driver import Operator, RobotDriver, StateLike
from deploy.loop import Commands
from deploy.script import leave


class Operation:
    """Passes commands on (`deploy.loop.Commands`), tells of every transition, refusal and problem, and can be stopped.

    When the commands end the robot lies down, and the run ends with that; or with the log, if one is replayed.

    Args:
        commands: what the operator wants.
        driver: the robot.
        tell: takes one line of text.

    Attributes:
        stops: how often somebody asked to stop: once lets the robot lie down, twice damps it.
    """

    def __init__(self, commands: Commands, driver: RobotDriver, tell: Callable[[str], None] = print) -> None:
        self.stops = 0
        self._commands, self._driver, self._tell = commands, driver, tell
        self._told, self._refusal, self._problem = None, "", None

    def stop(self, *_: object) -> None:
        """Ask to stop; also a signal handler."""
        self.stops += 1

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the operator wants now, None at the end."""
        self._report(controller)
        if self.stops > 1 or getattr(self._driver, "ended", False):
            return None
        wish = None if self.stops else self._commands(controller, state)
        return wish or leave(controller, state)

    def _report(self, controller: Controller) -> None:
        last = controller.history[-1] if controller.history else None
        if last is not None and last is not self._told:
            self._tell(f"{last.stamp:9.2f} s  {last.source} -> {last.target}: {last.cause}")
            self._told = last
        if controller.refusal != self._refusal:
            self._refusal = controller.refusal
            if self._refusal:
                self._tell(self._refusal)
        if (self._problem is None) != (self._driver.problem is None):
            self._tell(self._driver.problem or "the robot is back: reset, then stand up")
            self._problem = self._driver.problem
