"""Measures what looking costs: the simulation, a jump in a log, the controller that is watched, a page on the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import models
import robots
from deploy.controller import Controller
from deploy.driver import JointCommand, RobotState
from deploy.live import LivePublisher
from deploy.log import LogWriter
from robots.spec import RobotSpec
from viewer.knowledge import Knowledge
from viewer.log import load
from viewer.page import Pose, document
from viewer.replay import Replay
from viewer.server import close, open_page

if TYPE_CHECKING:
    from viewer.simulation import Simulation

BROWSER = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--window-size=1440,900",
)
GAIT = 2.0  # Hz, of the synthetic walk
FAULT_AT = 0.9  # share of the synthetic log after which a guard trips


@dataclass
class ViewBenchConfig:
    """Measure what looking costs.

    Attributes:
        robot: which robot.
        robots: how many are simulated.
        slices: pairs of turns, one without and one with the viewer.
        seconds: of a turn.
        minutes: length of the log that is scrubbed.
        jumps: to random times of it.
        seed: of the jumps.
        port: of the page.
        json: file for the figures.
    """

    robot: str = "go1"
    robots: int = 4
    slices: int = 25
    seconds: float = 1.0
    minutes: float = 10.0
    jumps: int = 200
    seed: int = 0
    port: int = 8099
    json: Path | None = None


def bench(config: ViewBenchConfig) -> dict[str, Any]:
    """Return all figures.

    Raises:
        ValueError: if there is no Chromium to look with.
    """
    with tempfile.TemporaryDirectory() as folder:
        spec = robots.load(config.robot)
        figures = {"log": scrub(config, spec, Path(folder)), "page": page(spec)}
        figures["publisher"] = publisher(spec)
        figures["simulation"] = simulation(config)
    return figures


def simulation(config: ViewBenchConfig) -> dict[str, Any]:
    """Return steps a second without and with a browser that looks, in pairs of turns, as fast as the simulation goes.

    The cost is the median over the pairs, which what else the machine does disturbs least.

    The browser renders in software here, which takes a core: it has one of its own, as if it ran on the machine in
    front of the user, and the simulation and the viewer's server share the others.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ValueError("the measurement needs two cores: one for the browser, as it is another machine's otherwise")
    os.sched_setaffinity(0, set(cores[:-1]))  # before the threads of torch and MuJoCo begin
    from viewer.simulation import FPS, Simulation, SimulationConfig

    server = open_page("127.0.0.1", config.port, "dmcm")
    rates: dict[bool, list[float]] = {False: [], True: []}
    busy: dict[bool, list[float]] = {False: [], True: []}
    frames = 0
    try:
        shown = Simulation(server, SimulationConfig(robot=config.robot, robots=config.robots, terrain="stairs"))
        shown.run(2.0, paced=False, shown=False)
        with browser(f"http://localhost:{config.port}", cores[-1]):
            _wait_for_client(server)
            shown.run(2.0, paced=False)
            for _ in range(config.slices):
                for looked in (False, True):
                    begin, before, work = time.monotonic(), shown.frames, time.process_time()
                    steps = shown.run(config.seconds, paced=False, shown=looked)
                    rates[looked].append(steps / (time.monotonic() - begin))
                    busy[looked].append(1e3 * (time.process_time() - work) / steps)
                    frames += shown.frames - before
            share = _share_of_a_core(shown)
    finally:
        close(server)
        os.sched_setaffinity(0, set(cores))
    without, watched = (np.array(rates[looked]) for looked in (False, True))
    ratio, work = watched / without, np.array(busy[True]) / np.array(busy[False])
    return {
        "robots": config.robots,
        "steps_per_s_without": float(np.median(without)),
        "steps_per_s_with": float(np.median(watched)),
        "cost": 1.0 - float(np.median(ratio)),
        "cost_quartiles": (1.0 - np.percentile(ratio, [75, 25])).tolist(),
        "cpu_ms_per_step_without": float(np.median(busy[False])),
        "cpu_ms_per_step_with": float(np.median(busy[True])),
        "cpu_cost": float(np.median(work)) - 1.0,
        "cpu_cost_quartiles": (np.percentile(work, [25, 75]) - 1.0).tolist(),
        "share_of_a_core": share,
        "load_average": os.getloadavg()[0],
        "frames_per_s": frames / (config.slices * config.seconds),
        "frames_per_s_wanted": FPS,
        "slices_without": rates[False],
        "slices_with": rates[True],
    }


def _share_of_a_core(shown: Simulation) -> float:
    """Return the processor time that showing takes in a second, all threads, at the rates at which it is done, s/s."""
    from viewer.simulation import CHART_PERIOD, CONTEXT_PERIOD, FPS

    def cost(act: Callable[[], object], count: int) -> float:
        begin = time.process_time()
        for _ in range(count):
            act()
            time.sleep(1.0 / FPS)
        return (time.process_time() - begin) / count

    charts, contexts = cost(lambda: shown.draw(False), 30), cost(lambda: shown.draw(True), 15)
    return cost(shown.show, 90) * FPS + charts / CHART_PERIOD + (contexts - charts) / CONTEXT_PERIOD


def scrub(config: ViewBenchConfig, spec: RobotSpec, folder: Path) -> dict[str, Any]:
    """Return how long it takes to open a long log and to jump in it, on the server's side."""
    log = folder / "log"
    write_log(log, spec, 60.0 * config.minutes)
    begin = time.perf_counter()
    recording = load(log)
    opened = time.perf_counter() - begin
    server = open_page("127.0.0.1", config.port, "dmcm")
    try:
        replay = Replay(server, recording, Knowledge(spec, models.path(spec.name)))
        times = np.random.default_rng(config.seed).uniform(0.0, replay.end, config.jumps)
        took = []
        for at in times:
            begin = time.perf_counter()
            replay.show(float(at))
            took.append(1e3 * (time.perf_counter() - begin))
    finally:
        close(server)
    p50, p99, most = np.percentile(took, [50, 99, 100]).tolist()
    return {
        "minutes": config.minutes,
        "records": len(recording.track),
        "open_s": opened,
        "jumps": config.jumps,
        "jump_ms": {"p50": p50, "p99": p99, "max": most},
    }


def page(spec: RobotSpec, seconds: float = 15.0) -> dict[str, Any]:
    """Return size and time of a replay that is written as a page."""
    rows = _walk(spec, seconds)
    poses = [Pose(np.array([0.0, 0.0, spec.standing_height]), np.array([1.0, 0, 0, 0]), q) for q in rows[::2]]
    begin = time.perf_counter()
    text = document(spec, poses)
    return {"seconds": seconds, "megabytes": len(text) / 1e6, "written_in_s": time.perf_counter() - begin}


def publisher(spec: RobotSpec, count: int = 5000) -> dict[str, Any]:
    """Return what being watched costs the control loop: the time of a send, once a policy period."""
    controller = Controller(spec)
    live = LivePublisher(controller, ("127.0.0.1", 9))
    state = _state(spec, 0.0, spec.default_position)
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        live.send(state, 0.1)
        took.append(1e6 * (time.perf_counter() - begin))
    live.close()
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    return {"send_us": {"p50": p50, "p99": p99}, "share_of_the_period": 1e-6 * p50 / spec.control_dt}


def write_log(folder: Path, spec: RobotSpec, seconds: float) -> None:
    """Write a log in the format of `deploy.log` of a synthetic trot, which ends in a fault."""
    joints = _walk(spec, seconds)
    gains = np.full(12, spec.kp), np.full(12, spec.kd)
    told = {"robot": spec.name, "robot_digest": spec.digest(), "terrain": "flat"}
    fault = round(FAULT_AT * len(joints))
    with LogWriter(folder, spec, told, epoch=1e9) as log:
        for i, q in enumerate(joints):
            state = _state(spec, i * spec.control_dt, q)
            command = JointCommand(q + 0.05, np.zeros(12), np.zeros(12), *gains)
            name = "fault" if i >= fault else "walk" if i > 100 else "stand"
            status = json.dumps({"state": name, "cause": "synthetic", "fault": ""})
            log.record(state, q + 0.05, np.array([0.5, 0.0, 0.0]), command, status)
            if i == fault:
                log.event(state.stamp, {"from": "walk", "to": "fault", "cause": "tilted by 60 degrees"})


def _walk(spec: RobotSpec, seconds: float) -> np.ndarray:
    """Return the joints of a trot on the spot, (t, 12), rad."""
    time_ = np.arange(0.0, seconds, spec.control_dt)
    phase = 2 * np.pi * GAIT * time_[:, None] + np.array([0.0, np.pi, np.pi, 0.0])
    swing = np.stack([0 * phase, 0.15 * np.sin(phase), -0.3 * np.maximum(np.cos(phase), 0.0)], axis=2)
    return spec.default_position + swing.reshape(-1, 12)


def _state(spec: RobotSpec, stamp: float, joints: np.ndarray) -> RobotState:
    return RobotState(
        stamp=stamp,
        angular_velocity=np.zeros(3),
        quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
        joint_position=joints,
        joint_velocity=np.zeros(12),
        joint_torque=0.3 * spec.torque_limit * np.sin(10 * joints),
        foot_force=np.array([40.0, 0.0, 0.0, 40.0]),
        linear_acceleration=np.array([0.0, 0.0, 9.81]),
    )


def find_browser() -> str | None:
    """Return the path of a Chromium, None if there is none."""
    return next(filter(None, map(shutil.which, BROWSER)), None)


@contextmanager
def browser(url: str, core: int | None = None) -> Iterator[None]:
    """Look at a page with a headless Chromium, on one core.

    Raises:
        ValueError: if there is none.
    """
    found = find_browser()
    if found is None:
        raise ValueError("the measurement needs a browser that looks: install chromium")
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        command = [found, *FLAGS, f"--user-data-dir={profile}", url]
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_client(server: Any, seconds: float = 40.0) -> None:
    begin = time.monotonic()
    while not server.get_clients():
        if time.monotonic() - begin > seconds:
            raise ValueError(f"the browser did not open the page within {seconds:.0f} s: is the machine too busy?")
        time.sleep(0.1)
    time.sleep(2.0)  # it loads the scene
