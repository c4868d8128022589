"""Unitree Go2 over DDS: `Go2Driver`.

The stamp of a state is the robot's own tick, ms, counted on where it wraps; so lost and repeated states show, however
late they arrive. A sender without a tick (some simulators) is stamped with its time of sending.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from deploy.driver import JointCommand, Operator, RobotState
from deploy.loop import Pacer
from deploy.unitree import dds, go2_messages
from deploy.unitree.idl import types
from deploy.unitree.remote import EMERGENCY, Remote, RemoteReader
from robots.joints import JOINT_NAMES

DISCOVERY = 1.5  # s in which other writers of commands, and the motion switcher, make themselves known
SILENT = 0.1  # s without a state after which the driver says so
AWAY = 1.0  # s without a state after which the robot may have been restarted, its own controller with it
RIVAL = 1.0  # s for which a command that somebody else sent is a problem
STICKS = 0.3  # s for which what the remote's own topic said holds
BAD_IN_A_ROW = 10  # states with a wrong checksum that are a problem
FOLDED = -2.2  # rad: a robot whose every knee is bent further than that lies


class Go2Driver:
    """A Go2 on a network interface; satisfies `deploy.driver.RobotDriver`.

    Args:
        interface: network interface, as in `ip link`; "lo" for a simulated robot on this machine; "" leaves it to
            CYCLONEDDS_URI.
        domain: DDS domain: 0 on the robot, 1 by convention in simulation.
        command_dt: time between two commands, s.
        release_sport: let the robot's own controller go first; the robot must lie.
        silent_rivals: accept other writers of commands as long as they send nothing.
        timeout: time to wait for the first state, s.

    Raises:
        OSError: if no state arrives, another program commands the robot, or its own controller is active.
        ModuleNotFoundError: if cyclonedds is not installed.
    """

    robot, joint_names = "go2", JOINT_NAMES

    def __init__(
        self,
        interface: str = "",
        domain: int = dds.ROBOT_DOMAIN,
        command_dt: float = 0.005,
        release_sport: bool = False,
        silent_rivals: bool = False,
        timeout: float = 5.0,
    ) -> None:
        self.command_dt, self.problem, self.serial = command_dt, None, ""
        self._silent_rivals, self._where = silent_rivals, f"DDS domain {domain}, interface {interface or 'by default'}"
        self._state: RobotState | None = None
        self._remote, self._wireless, self._asked = RemoteReader(), Remote(), Remote()
        self._reader = go2_messages.StateReader()
        self._heard = self._rival_heard = self._checked = -np.inf
        self._sticks_heard, self._bad, self._sent = -np.inf, 0, True
        participant = dds.participant(domain, interface)
        self._states: Any = dds.reader(participant, dds.LOW_STATE, types().LowState)
        self._sticks: Any = dds.reader(participant, dds.WIRELESS, types().WirelessController)
        self._rivals: Any = dds.Rivals(participant)
        self._switcher: Any = dds.MotionSwitcher(participant)
        self._await_state(timeout)
        self._free_motors(release_sport, timeout)
        self._refuse_rivals()
        self._commands: Any = dds.writer(participant, dds.LOW_CMD, types().LowCmd)
        self._pacer = Pacer(command_dt)

    # Before the motors

    def _await_state(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while self.read() is None:
            if time.monotonic() > end:
                raise OSError(
                    f"no state from a Go2 on {self._where} for {timeout:g} s: is it on, is the cable in, is this the "
                    "interface that reaches 192.168.123.161?"
                    + (f" ({self._bad} states had a wrong checksum)" if self._bad else "")
                )
            time.sleep(0.01)

    def _refuse_rivals(self) -> None:
        """See whether anybody else commands the motors, once the robot's own controller, which does, is gone."""
        self._rivals.poll()
        before, end = self._rivals.heard, time.monotonic() + DISCOVERY
        while time.monotonic() < end:
            self._rivals.poll()
            time.sleep(0.05)
        if self._rivals.heard > before:
            raise OSError(f"another program sends low-level commands on {self._where}: stop it first")
        if self._rivals.present and not self._silent_rivals:
            raise OSError(
                f"another program is ready to send low-level commands on {self._where}: stop it first, or accept it "
                "as long as it is silent with --silent-rivals"
            )

    def _free_motors(self, release: bool, timeout: float) -> None:
        """Make sure that the robot's own controller is not active; a robot that has no motion switcher has none."""
        mode = self._switcher.wait(DISCOVERY)
        if not mode:
            return
        if not release:
            raise OSError(
                f"the robot's own controller '{mode}' is active: let the robot lie down by its remote, then start with "
                "--release-sport"
            )
        state = self.read()
        if state is None or (state.joint_position[2::3] > FOLDED).any():
            raise OSError(f"the robot's own controller '{mode}' holds it up: let it lie down by its remote first")
        end = time.monotonic() + timeout
        while self._switcher.wait(0.5) != "":
            if time.monotonic() > end:
                raise OSError(f"the robot's own controller '{mode}' could not be released in {timeout:g} s")
            self._switcher.ask(dds.RELEASE_MODE)
            time.sleep(0.2)

    # The driver

    def read(self) -> RobotState | None:
        """Return the latest state, None before the first, and see what is wrong."""
        now = time.monotonic()
        for sample in dds.take(self._states):
            self._take(go2_messages.state_from_cdr(sample.body), 1e-9 * sample.sample_info.source_timestamp, now)
        for sample in dds.take(self._sticks):
            self._wireless, self._sticks_heard = Remote(sample.lx, sample.ly, sample.rx, sample.ry, sample.keys), now
        if now - self._sticks_heard > STICKS:
            self._wireless = Remote()
        self.problem = self._diagnose(now)
        return self._state

    def _take(self, raw: bytes, sent: float, now: float) -> None:
        if len(raw) != go2_messages.LOW_STATE.itemsize or not (go2_messages.intact(raw) or go2_messages.unsealed(raw)):
            self._bad += 1
            return
        if now - self._heard > AWAY:
            self._switcher.forget()
            self._checked = -np.inf
        self._bad, self._heard = 0, now
        self._state = self._reader.read(raw, sent)
        self.serial, self._asked = self._reader.serial, Remote.from_bytes(self._reader.remote)

    def _diagnose(self, now: float) -> str | None:
        heard = self._rivals.heard
        self._rivals.poll()
        if self._rivals.heard > heard:
            self._rival_heard = now
        mode = self._switcher.poll()
        if mode != "" and now - self._checked > DISCOVERY:
            self._switcher.ask()
            self._checked = now
        if self._bad >= BAD_IN_A_ROW:
            return f"the checksums of the last {self._bad} states are wrong"
        if not self._sent:
            return f"commands cannot be sent on {self._where}"
        if now - self._heard > SILENT:
            return f"the robot is silent: no state on {self._where} for {now - self._heard:.1f} s"
        if mode:  # which commands the motors by the same topic as a rival
            return f"the robot's own controller '{mode}' is active"
        if now - self._rival_heard < RIVAL:
            return f"another program sends low-level commands on {self._where}"
        if self._rivals.present and not self._silent_rivals:
            return f"another program is ready to send low-level commands on {self._where}"
        return None

    def write(self, command: JointCommand) -> None:
        """Send a command."""
        sample = types().LowCmd.of(go2_messages.cmd_to_cdr(go2_messages.pack_command(command)))
        self._sent = dds.write(self._commands, sample)

    def remote(self) -> Operator | None:
        """Return what the remote asks for, by the state or by its own topic."""
        stop = self._wireless.keys & EMERGENCY == EMERGENCY
        return self._remote.read(self._wireless if stop or self._asked == Remote() else self._asked)

    def wait(self) -> None:
        """Block until the next command period."""
        self._pacer.wait()

    def close(self) -> None:
        """Leave DDS; the robot's motors brake when commands stop."""
        self._states = self._sticks = self._rivals = self._switcher = self._commands = None
