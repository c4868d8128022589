"""The robot's end of Go1's UDP protocol, for simulated robots; a stand-in by public facts, not the maker's."""

from __future__ import annotations

import socket

from deploy.driver import JointCommand, StateLike
from deploy.unitree import go1_messages
from deploy.unitree.go1_udp import PORT
from deploy.unitree.remote import Remote


class Go1Server:
    """Takes commands, and sends states to whoever commanded last, as the robot does.

    Args:
        address: to listen on.
        port: to listen on; 0 takes any that is free.

    Attributes:
        port: that it listens on.
        remote: what is pressed on the simulated remote.
        received: commands with a right checksum so far.
        damaged: packets that were none.

    Raises:
        OSError: if the port is taken.
    """

    robot = "go1"

    def __init__(self, address: str = "127.0.0.1", port: int = PORT) -> None:
        self.remote = Remote()
        self.received = self.damaged = 0
        self._peer: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((address, port))
        self.port = self._socket.getsockname()[1]

    def receive(self) -> list[JointCommand]:
        """Return the commands since the last time, the oldest first."""
        commands = []
        while True:
            try:
                packet, peer = self._socket.recvfrom(2048)
            except BlockingIOError:
                return commands
            except OSError:  # the peer has gone, which ICMP reports here
                continue
            command = go1_messages.unpack_command(packet)
            if command is None:
                self.damaged += 1
                continue
            self.received += 1
            self._peer = peer
            commands.append(command)

    def publish(self, state: StateLike) -> None:
        """Send a state, if anybody has commanded yet."""
        if self._peer is None:
            return
        try:
            self._socket.sendto(go1_messages.pack_state(state, self.remote.to_bytes()), self._peer)
        except OSError:  # nobody listens there any more
            pass

    def close(self) -> None:
        """Release the port."""
        self._socket.close()
