"""A run with people around: what happens is told as it happens, and whoever wants to stop it can."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from deploy.controller import Controller
from deploy.driver import Operator, RobotDriver, StateLike
from deploy.loop import Commands
from deploy.script import leave

PATIENCE = 1.0  # s that a terminal may take for what is left at the end


class Teller:
    """Prints in a thread of its own: a terminal that is gone, or held by Ctrl-S, must not stop who controls a robot.

    Use it as a context; it ends with what was told before.
    """

    def __init__(self) -> None:
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._print, name="tell", daemon=True)

    def __enter__(self) -> Teller:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print what is left, if the terminal takes it."""
        self._texts.put(None)
        self._thread.join(PATIENCE)

    def __call__(self, line: str, end: str = "\n") -> None:
        """Print a line; never waits and never raises."""
        self._texts.put(line + end)

    def _print(self) -> None:
        while (text := self._texts.get()) is not None:
            with suppress(OSError, ValueError):  # nobody reads, or the stream is closed
                sys.stdout.write(text)
                sys.stdout.flush()


class Operation:
    """Passes commands on (`deploy.loop.Commands`), tells of every transition, refusal and problem, and can be stopped.

    When the commands end the robot lies down, and the run ends with that; or with the log, if one is replayed.

    Args:
        commands: what the operator wants.
        driver: the robot.
        tell: takes one line of text, without waiting; such as a `Teller`.

    Attributes:
        stops: how often somebody asked to stop: once lets the robot lie down, twice damps it.
    """

    def __init__(self, commands: Commands, driver: RobotDriver, tell: Callable[[str], None]) -> None:
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
