"""How every executable ends: on SIGINT and SIGTERM alike, in its own words, with the topics still there to say them."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import rclpy
from rclpy.signals import SignalHandlerOptions


def start() -> threading.Event:
    """Initialize rclpy without its signal handlers, and return the event that SIGINT and SIGTERM set."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended
