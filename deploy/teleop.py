"""A robot driven from the keyboard of a terminal, also over ssh.

| key | |
|---|---|
| 1 2 3 4 | stand up, stand, walk, lie down |
| c | calibrate |
| w s, a d, q e | forward and back, left and right, turn, while the key is held |
| + - | faster, slower |
| space, x | damping: the emergency stop |
| r | reset, after damping or a fault |
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from types import TracebackType

from deploy.controller import Controller
from deploy.driver import Operator, StateLike

EVENTS = {
    **{"1": "stand_up", "2": "stand", "3": "walk", "4": "lie_down", "c": "calibrate"},
    **{" ": "damping", "x": "damping", "r": "reset"},
}
MOVES = {"w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "q": (2, 1.0), "e": (2, -1.0)}
FULL = (1.0, 0.5, 1.0)  # m/s, m/s, rad/s
HOLD = 0.6  # s that a key counts as held: terminals take up to that long until they repeat it
STEP, SLOWEST = 0.1, 0.1  # of full speed
# What a terminal sends for arrows, Delete, F5, ...: letters and digits that nobody typed. Its end may be yet to come.
NAMED_KEY, BEGUN = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]"), re.compile(r"\x1b([\[O][0-9;]*)?$")


class Keyboard:
    """Gives the keys' commands to the control loop (`deploy.loop.Commands`) while it is entered as a context.

    Args:
        source: file descriptor of the terminal, or of anything that characters come from.

    Attributes:
        speed: share of full speed.
    """

    def __init__(self, source: int | None = None) -> None:
        self.speed = 0.6
        self._source = sys.stdin.fileno() if source is None else source
        self._before: list | None = None
        self._held: dict[int, tuple[float, float]] = {}
        self._begun = ""

    def __enter__(self) -> Keyboard:
        """Let keys through one by one, without echo."""
        import termios
        import tty

        if os.isatty(self._source):
            self._before = termios.tcgetattr(self._source)
            tty.setcbreak(self._source)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return the terminal as it was."""
        import termios

        if self._before is not None:
            termios.tcsetattr(self._source, termios.TCSADRAIN, self._before)

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator:
        """Return what the keys ask for; damping wins over whatever was pressed beside it."""
        now, event = time.monotonic(), None
        for key in self._keys():
            asked = EVENTS.get(key)
            event = asked if asked is not None and event != "damping" else event
            if key in MOVES:
                axis, sign = MOVES[key]
                self._held[axis] = sign, now
            elif key in "+-":
                self.speed = min(1.0, max(SLOWEST, self.speed + (STEP if key == "+" else -STEP)))
        held = [
            sign if now - since <= HOLD else 0.0 for sign, since in (self._held.get(i, (0, -HOLD)) for i in range(3))
        ]
        forward, left, turning = (self.speed * sign * full for sign, full in zip(held, FULL, strict=True))
        return Operator(velocity=(forward, left, turning), event=event)

    def _keys(self) -> str:
        """Return the letters typed since the last time; a terminal that has gone is an emergency stop."""
        try:
            if not select.select([self._source], [], [], 0)[0]:
                return ""
            typed = os.read(self._source, 64)
        except OSError:
            return "x"
        if not typed:
            return "x"
        keys = NAMED_KEY.sub("", self._begun + typed.decode(errors="ignore"))
        begun = BEGUN.search(keys)
        self._begun = begun[0] if begun else ""
        return keys[: len(keys) - len(self._begun)]
