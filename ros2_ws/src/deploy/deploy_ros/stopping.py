"""How every executable ends: on SIGINT and SIGTERM alike, in its own words, with the topics still there to say them."""

from __future__ import annotations

import signal
from types import FrameType

import rclpy
from rclpy.signals import SignalHandlerOptions


class Ended:
    """Whether SIGINT or SIGTERM has come; their handler.

    A launch that ends sends two signals at once. A `threading.Event` would deadlock when the second interrupts the
    handler of the first within the event's lock.
    """

    def __init__(self) -> None:
        self._ended = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._ended = True

    def is_set(self) -> bool:
        """Return whether one has come."""
        return self._ended


def start() -> Ended:
    """Initialize rclpy without its signal handlers, and return what SIGINT and SIGTERM set."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    ended = Ended()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ended)
    return ended
