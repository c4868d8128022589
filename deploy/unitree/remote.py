"""Unitree's hand-held remote: its bytes, and what they ask for.

| buttons | asks for |
|---|---|
| L2 + B | damping: the emergency stop, for as long as they are held |
| L2 + A | stand_up |
| L2 + X | lie_down |
| start | walk |
| select | stand |
| R2 + select | reset, after damping or a fault |
| left stick | forward and back, left and right |
| right stick | turning |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from deploy.driver import Operator

# Bits of the buttons (unitree_legged_sdk's joystick.h).
R1, L1, START, SELECT, R2, L2, F1, F2, A, B, X, Y, UP, RIGHT, DOWN, LEFT = (1 << i for i in range(16))

EMERGENCY = L2 | B
EVENTS = (  # the first whose buttons are all held
    (EMERGENCY, "damping"),
    (L2 | A, "stand_up"),
    (L2 | X, "lie_down"),
    (R2 | SELECT, "reset"),
    (START, "walk"),
    (SELECT, "stand"),
)
FULL_STICK = (1.0, 0.5, 1.0)  # m/s, m/s, rad/s at the end of a stick's way; [chosen]
DEAD_ZONE = 0.08  # of a stick's way: a released stick does not rest at zero exactly


@dataclass(frozen=True)
class Remote:
    """What is pressed: sticks from -1 to 1 (right and up are positive) and the bits of the buttons."""

    lx: float = 0.0
    ly: float = 0.0
    rx: float = 0.0
    ry: float = 0.0
    keys: int = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> Remote:
        """Read the 40 bytes `wireless_remote` of a state; a remote that is off is all zeros."""
        keys, lx, rx, ry, _, ly = struct.unpack_from("<H5f", data, 2)
        return cls(lx, ly, rx, ry, keys)

    def to_bytes(self) -> bytes:
        """Return the 40 bytes that a robot puts into its state."""
        return struct.pack("<2xH5f16x", self.keys, self.lx, self.rx, self.ry, 0.0, self.ly)


class RemoteReader:
    """Turns what is pressed into what the operator wants; an event is asked for once, damping while it is held."""

    def __init__(self) -> None:
        self._keys = 0

    def read(self, remote: Remote) -> Operator | None:
        """Return what the remote asks for, or None if nobody touches it."""
        event = next((event for keys, event in EVENTS if remote.keys & keys == keys), None)
        before, self._keys = self._keys, remote.keys
        if event != "damping" and remote.keys == before:
            event = None
        forward, sideways, turning = (_shaped(v) for v in (remote.ly, -remote.lx, -remote.rx))
        if event is None and not (forward or sideways or turning):
            return None
        velocity = (forward * FULL_STICK[0], sideways * FULL_STICK[1], turning * FULL_STICK[2])
        return Operator(velocity=velocity, event=event)


def _shaped(stick: float) -> float:
    """Return a stick's way outside its dead zone, -1 to 1; 0 if it cannot be read."""
    if not -1.5 <= stick <= 1.5 or abs(stick) < DEAD_ZONE:  # also a NaN
        return 0.0
    return max(-1.0, min(1.0, stick))
