"""A robot's end of a wire that runs in a thread, for drivers that wait for it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

from deploy.driver import JointCommand


class Pump:
    """Sends the state of a robot through a server 500 times a second and keeps what comes back.

    Attributes:
        server: the robot's end.
        robot: whose `state` is sent, with its stamp advancing.
        commands: what was received.
        silent: whether no states are sent.
    """

    def __init__(self, server, robot) -> None:
        self.server, self.robot, self.silent = server, robot, False
        self.commands: list[JointCommand] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            self.commands += self.server.receive()
            if not self.silent:
                self.robot.state.stamp += 0.002
                self.server.publish(self.robot.state)
            time.sleep(0.002)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self.server.close()


@contextmanager
def pumped(server, robot):
    """Run a server in a thread as long as the context lasts."""
    pump = Pump(server, robot)
    try:
        yield pump
    finally:
        pump.end()


def eventually(true, seconds=8.0, meanwhile=lambda: None):
    """Return whether something becomes true in time; `meanwhile` is done until then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        meanwhile()
        if true():
            return True
        time.sleep(0.005)
    return False
