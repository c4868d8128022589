"""Times the controller on this machine: its step and its parts, its loop in real time, its start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import models
import robots
from deploy import bench
from deploy.controller import Controller, ControllerConfig
from deploy.fuzz import FuzzReport, fuzz
from deploy.load import load_controller
from deploy.realtime import Realtime

RATES = (200, 500)  # commands a second
FUZZ_DT = 0.01  # s: half as many ticks are spent standing up as at 200 Hz
STARTS = 5
START = """
import sys, pathlib, robots
from deploy.driver import Operator
from deploy.bench import Walker
from deploy.load import load_controller
spec = robots.load(sys.argv[1])
controller = load_controller(spec, pathlib.Path(sys.argv[2]))
controller.step(Walker(spec, controller.config.command_dt).read(), Operator())
print("ready", flush=True)
"""


def measure_all(robot: str, model_dir: Path | None, steps: int, seconds: float, fifo: int, seed: int) -> dict[str, Any]:
    """Return the figures of `dmcm bench control`."""
    folder = model_dir or models.path(robot)
    load = os.getloadavg()[0]
    priority = fifo if fifo and _permitted(fifo) else 0
    with Realtime(priority), tempfile.TemporaryDirectory() as name:
        step = bench.measure(_controller(robot, folder, RATES[0]), steps, seed)
        parts = bench.budget(_controller(robot, folder, RATES[0]), Path(name) / "log", min(steps, 5000), seed)
    rows = _loops(robot, folder, seconds, priority) if seconds else []
    plain = {row["load"]: row["jitter_ms"] for row in rows if row["hz"] == max(RATES) and not row["fifo"]}
    return {
        "robot": robot,
        "steps": step.steps,
        "step_fifo": priority,
        "step_ms": step.step_ms,
        "between_ms": step.between_ms,
        "parts_ms": parts,
        "ready_s": _starts(robot, folder),
        "jitter_ms": plain,
        "loops": rows,
        "load_average_before": load,
    }


def _controller(robot: str, folder: Path, hz: int) -> Controller:
    return load_controller(robots.load(robot), folder, config=ControllerConfig(command_dt=1 / hz))


def _loops(robot: str, folder: Path, seconds: float, fifo: int) -> list[dict[str, Any]]:
    """Return the loops in real time: every rate, idle and loaded, with and without SCHED_FIFO where it is permitted."""
    rows = []
    for priority in (0, fifo) if fifo else (0,):
        for hz in RATES:
            for load in ("idle", "loaded"):
                realtime = Realtime(priority) if priority else None
                with tempfile.TemporaryDirectory() as name, bench.busy() if load == "loaded" else nullcontext():
                    report = bench.jitter(_controller(robot, folder, hz), seconds, Path(name) / "log", realtime)
                rows.append(
                    {
                        "hz": hz,
                        "load": load,
                        "fifo": priority,
                        "ticks": report.ticks,
                        "jitter_ms": report.jitter_ms,
                        "step_ms": report.step_ms,
                        "late": report.late,
                        "overruns": report.overruns,
                    }
                )
    return rows


def _permitted(fifo: int) -> bool:
    try:
        with Realtime(fifo):
            return True
    except ValueError:
        return False


def _starts(robot: str, folder: Path) -> float:
    """Return the time from the start of a process until a controller's first command is there, the median, s."""
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", START, robot, str(folder)], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[STARTS // 2]


def table(figures: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = []
    for name, times in (("step with the policy", figures["step_ms"]), ("step between", figures["between_ms"])):
        lines.append(f"{name:<30} {_times(times)}")
    lines += [f"  {name:<28} {_times(times)}" for name, times in figures["parts_ms"].items()]
    lines.append(f"start to first command         {figures['ready_s']:.2f} s")
    for row in figures["loops"]:
        name = f"{row['hz']} Hz {row['load']}{' FIFO' if row['fifo'] else ''}"
        lines.append(f"jitter {name:<23} {_times(row['jitter_ms'])}  late {row['late']} of {row['ticks']}")
    return "\n".join(lines)


def _times(times: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.3f}" for key, value in times.items()) + " ms"


def fuzz_part(job: tuple[Path, int, int]) -> FuzzReport:
    """Fuzz a fresh controller: models folder, ticks, seed."""
    folder, ticks, seed = job
    return fuzz(load_controller(robots.load("go1"), folder, config=ControllerConfig(FUZZ_DT)), ticks, seed)
