"""Pauses and kills the process that drives: a real one, whose robot is at the other end of a UDP connection."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import robots
from benchmarks.fault_trials import BEFORE, LOSS, STATES, Row
from deploy.driver import JointCommand, StateLike
from deploy.realtime import Realtime
from deploy.summary import Summary, summarize
from deploy.unitree.go1_server import Go1Server
from sim.field import FieldRobot
from sim.server import STATE_DT, WATCHDOG, RobotServer

PAUSE = 0.3  # s
FAULTS = (f"process paused {1e3 * PAUSE:.0f} ms (SIGSTOP)", "process killed (SIGKILL)")
SLACK = 0.03  # s on top of the robot's own watchdog, for two processes on a machine that is not theirs alone
SCRIPTS = {"stand": "stand_up for 60", "walk": "stand_up; walk 0.3 0 0 for 60", "calibrate": "stand_up; calibrate"}
PATIENCE = 40.0  # s to get into the state
ROBOT = "go1"


class Wire(Go1Server):
    """The robot's end of the wire, which judges every command that arrives."""

    def __init__(self) -> None:
        super().__init__(port=0)
        self.arrived: list[tuple[float, bool]] = []
        self.outside = 0
        self._lower, self._upper = robots.load(ROBOT).position_limits

    def receive(self) -> list[JointCommand]:
        """Return the commands since the last time."""
        commands = super().receive()
        for command in commands:
            off = (command.position < self._lower - 1e-6) | (command.position > self._upper + 1e-6)
            stiff = bool(command.kp.any())
            self.outside += bool(stiff and off.any()) or not np.isfinite(command.position + command.kp).all()
            self.arrived.append((time.monotonic(), stiff))
        return commands

    def publish(self, state: StateLike) -> None:
        """Send a state."""
        super().publish(state)


class Child:
    """`dmcm run` in a process of its own, and the state in which it says it is."""

    def __init__(self, port: int, state: str, models: Path, log: Path, fifo: int) -> None:
        words = [
            *("run", f"--robot={ROBOT}", "--driver=unitree_udp", "--address=127.0.0.1", f"--port={port}"),
            *("--rate=200", f"--script={SCRIPTS[state]}", f"--log={log}", f"--model-dir={models}", f"--fifo={fifo}"),
        ]
        command = [sys.executable, "-c", "from cli.main import run; run()", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def in_state(self, state: str) -> bool:
        """Return whether its last transition led there."""
        told = [line for line in self.lines if " -> " in line]
        return bool(told) and f"-> {state}:" in told[-1]

    def end(self) -> None:
        """Let it end."""
        self.process.kill()
        self.process.wait()
        self._reader.join()


def run_all(models: Path, seed: int, fifo: int) -> list[Row]:
    """Pause and kill in every state."""
    return [_try(fault, state, models, seed, fifo) for fault in FAULTS for state in STATES]


def _try(fault: str, state: str, models: Path, seed: int, fifo: int) -> Row:
    wire = Wire()
    server = RobotServer(FieldRobot(robots.load(ROBOT), seed=seed, command_dt=STATE_DT), wire)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        child = Child(wire.port, state, models, log, fifo)
        try:
            with Realtime(fifo=fifo):
                return _disturb(fault, state, server, wire, child, log)
        finally:
            child.end()
            wire.close()


def _serve(server: RobotServer, seconds: float, done: threading.Event | None = None) -> None:
    """Be the robot for a while, or until told."""
    deadline = end = time.monotonic()
    end += seconds
    while time.monotonic() < end and not (done and done.is_set()):
        server.step()
        deadline = max(deadline + STATE_DT, time.monotonic() - 0.05)
        time.sleep(max(0.0, deadline - time.monotonic()))


def _disturb(fault: str, state: str, server: RobotServer, wire: Wire, child: Child, log: Path) -> Row:
    end = time.monotonic() + PATIENCE
    while not child.in_state(state):
        if time.monotonic() > end or child.process.poll() is not None:
            raise RuntimeError(f"the driving process does not get to {state}: {child.lines[-1:]}")
        _serve(server, 0.05)
    _serve(server, BEFORE)
    if not child.in_state(state):
        raise RuntimeError(f"the driving process left {state}: {child.lines[-1:]}")
    paused, braked = fault == FAULTS[0], server.report.braked
    began, wall = time.monotonic(), time.time()
    child.process.send_signal(signal.SIGSTOP if paused else signal.SIGKILL)
    while server.report.braked == braked and time.monotonic() < began + 1.0:
        _serve(server, 2 * STATE_DT)
    reaction, damped = time.monotonic() - began, True
    if paused:
        _serve(server, max(0.0, began + PAUSE - time.monotonic()))
        count = len(wire.arrived)
        child.process.send_signal(signal.SIGCONT)
        _serve(server, 1.0)
        damped = _damps(wire.arrived[count:])
        child.process.send_signal(signal.SIGTERM)
        _serve(server, 0.5)
    else:
        _serve(server, 0.5)
    child.end()
    reason = next((line for line in child.lines if "-> fault" in line), "") if paused else ""
    return Row(
        fault=fault,
        state=state,
        expected="damps",
        within_ms=round(1e3 * (WATCHDOG + SLACK)),
        safe=reaction <= WATCHDOG + SLACK and damped and not wire.outside,
        reaction_ms=1e3 * reaction,
        commands=len(wire.arrived),
        outside=wire.outside,
        log_readable=_tells(log, paused, wall),
        reason=reason.split(": ", 1)[-1] or "the robot's own watchdog brakes",
    )


def _damps(arrived: list[tuple[float, bool]]) -> bool:
    """Return whether a process that was paused damps, and stays so, but for what it was about to send when paused."""
    return bool(arrived) and not arrived[-1][1] and not any(stiff for _, stiff in arrived[1:])


def _tells(log: Path, paused: bool, wall: float) -> bool:
    """Return whether the log reads, and holds the trip or all but the last second before the end."""
    try:
        found: Summary = summarize(log)
    except ValueError:
        return False
    return any(event.get("to") == "fault" for event in found.events) if paused else found.last > wall - LOSS
