"""What a running controller tells whoever watches: one datagram a policy period, to this machine unless told otherwise.

UDP, and one way: a watcher can come and go, cannot command anything, and cannot slow the loop down. The send never
waits; what the network does not take is dropped. The log is the record, this is only for eyes.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy.controller import Controller
from deploy.driver import StateLike

HOST, PORT = "127.0.0.1", 7447
MAGIC = b"dmcm\x01"
_HEAD = struct.Struct("<5sH")  # magic, length of the text that follows; then float64 values
_SIZES = {
    "stamp": 1,
    "quaternion": 4,
    "angular_velocity": 3,
    "joint_position": 12,
    "joint_velocity": 12,
    "joint_torque": 12,
    "target": 12,
    "command": 3,
    "foot_force": 4,
    "milliseconds": 1,
}
_COUNT = sum(_SIZES.values())


@dataclass(frozen=True)
class Report:
    """One period.

    Attributes:
        robot, robot_digest: which robot.
        status: state, cause, fault, ... as in `Controller.status`.
        values: by name: stamp s, quaternion, angular_velocity, joint_position, joint_velocity, joint_torque, target,
            command, foot_force (NaN where there is no sensor), milliseconds of the loop's step; each (size,).
        context: the robot's context in use, empty where the policy takes none.
    """

    robot: str
    robot_digest: str
    status: dict[str, Any]
    values: dict[str, np.ndarray]
    context: np.ndarray


class LivePublisher:
    """Sends a datagram for every policy tick.

    Args:
        controller: whose.
        address: host and port of who may watch.

    Attributes:
        sent, dropped: datagrams.

    Raises:
        ValueError: if there is no such host.
    """

    def __init__(self, controller: Controller, address: tuple[str, int] = (HOST, PORT)) -> None:
        self._controller, self.sent, self.dropped = controller, 0, 0
        try:
            family, _, _, _, self._address = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        except OSError as problem:
            raise ValueError(f"cannot send to {address[0]}:{address[1]} ({problem.strerror}): check --live") from None
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        spec = controller.spec
        self._begin = f'{{"robot": "{spec.name}", "robot_digest": "{spec.digest()}", "status": '
        self._values = np.zeros(_COUNT)

    def send(self, state: StateLike, milliseconds: float) -> None:
        """Tell of a policy tick, whose step took so long; never waits and never raises."""
        controller, values = self._controller, self._values
        feet = np.full(4, np.nan) if state.foot_force is None else state.foot_force
        try:
            np.concatenate(
                [
                    (state.stamp,),
                    state.quaternion,
                    state.angular_velocity,
                    state.joint_position,
                    state.joint_velocity,
                    state.joint_torque,
                    controller.target,
                    controller.velocity,
                    feet,
                    (milliseconds,),
                ],
                out=values,
            )
            text = f"{self._begin}{controller.status()}}}".encode()
            context = controller.contexts.robot
            extra = b"" if context is None else np.asarray(context, dtype="<f8").tobytes()
            self._socket.sendto(_HEAD.pack(MAGIC, len(text)) + text + values.tobytes() + extra, self._address)
            self.sent += 1
        except (OSError, ValueError, TypeError, AttributeError):  # nobody there, a full buffer, or a broken sensor
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def unpack(datagram: bytes) -> Report:
    """Return the report in a datagram.

    Raises:
        ValueError: if it is none.
    """
    try:
        magic, length = _HEAD.unpack_from(datagram)
        told = json.loads(datagram[_HEAD.size : _HEAD.size + length])
        numbers = np.frombuffer(datagram, "<f8", offset=_HEAD.size + length)
        robot, digest, status = told["robot"], told["robot_digest"], dict(told["status"])
    except (struct.error, ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"this is no report of a controller ({problem})") from None
    if magic != MAGIC or len(numbers) < _COUNT:
        raise ValueError("this is no report of a controller of this version")
    ends = np.cumsum(list(_SIZES.values()))
    parts = dict(zip(_SIZES, np.split(numbers[:_COUNT], ends[:-1]), strict=True))
    return Report(robot, digest, status, parts, numbers[_COUNT:].copy())


def address(text: str) -> tuple[str, int]:
    """Return host and port of "host", "host:port" or ":port".

    Raises:
        ValueError: if the port is no number from 1 to 65535.
    """
    host, _, port = text.partition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"address {text}: give a host, or host:port with a port from 1 to 65535")
    return host or HOST, int(port or PORT)
