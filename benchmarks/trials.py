"""Puts the field robot behind the real controller: the calibration walk, and trials on stairs in parallel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import robots
from calibration.field import RECORD, FieldRoutine
from calibration.live import Figures
from calibration.store import ContextStore
from deploy.context import RobotContext, load_context
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator, StateLike
from deploy.load import load_controller
from deploy.log import LogWriter
from deploy.loop import LoopReport, run
from sim.factors import RobotFactors
from sim.field import FieldRobot
from sim.trial import StairsTrial

COMMAND_DT = 0.005  # s


@dataclass(frozen=True)
class Mode:
    """One way to climb.

    Attributes:
        name: for tables.
        policy: ONNX file in the models folder.
        context: context.json, or None for the nominal robot's context.
    """

    name: str
    policy: str
    context: Path | None = None


@dataclass(frozen=True)
class TrialJob:
    """A trial to run in a process of its own."""

    robot: str
    models: Path
    mode: Mode
    terrain: str
    factors: RobotFactors
    trial: StairsTrial
    robot_seed: int
    noise_seed: int


@dataclass
class TrialResult:
    """How a trial ended: whether on top, why, after how long (s), and the way from the first step, (n, 3) m."""

    mode: str
    success: bool
    cause: str
    seconds: float
    path: list[list[float]] = field(default_factory=list)


def controller(robot: str, models: Path, policy: str, context: RobotContext | None, terrain: str) -> Controller:
    """Return a controller that walks with a policy of the models folder and calibrates with the data-collecting one."""
    config = ControllerConfig(command_dt=COMMAND_DT)
    return load_controller(robots.load(robot), models, policy, context, terrain, config)


def calibration_walk(robot: FieldRobot, models: Path, log: Path, walks: int = 1) -> LoopReport:
    """Stand up, walk the 20 s calibration motion on flat ground, `walks` times, and log it.

    Raises:
        ValueError: if the robot faults on the way.
    """
    made = controller(robot.robot, models, "calibration.onnx", None, "flat")
    done = 0

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        nonlocal done
        if control.fault:
            raise ValueError(f"the robot faulted while calibrating: {control.fault}")
        if control.state == "passive":
            return Operator(event="stand_up")
        if control.state == "stand" and done < walks:
            done += 1
            return Operator(event="calibrate")
        return None if control.state == "stand" else Operator()

    with LogWriter(log, made.spec, made.provenance()) as writer:
        return run(made, robot, operator, writer, record={"calibrate"})


def compensated_walk(
    robot: FieldRobot, models: Path, adapt_with: Path, log: Path, watch: Callable[[Figures], None] | None = None
) -> FieldRoutine:
    """Walk the field routine that reads the motors first and corrects the gains, and log it.

    Args:
        robot: lying on flat ground.
        models: folder with the calibration policy.
        adapt_with: folder with dynamics model and bank.
        log: to write.
        watch: called once a second of the motion.

    Raises:
        ValueError: if the routine fails, with the reason.
    """
    made = controller(robot.robot, models, "calibration.onnx", None, "flat")
    store = ContextStore(log.parent, robot.robot)
    routine = FieldRoutine(made.spec, adapt_with, store, compensate=True, waits=True, watch=watch)
    with LogWriter(log, made.spec, made.provenance()) as writer:
        run(made, robot, routine, writer, record=RECORD)
    if routine.problem:
        raise ValueError(f"the robot could not be calibrated: {routine.problem}")
    return routine


def climb(job: TrialJob, watch: Callable[[FieldRobot], None] | None = None, period: float = 0.2) -> TrialResult:
    """Run one trial: stand up before the stairs, walk, and see; `watch` sees the robot once a period, s."""
    spec = robots.load(job.robot)
    context = load_context(job.mode.context, spec) if job.mode.context else None
    made = controller(job.robot, job.models, job.mode.policy, context, job.terrain)
    trial = job.trial
    robot = FieldRobot(
        spec,
        job.factors,
        trial.boxes,
        seed=job.robot_seed,
        noise_seed=job.noise_seed,
        lying=False,
        heading=trial.heading,
        command_dt=COMMAND_DT,
    )
    result = TrialResult(job.mode.name, False, "time is up", trial.time_limit)
    walking = 0

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        nonlocal walking
        if control.state in ("passive", "stand"):
            return Operator(event="stand_up" if control.state == "passive" else "walk")
        if control.fault or trial.reached(robot.position):
            result.success = not control.fault
            result.cause = control.fault or "reached the plateau"
            result.seconds = walking * COMMAND_DT
            return None
        if control.state != "walk":
            return Operator()
        walking += 1
        if walking % 10 == 0:
            result.path.append(np.round(robot.position - [trial.distance, 0.0, 0.0], 3).tolist())
        if watch and walking % round(period / COMMAND_DT) == 0:
            watch(robot)
        ended = walking * COMMAND_DT > trial.time_limit
        return None if ended else Operator(velocity=trial.velocity(state.quaternion))

    run(made, robot, operator)
    return result


def climb_all(jobs: list[TrialJob]) -> Iterator[TrialResult]:
    """Run the trials on all cores and yield their results as they end."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ProcessPoolExecutor(cores) as pool:
        for future in as_completed([pool.submit(climb, job) for job in jobs]):
            yield future.result()


def nearest_stairs(terrains: Sequence[str], rise: float) -> str:
    """Return the bank's stairs whose rise is nearest, m.

    Raises:
        ValueError: if the bank has no stairs.
    """
    rises = {name: int(found[1]) / 100 for name in terrains if (found := re.fullmatch(r"stairs_(\d+)cm", name))}
    if not rises:
        raise ValueError("the context bank has no stairs: train the dynamics model with stairs in its data")
    return min(rises, key=lambda name: abs(rises[name] - rise))
