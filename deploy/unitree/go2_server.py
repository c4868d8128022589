"""The robot's end of Go2's DDS: what a simulated robot is reached through, by this stack or any Unitree SDK program."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from deploy.driver import JointCommand, StateLike
from deploy.unitree import dds, go2_messages
from deploy.unitree.idl import types
from deploy.unitree.remote import Remote


class Go2Server:
    """Takes LowCmd, sends LowState, and answers as the motion switcher.

    Args:
        interface: network interface; "lo" stays on this machine.
        domain: DDS domain; 1 is the convention in simulation.
        sport_mode: name of the robot's own controller that is active until it is released; "" is none. While it is
            active it commands the motors by the topic that everybody does, as a Go2's is reported to.

    Attributes:
        sport_mode: the controller that is active now.
        remote: what is pressed on the simulated remote.
        received: commands with a right checksum so far.
        damaged: commands with a wrong one.

    Raises:
        OSError: if the domain cannot be joined on that interface.
        ModuleNotFoundError: if cyclonedds is not installed.
    """

    robot = "go2"

    def __init__(self, interface: str = "lo", domain: int = dds.SIMULATION_DOMAIN, sport_mode: str = "") -> None:
        self.sport_mode, self.remote = sport_mode, Remote()
        self.received = self.damaged = 0
        participant = dds.participant(domain, interface)
        self._participant: Any = participant
        self._own: Any = None
        self._commands: Any = dds.reader(participant, dds.LOW_CMD, types().LowCmd, depth=32, others_only=True)
        self._states: Any = dds.writer(participant, dds.LOW_STATE, types().LowState)
        self._sticks: Any = dds.writer(participant, dds.WIRELESS, types().WirelessController)
        self._requests: Any = dds.reader(participant, dds.MOTION_REQUEST, types().Request, depth=8)
        self._responses: Any = dds.writer(participant, dds.MOTION_RESPONSE, types().Response)

    def receive(self) -> list[JointCommand]:
        """Return the commands since the last time, the oldest first, and answer what was asked meanwhile."""
        self._answer()
        self._command_itself()
        commands = []
        for sample in dds.take(self._commands, 32):
            raw = go2_messages.cmd_from_cdr(sample.body)
            if len(raw) != go2_messages.LOW_CMD.itemsize or not go2_messages.intact(raw):
                self.damaged += 1
                continue
            self.received += 1
            commands.append(go2_messages.unpack_command(raw))
        return commands

    def publish(self, state: StateLike) -> None:
        """Send a state."""
        raw = go2_messages.pack_state(state, self.remote.to_bytes())
        dds.write(self._states, types().LowState.of(go2_messages.state_to_cdr(raw)))
        if self.remote != Remote():
            r = self.remote
            dds.write(self._sticks, types().WirelessController(r.lx, r.ly, r.rx, r.ry, r.keys))

    def _answer(self) -> None:
        t = types()
        for request in dds.take(self._requests, 8):
            identity, code, data = request.header.identity, 0, ""
            if identity.api_id == dds.CHECK_MODE:
                data = json.dumps({"form": "0", "name": self.sport_mode})
            elif identity.api_id == dds.RELEASE_MODE:
                self.sport_mode = ""
            else:
                code = dds.NOT_IMPLEMENTED
            if not request.header.policy.noreply:
                header = t.ResponseHeader(t.RequestIdentity(identity.id, identity.api_id), t.ResponseStatus(code))
                dds.write(self._responses, t.Response(header, data, []))

    def _command_itself(self) -> None:
        if not self.sport_mode:
            self._own = None
            return
        if self._own is None:
            self._own = dds.writer(self._participant, dds.LOW_CMD, types().LowCmd)
        nothing = JointCommand(*np.zeros((5, 12)))
        dds.write(self._own, types().LowCmd.of(go2_messages.cmd_to_cdr(go2_messages.pack_command(nothing))))

    def close(self) -> None:
        """Leave DDS."""
        self._own = self._participant = None
        self._commands = self._states = self._sticks = self._requests = self._responses = None
