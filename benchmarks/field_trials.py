"""Field robots drawn at random and their calibration walks, kept in a folder so that none is walked twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import robots
from benchmarks.motions import COMPENSATED, UNSTEERED
from benchmarks.trials import COMMAND_DT, compensated_walk, controller
from deploy.calibration_motion import Motion
from deploy.controller import Controller
from deploy.driver import Operator, StateLike
from deploy.log import LogWriter
from deploy.loop import run
from deploy.steer import Steering
from sim.factors import WIDE, RobotFactors
from sim.field import FieldRobot

POLICY = "calibration.onnx"
STANDING = 1.0  # s on stiff legs before the walk


@dataclass(frozen=True)
class WalkJob:
    """A walk to run in a process of its own, and the folder that keeps it."""

    robot: str
    models: Path
    motion: str
    phases: Motion
    factors: RobotFactors
    seed: int
    folder: Path
    steered: bool


@dataclass(frozen=True)
class Walk:
    """A walk that was run.

    Attributes:
        motion: its name.
        seed: of the field robot.
        factors: of the robot.
        log: rosbag2 folder.
        fault: why it ended early, "" if it did not.
        away: farthest from where the motion began, m.
    """

    motion: str
    seed: int
    factors: RobotFactors
    log: Path
    fault: str
    away: float


def draw_robots(count: int, seed: int) -> list[RobotFactors]:
    """Return field robots from the wide factor ranges."""
    return [RobotFactors.from_array(row) for row in WIDE.sample(np.random.default_rng(seed), count)]


def walk(job: WalkJob) -> Walk:
    """Stand up, stand, walk the motion with the calibration policy; or return what an earlier call left."""
    record = job.folder / "walk.json"
    if not record.exists():
        shutil.rmtree(job.folder, ignore_errors=True)
        job.folder.mkdir(parents=True)
        fault, away = _compensated(job) if job.motion == COMPENSATED else _walk(job)
        record.write_text(json.dumps({"fault": fault, "away": away}))
    found = json.loads(record.read_text())
    return Walk(job.motion, job.seed, job.factors, job.folder / "log", found["fault"], found["away"])


def _walk(job: WalkJob) -> tuple[str, float]:
    made = controller(job.robot, job.models, POLICY, None, "flat")
    robot = FieldRobot(made.spec, job.factors, seed=job.seed, command_dt=COMMAND_DT)
    steering = Steering(made.spec, job.phases, made.spec.control_dt)
    stood = walked = 0
    wanted, way = np.zeros(3), []

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        nonlocal stood, walked, wanted
        if control.state == "passive":
            return Operator(event="stand_up")
        if control.fault:
            return None
        if control.state == "stand":
            stood += 1
            return Operator(event="walk") if stood * COMMAND_DT > STANDING else Operator()
        if control.state != "walk":
            return Operator()
        walked += 1
        way.append(robot.position[:2])
        time = walked * COMMAND_DT
        if control.policy_tick:
            wanted = steering.velocity(time, state) if job.steered else job.phases.velocity_at(time)
        return None if time > job.phases.seconds else Operator(velocity=tuple(wanted))

    with LogWriter(job.folder / "log", made.spec, made.provenance(), epoch=0.0) as writer:
        run(made, robot, operator, writer, record={"stand", "walk"})
    return made.fault, float(np.linalg.norm(np.array(way) - way[0], axis=1).max()) if way else 0.0


def _compensated(job: WalkJob) -> tuple[str, float]:
    robot = FieldRobot(robots.load(job.robot), job.factors, seed=job.seed, command_dt=COMMAND_DT)
    fault, way = "", []
    try:
        compensated_walk(robot, job.models, job.models, job.folder / "log", lambda _: way.append(robot.position[:2]))
    except ValueError as problem:
        fault = str(problem)
    return fault, float(np.linalg.norm(np.array(way) - way[0], axis=1).max()) if way else 0.0


def jobs(
    robot: str, models: Path, motions: dict[str, Motion], factors: Sequence[RobotFactors], seed: int, folder: Path
) -> list[WalkJob]:
    """Return a job for every motion and robot; robot i has seed `seed` + i.

    A walk's folder is named by all that it depends on, besides the code: motion, robot, seed, and the models' files.
    """
    made = []
    for name, motion in motions.items():
        steered = name not in UNSTEERED
        files = [POLICY, *(("dynamics.onnx", "bank.safetensors") if name == COMPENSATED else ())]
        content = b"".join((models / file).read_bytes() for file in files)
        for i, one in enumerate(factors):
            key = hashlib.sha256(repr((robot, one, motion.phases, steered)).encode() + content).hexdigest()[:8]
            kept = folder / f"{name}-{seed + i}-{key}"
            made.append(WalkJob(robot, models, name, motion, one, seed + i, kept, steered))
    return made


def parallel(function: Any, items: Sequence[Any]) -> Iterator[Any]:
    """Yield `function` of every item as it is done, on all cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ProcessPoolExecutor(cores) as pool:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
