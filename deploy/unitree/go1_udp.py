"""Unitree Go1 over UDP: `Go1Driver`. UNTESTED ON HARDWARE: written from public facts, tried against `Go1Server` only.

The robot sends states only to whoever has sent it a command, so the driver begins with one that lets the motors damp.
The unit of its tick is not certain, so a state is stamped with its time of arrival; the tick still tells which packets
are new. UDP cannot tell whether another program commands the robot as well: make sure that none does.
"""

from __future__ import annotations

import socket
import time

import numpy as np

from deploy.driver import JointCommand, Operator, RobotState
from deploy.loop import Pacer
from deploy.unitree import go1_messages
from deploy.unitree.remote import Remote, RemoteReader
from robots.joints import JOINT_NAMES

ADDRESS, PORT = "192.168.123.10", 8007  # of the robot's motor controller
SILENT = 0.1  # s without a state after which the driver says so
BAD_IN_A_ROW = 10  # packets that cannot be read


class Go1Driver:
    """A Go1 at an address; satisfies `deploy.driver.RobotDriver`.

    Args:
        address: of the robot.
        port: of the robot.
        command_dt: time between two commands, s.
        timeout: time to wait for the first state, s.

    Raises:
        OSError: if no state arrives.
    """

    robot, joint_names = "go1", JOINT_NAMES

    def __init__(
        self, address: str = ADDRESS, port: int = PORT, command_dt: float = 0.005, timeout: float = 5.0
    ) -> None:
        self.command_dt, self.problem, self.serial = command_dt, None, ""
        self._where = f"{address}:{port}"
        self._state: RobotState | None = None
        self._remote, self._asked = RemoteReader(), Remote()
        self._tick, self._heard, self._bad = -1, -np.inf, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((address, port))
        self._await_state(timeout)
        self._pacer = Pacer(command_dt)

    def _await_state(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        still = JointCommand(*(np.zeros(12) for _ in range(5)))
        while self.read() is None:
            if time.monotonic() > end:
                self.close()
                raise OSError(
                    f"no state from a Go1 at {self._where} for {timeout:g} s: is it on and in low-level mode, and is "
                    "this computer in its network 192.168.123.x?"
                )
            self._send(go1_messages.pack_command(still, go1_messages.DAMPING))
            time.sleep(0.01)

    def read(self) -> RobotState | None:
        """Return the latest state, None before the first, and see what is wrong."""
        now, newest = time.monotonic(), None
        while (packet := self._receive()) is not None:
            record = go1_messages.unpack_state(packet)
            self._bad = 0 if record is not None else self._bad + 1
            if record is not None and record["tick"] != self._tick:
                newest, self._tick = record, int(record["tick"])
        if newest is not None:
            self._heard, self._state = now, go1_messages.state_of(newest, now)
            self._asked = Remote.from_bytes(newest["wireless_remote"].tobytes())
            self.serial = newest["sn"].tobytes().hex() if newest["sn"].any() else ""
        self.problem = self._diagnose(now)
        return self._state

    def _diagnose(self, now: float) -> str | None:
        if self._bad >= BAD_IN_A_ROW:
            return f"the last {self._bad} packets from {self._where} cannot be read or have a wrong checksum"
        if now - self._heard > SILENT:
            return f"the robot is silent: no state from {self._where} for {now - self._heard:.1f} s"
        return None

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(2048)
        except OSError:  # nothing there, or nobody listens any more
            return None

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except OSError:  # the network is full or gone; the states that stay away tell
            pass

    def write(self, command: JointCommand) -> None:
        """Send a command."""
        self._send(go1_messages.pack_command(command))

    def remote(self) -> Operator | None:
        """Return what the remote asks for."""
        return self._remote.read(self._asked)

    def wait(self) -> None:
        """Block until the next command period."""
        self._pacer.wait()

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()
