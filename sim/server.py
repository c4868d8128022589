"""Runs the simulated field robot behind a robot's own interface: programs for the real one can be tried on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from sim.field import FieldRobot, FieldState

STATE_DT = 0.002  # s between two states, as Unitree's robots send them
WATCHDOG = 0.1  # s without a command after which the motors brake; [chosen], the maker's value is not public
BRAKE_KD = 3.0  # N m s/rad; [chosen]
CATCH_UP = 0.05  # s that the simulation may lag behind real time and make up for; beyond that it falls behind


class Link(Protocol):
    """The robot's end of a wire."""

    def receive(self) -> Sequence[Any]:
        """Return the joint commands since the last time, the oldest first."""
        ...

    def publish(self, state: FieldState) -> None:
        """Send a state."""
        ...


@dataclass
class ServerReport:
    """How a server did.

    Attributes:
        seconds: real time that it ran.
        states: sent in that time.
        commands: received in that time.
        rates: commands received in each full second in which at least one came, 1/s.
        late: periods that began more than a period late.
        lost: simulated time that was given up because the machine could not keep up, s.
        braked: times that the watchdog let the motors brake.
        walked: way of the trunk over the ground, seen once a second, m.
    """

    seconds: float = 0.0
    states: int = 0
    commands: int = 0
    rates: list[int] = field(default_factory=list)
    late: int = 0
    lost: float = 0.0
    braked: int = 0
    walked: float = 0.0


class RobotServer:
    """One simulated robot at the end of a wire, in real time.

    Args:
        robot: the robot; its `command_dt` is the time between two states.
        link: the wire.
    """

    def __init__(self, robot: FieldRobot, link: Link) -> None:
        self.robot, self.link, self.report = robot, link, ServerReport()
        self._brake = SimpleNamespace(
            **{name: np.zeros(12) for name in ("position", "velocity", "torque", "kp")}, kd=np.full(12, BRAKE_KD)
        )
        self._since_command, self._counted, self._position = np.inf, 0, robot.position[:2]
        robot.write(self._brake)

    def step(self) -> None:
        """Take commands, advance the robot by one period, send its state."""
        commands = self.link.receive()
        self.report.commands += len(commands)
        if commands:
            self.robot.write(commands[-1])
            self._since_command = 0.0
        elif self._since_command <= WATCHDOG < self._since_command + self.robot.command_dt:
            self.robot.write(self._brake)
            self.report.braked += 1
        self._since_command += self.robot.command_dt
        self.robot.wait()
        self.link.publish(self.robot.read())
        self.report.states += 1

    def run(self, seconds: float = np.inf, watch: Callable[[ServerReport], None] | None = None) -> ServerReport:
        """Serve in real time until the time is up or something raises; `watch` sees the report once a second."""
        start = time.monotonic()
        try:
            self._pace(start, seconds, watch)
        finally:
            self.report.seconds = time.monotonic() - start
        return self.report

    def _pace(self, start: float, seconds: float, watch: Callable[[ServerReport], None] | None) -> None:
        period, report, deadline, second = self.robot.command_dt, self.report, start, start + 1.0
        while (now := time.monotonic()) - start < seconds:
            report.late += now - deadline > period
            if now - deadline > CATCH_UP:
                report.lost += now - deadline
                deadline = now
            if now >= second:
                self._count(now - start)
                second += 1.0
                if watch:
                    watch(report)
            self.step()
            deadline += period
            time.sleep(max(0.0, deadline - time.monotonic()))

    def _count(self, seconds: float) -> None:
        """Bring the report up to date after another second."""
        report, position = self.report, self.robot.position[:2]
        if report.commands > self._counted:
            report.rates.append(report.commands - self._counted)
        report.walked += float(np.linalg.norm(position - self._position))
        report.seconds, self._counted, self._position = seconds, report.commands, position
