"""Hours of walking with changing commands, in simulated time: does memory grow, is every tick in the log."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

import models
import robots
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator, StateLike
from deploy.load import load_controller
from deploy.log import LogWriter
from deploy.loop import run
from deploy.summary import summarize
from sim.field import FieldRobot

COMMAND_DT = 0.005  # s
CHANGE = 5.0  # s between two commands
SETTLED = 0.1  # share of the run after which memory is held against
STEADY = 0.05  # share by which it may then differ
VELOCITIES = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (-0.4, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.8), (0.5, 0.0, -0.6))


class Walk:
    """Commands that change every few seconds, with stands between, and the memory that the process takes meanwhile."""

    def __init__(self, ticks: int, seed: int) -> None:
        self.memory: list[float] = []
        self.policy_ticks = 0
        self._left, self._draw = ticks, np.random.default_rng(seed)
        self._ticks, self._wish = ticks, Operator()

    def __call__(self, controller: Controller, state: StateLike | None) -> Operator | None:
        """Return what the operator wants, None when the time is up or the robot faults."""
        self._left -= 1
        self.policy_ticks += controller.policy_tick
        if self._left < 0 or controller.fault:
            return None
        if self._left % max(1, self._ticks // 200) == 0:
            self.memory.append(_memory())
        if self._left % round(CHANGE / COMMAND_DT) == 0:
            self._wish = Operator(VELOCITIES[self._draw.integers(len(VELOCITIES))])
            if self._draw.random() < 0.02 and controller.state == "walk":
                return Operator(event="stand")
        event = {"passive": "stand_up", "stand": "walk"}.get(controller.state)
        return Operator(self._wish.velocity, event)


def soak(robot: str, model_dir: Path | None, hours: float, log: Path | None, seed: int) -> dict[str, Any]:
    """Return the figures of `dmcm bench soak`."""
    spec = robots.load(robot)
    controller = load_controller(spec, model_dir or models.path(robot), config=ControllerConfig(COMMAND_DT))
    walk = Walk(round(3600 * hours / COMMAND_DT), seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() if log is None else nullcontext() as name:
        folder = Path(name) / "log" if log is None else log
        with LogWriter(folder, spec, controller.provenance()) as writer:
            report = run(controller, FieldRobot(spec, seed=seed, command_dt=COMMAND_DT), walk, writer)
        found = summarize(folder)
    settled = walk.memory[round(SETTLED * len(walk.memory)) :]
    growth = settled[-1] / settled[0] - 1.0
    return {
        "simulated_h": report.ticks * COMMAND_DT / 3600,
        "seconds": time.perf_counter() - start,
        "ticks": report.ticks,
        "policy_ticks": walk.policy_ticks,
        "logged": found.records,
        "complete": found.records == walk.policy_ticks,
        "log_gap_s": found.gap,
        "trips": report.trips,
        "fault": report.fault,
        "log_error": report.log_error,
        "transitions": controller.transitions,
        "step_ms": report.step_ms,
        "overruns": report.overruns,
        "rss_mb": {"settled": settled[0], "end": settled[-1], "least": min(settled), "most": max(settled)},
        "rss_growth": growth,
        "rss_mb_along": walk.memory[:: max(1, len(walk.memory) // 40)],
        "steady": max(settled) / min(settled) - 1.0 <= STEADY,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _memory() -> float:
    """Return the memory that the process has now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
