"""The out-of-distribution table: policies on field robots in many conditions, behind the real controller.

A cell is a robot condition, a terrain and a way to walk. A round is four episodes with one robot; rounds go over
all cells in turn, so that a run that is cut short has covered all alike; every cell is a file, and what is in it is not
run again. All ways face the same robots, noise and courses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import robots
from benchmarks.trials import COMMAND_DT, nearest_stairs
from deploy.context import ContextBank, RobotContext, load_bank
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator, StateLike
from deploy.gains import Gains
from deploy.loop import run
from deploy.policy import OnnxPolicy
from robots.spec import RobotSpec
from sim import truth
from sim.factors import FACTOR_NAMES, FACTOR_UNITS, RobotFactors
from sim.field import FieldRobot
from sim.trial import Course, StairsTrial

EPISODES = 4  # in a round, with one robot: its masses, sensor biases and context
STEPS = 7  # of a flight of stairs
STRIDE = 29  # training robots from one round's stranger to the next's
ROUGH = 0.06  # m, the highest stone
STAIRS = {"stairs_10cm": 0.10, "stairs_13cm": 0.13, "stairs_15cm": 0.15, "stairs_17cm": 0.17}
TERRAINS = ("flat", "rough", *STAIRS)
WITHIN = {  # the ranges that the shipped policies were trained in, but for the strength of all four legs
    "nominal": RobotFactors(),
    "+1.5 kg": RobotFactors(payload=1.5),
    "+3 kg": RobotFactors(payload=3.0),
    "Kp x0.6": RobotFactors(kp_scale=0.6),
    "strength x0.8": RobotFactors(weak_leg_fl=0.8, weak_leg_fr=0.8, weak_leg_rl=0.8, weak_leg_rr=0.8),
    "weak leg": RobotFactors(weak_leg_rr=0.6),
    "+3 kg, Kp x0.7": RobotFactors(payload=3.0, kp_scale=0.7),
}
BEYOND = {  # no robot in training was like these
    "+5 kg": RobotFactors(payload=5.0),
    "Kp x0.5": RobotFactors(kp_scale=0.5),
    "+4 kg, Kp x0.6": RobotFactors(payload=4.0, kp_scale=0.6),
    "strength x0.6": RobotFactors(weak_leg_fl=0.6, weak_leg_fr=0.6, weak_leg_rl=0.6, weak_leg_rr=0.6),
}
CONDITIONS = WITHIN | BEYOND


@dataclass(frozen=True)
class Way:
    """A policy, and what contexts it is given.

    Attributes:
        name: for tables.
        mode: the policy is `<mode>.onnx` of the models folder.
        robot: which robot context: none, the "nominal" robot's, the one "adapted" to its walk, that of a "stranger" (a
            training robot, another in each round), or the "true" factors.
        seconds: of the walk that is adapted on, s.
        terrain: name of a terrain context; "own" is that of the ground that is walked on.
        gains: the policy's; "corrected" by what was read of the motors in the walk; or "compensated" as `dmcm field
            --compensate` does it, before the walk that the context is found in.
    """

    name: str
    mode: str
    robot: Literal["none", "nominal", "adapted", "stranger", "true"] = "none"
    seconds: float = 20.0
    terrain: str = "own"
    gains: Literal["nominal", "corrected", "compensated"] = "nominal"

    @property
    def calibrates(self) -> bool:
        """Whether the robot walks to be read or adapted to."""
        return self.robot == "adapted" or self.gains != "nominal"

    @property
    def banked(self) -> bool:
        """Whether it takes anything from a context bank."""
        return self.calibrates or self.robot in ("nominal", "stranger")

    @property
    def learner(self) -> str:
        """Whose dynamics model finds the contexts: a single context has its own."""
        return "single" if self.mode == "single" else "multi"


MAIN = (
    Way("vanilla", "vanilla"),
    Way("vanilla_gains", "vanilla", gains="corrected"),
    Way("vanilla_compensated", "vanilla", "adapted", gains="compensated"),
    Way("history", "history"),
    Way("history_compensated", "history", "adapted", gains="compensated"),
    Way("single_raw", "single", "adapted", terrain="flat"),
    Way("single", "single", "adapted"),
    Way("single_gains", "single", "nominal", gains="corrected"),
    Way("single_compensated", "single", "adapted", gains="compensated"),
    Way("multi_nominal", "multi", "nominal"),
    Way("multi", "multi", "adapted"),
    Way("multi_gains", "multi", "nominal", gains="corrected"),
    Way("multi_compensated", "multi", "adapted", gains="compensated"),
    Way("multi_compensated_alone", "multi", "nominal", gains="compensated"),
    Way("multi_compensated_stranger", "multi", "stranger", gains="compensated"),
    Way("oracle", "oracle", "true"),
)
TERRAIN = (
    Way("multi_flat", "multi", "adapted", terrain="flat"),
    Way("multi_13cm", "multi", "adapted", terrain="stairs_13cm"),
)
TIME = tuple(Way(f"multi_{s}s", "multi", "adapted", float(s)) for s in (5, 10, 40))
STUDIES = {"main": (MAIN, WITHIN), "beyond": (MAIN, BEYOND), "terrain": (TERRAIN, WITHIN), "time": (TIME, WITHIN)}


@dataclass(frozen=True)
class Job:
    """A round of a cell, to run in a process of its own.

    Attributes:
        robot: its name.
        models: folder with the policies and banks, see `folder_of`.
        way, condition, terrain: the cell.
        round: its number.
        seed: of the evaluation.
        contexts: what the calibration walk of this condition and round gave, see `benchmarks.evaluation_contexts`.
    """

    robot: str
    models: Path
    way: Way
    condition: str
    terrain: str
    round: int
    seed: int
    contexts: dict[str, Any]


def folder_of(models: Path, mode: str) -> Path:
    """Return where the bank and the dynamics model of a mode lie: a single context has its own."""
    return models / "single" if mode == "single" else models


def robot_seed(seed: int, number: int) -> int:
    """Return the seed of the field robot of a round: its masses and sensor biases."""
    return 1000 * seed + number


def course(terrain: str, seed: int) -> StairsTrial | Course:
    """Return a drawn trial on a terrain."""
    if terrain in STAIRS:
        return StairsTrial.drawn(STAIRS[terrain], STEPS, seed)
    return Course.drawn(ROUGH if terrain == "rough" else 0.0, seed)


def context_name(bank: ContextBank, way: Way, terrain: str) -> str:
    """Return the name of the bank's terrain that a way takes on a terrain."""
    wanted = terrain if way.terrain == "own" else way.terrain
    if wanted in STAIRS:
        return nearest_stairs(bank.terrains, STAIRS[wanted])
    return next(name for name in bank.terrains if name.split("_")[0] == wanted)


def true_bank(factors: RobotFactors) -> ContextBank:
    """Return the truth about a robot and the terrains as a bank in memory, for mode "oracle"."""
    known = truth.robot_contexts(factors.as_array()[None])
    levels = {"flat": 0.0, "rough": 4.0, **{name: (rise - 0.03) / 0.02 for name, rise in STAIRS.items()}}
    ground = np.array([truth.terrain_context(name.split("_")[0], level) for name, level in levels.items()])
    units = tuple(FACTOR_UNITS[name] for name in FACTOR_NAMES)
    return ContextBank("truth", truth.DIGEST, tuple(levels), ground, known, known, FACTOR_NAMES, units, known[0])


def make_controller(job: Job, spec: RobotSpec, policy: OnnxPolicy) -> Controller:
    """Return the controller of a job, with its contexts.

    Raises:
        ContextError: if the robot's context is refused.
    """
    way, bank = job.way, None
    if policy.takes_contexts or way.banked:
        path = folder_of(job.models, way.learner) / "bank.safetensors"
        factors = CONDITIONS[job.condition]
        bank = true_bank(factors) if way.robot == "true" else load_bank(path, spec, policy.dynamics_digest)
    made = Controller(spec, policy, bank=bank, config=ControllerConfig(command_dt=COMMAND_DT))
    if bank is None:
        return made
    if way.banked:
        made.set_context(robot_context(way, bank, job.contexts, job.round))
    made.set_terrain(job.terrain if way.robot == "true" else context_name(bank, way, job.terrain))
    return made


def robot_context(way: Way, bank: ContextBank, found: dict[str, Any], number: int) -> RobotContext:
    """Return the robot's context and gains that a way takes from what calibrating gave, in a round of this number."""
    compensated = found["compensated"][way.learner] if way.gains == "compensated" else {}
    if way.robot == "adapted":
        values = np.array(compensated.get("context") or found["contexts"][way.learner][f"{way.seconds:g}"])
    elif way.robot == "stranger":
        values = bank.robot_contexts[STRIDE * (number + 1) % len(bank.robot_contexts)]
    else:
        values = bank.nominal_robot
    corrected = found["gains"][way.learner] if way.gains == "corrected" else (1.0, 1.0)
    return RobotContext(values, bank.dynamics_digest, gains=Gains.from_row(compensated.get("gains", corrected)))


def run_round(job: Job) -> list[dict[str, Any]]:
    """Return how the episodes of a round went; one without a context counts as failed, with the cause."""
    os.environ["OMP_NUM_THREADS"] = "1"
    spec = robots.load(job.robot)
    if job.way.calibrates and (cause := missing(job)):
        return [_failed(cause) for _ in range(EPISODES)]
    policy = OnnxPolicy.load(job.models / f"{job.way.mode}.onnx", spec, simulated=True)
    try:
        made = [make_controller(job, spec, policy) for _ in range(EPISODES)]
    except ValueError as refused:
        return [_failed(f"context refused: {refused}") for _ in range(EPISODES)]
    return [episode(job, spec, made[i], i) for i in range(EPISODES)]


def missing(job: Job) -> str:
    """Return why a job has no adapted context, "" if it has one."""
    way, found = job.way, job.contexts
    if way.gains == "compensated":
        made = found["compensated"][way.learner]
    else:
        made = found["fault"] or found["contexts"][way.learner][f"{way.seconds:g}"]
        made = found["gains"][way.learner] if way.gains == "corrected" and not isinstance(made, str) else made
    return f"calibration: {made}" if isinstance(made, str) else ""


def _failed(cause: str) -> dict[str, Any]:
    return {"success": False, "cause": cause, "seconds": 0.0, "error": None, "torque": None}


def episode(job: Job, spec: RobotSpec, made: Controller, number: int) -> dict[str, Any]:
    """Return how one episode went: `success`, `cause`, `seconds`, root mean square `error` (m/s) and `torque` (N m)."""
    seed = 100_000 * job.seed + 100 * job.round + number
    trial = course(job.terrain, seed)
    robot = FieldRobot(
        spec,
        CONDITIONS[job.condition],
        trial.boxes,
        seed=robot_seed(job.seed, job.round),
        noise_seed=seed,
        lying=False,
        heading=trial.heading,
        command_dt=COMMAND_DT,
    )
    errors: list[float] = []
    torques: list[float] = []
    walked, end, command = 0, "time is up", (0.0, 0.0, 0.0)

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        nonlocal walked, end, command
        if control.state in ("passive", "stand"):
            return Operator(event="stand_up" if control.state == "passive" else "walk")
        if control.fault or trial.reached(robot.position):
            end = control.fault or "reached the goal"
            return None
        if control.state != "walk":
            return Operator()
        walked += 1
        if walked % 4 == 1:  # at the policy's rate
            command = trial.velocity(state.quaternion)
            errors.append(float(np.square(robot.velocity - command[:2]).sum()))
            torques.append(float(np.square(robot.torque).mean()))
        return None if walked * COMMAND_DT > trial.time_limit else Operator(velocity=command)

    run(made, robot, operator)
    return {
        "success": end == "reached the goal",
        "cause": end,
        "seconds": round(walked * COMMAND_DT, 3),
        "error": round(float(np.sqrt(np.mean(errors))), 4) if errors else None,
        "torque": round(float(np.sqrt(np.mean(torques))), 3) if torques else None,
    }


# Cells on disk


@dataclass(frozen=True)
class Cell:
    """A cell, and the file that holds its rounds."""

    way: Way
    condition: str
    terrain: str

    def path(self, out: Path) -> Path:
        """Return the file of the cell."""
        plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in self.condition)
        return out / "cells" / f"{plain}__{self.terrain}__{self.way.name}.json"


def read_cell(cell: Cell, out: Path, origin: dict[str, Any]) -> dict[str, Any]:
    """Return what the cell's file holds, or an empty cell.

    Raises:
        ValueError: if the file was made with another policy, bank or seed.
    """
    path = cell.path(out)
    fresh = {"way": asdict(cell.way), "condition": cell.condition, "terrain": cell.terrain, "origin": origin}
    if not path.exists():
        return {**fresh, "rounds": {}}
    held = json.loads(path.read_text())
    if {key: held[key] for key in fresh} != fresh:
        raise ValueError(f"{path} holds episodes of other models or another seed: give another --out, or remove it")
    return held


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, path)


def parallel(function: Any, items: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    """Yield every item with `function` of it as it is done, in `workers` processes, or here with one."""
    if workers == 1 or len(items) == 1:
        yield from ((item, function(item)) for item in items)
        return
    with ProcessPoolExecutor(workers) as pool:
        pending = {pool.submit(function, item): item for item in items}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
