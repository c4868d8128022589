"""How a policy follows velocity commands in every direction, on the simulated field robot, each from standing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import robots
from benchmarks.trials import COMMAND_DT, calibration_walk, controller
from calibration import run as adapt
from deploy.context import RobotContext, load_context
from deploy.controller import Controller
from deploy.driver import Operator, StateLike
from deploy.loop import run
from deploy.policy import OnnxPolicy
from deploy.script import Script, parse
from reports.charts import wilson
from sim.factors import RANGES, RobotFactors
from sim.field import FieldRobot

# Forward m/s, left m/s, turning left rad/s: within what training commands on flat ground (`sim.config.CommandConfig`).
COMMANDS = {
    "slowly ahead": (0.3, 0.0, 0.0),
    "ahead": (0.8, 0.0, 0.0),
    "slowly back": (-0.3, 0.0, 0.0),
    "back": (-0.6, 0.0, 0.0),
    "left": (0.0, 0.4, 0.0),
    "right": (0.0, -0.4, 0.0),
    "turning left": (0.0, 0.0, 1.0),
    "turning right": (0.0, 0.0, -1.0),
    "ahead and left": (0.4, 0.3, 0.0),
    "back and right": (-0.4, -0.3, 0.0),
    "a curve to the left": (0.5, 0.0, 0.8),
    "standing": (0.0, 0.0, 0.0),
}
SECONDS, SETTLED = 4.0, 1.0  # s of each command, and from when on it counts
GOES = 0.5  # share of a command from which a robot is said to follow it


@dataclass(frozen=True)
class Walk:
    """A field robot to walk, in a process of its own, on flat ground.

    Attributes:
        robot: its name.
        models: folder with policies, bank and dynamics model.
        policy: file of the policy that walks.
        factors: of the robot.
        seed: of its masses, sensors and noise.
        adapted: whether the policy is told the context that 20 s on flat ground give, as in the field, or the nominal
            robot's.
    """

    robot: str
    models: Path
    policy: str
    factors: RobotFactors
    seed: int
    adapted: bool = False

    @property
    def name(self) -> str:
        """Return what the table calls the policy."""
        return Path(self.policy).stem + (", adapted" if self.adapted else "")

    def make(self) -> FieldRobot:
        """Return the robot, lying."""
        return FieldRobot(robots.load(self.robot), self.factors, seed=self.seed, command_dt=COMMAND_DT)


def walks(robot: str, models: Path, policies: Iterable[str], count: int, seed: int) -> list[Walk]:
    """Return a nominal robot and `count` of the wide ranges for every policy; one on contexts adapted too.

    Raises:
        FileNotFoundError, ValueError: if a policy is missing, damaged, or of another robot.
    """
    drawn = RANGES["wide"].sample(np.random.default_rng(seed), count)
    conditions = [RobotFactors(), *(RobotFactors.from_array(row) for row in drawn)]
    spec = robots.load(robot)
    return [
        Walk(robot, models, name, one, seed + i, adapted)
        for name in policies
        for adapted in ((False, True) if OnnxPolicy.load(models / name, spec).takes_contexts else (False,))
        for i, one in enumerate(conditions)
    ]


def follow(walk: Walk) -> list[dict[str, Any]]:
    """Return a row for each command, up to a fault: `policy`, `seed`, `command`, `asked` and `done` (3,), `fault`."""
    try:
        context = _found(walk) if walk.adapted else None
    except ValueError as lost:
        return [_row(walk, next(iter(COMMANDS)), np.zeros(0), str(lost))]
    robot, made = walk.make(), controller(walk.robot, walk.models, walk.policy, context, "flat")
    rows = []
    for command, asked in COMMANDS.items():
        rows.append(_row(walk, command, _done(made, robot, asked), made.fault))
        if made.fault:
            break
    return rows


def _found(walk: Walk) -> RobotContext:
    """Return the robot's context as the field finds it; raise ValueError if the robot falls, or its walk is refused."""
    with tempfile.TemporaryDirectory() as folder:
        log, context = Path(folder) / "log", Path(folder) / "context.json"
        calibration_walk(walk.make(), walk.models, log)
        adapt(log, walk.robot, context, walk.models, command="bench commands", seed=walk.seed)
        return load_context(context, robots.load(walk.robot))


def _row(walk: Walk, command: str, done: np.ndarray, fault: str) -> dict[str, Any]:
    return {
        "policy": walk.name,
        "seed": walk.seed,
        "command": command,
        "asked": list(COMMANDS[command]),
        "done": np.round(done, 4).tolist() if len(done) else None,
        "fault": fault,
    }


def _done(made: Controller, robot: FieldRobot, asked: Sequence[float]) -> np.ndarray:
    """Return the mean velocity under a command: ahead m/s, left m/s, turning left rad/s, (3,); (0,) after a fault."""
    begin = "stand_up" if made.state == "passive" else "stand"
    numbers = " ".join(f"{value:g}" for value in asked)
    script = Script(parse(f"{begin} for 0.5; walk {numbers} for {SECONDS:g}; stand for 0.5"), COMMAND_DT)
    seen: list[np.ndarray] = []

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        if control.state == "walk":
            seen.append(np.append(robot.velocity, robot.data.qvel[5]))
        return script(control, state)

    run(made, robot, operator)
    settled = seen[round(SETTLED / COMMAND_DT) : round(SECONDS / COMMAND_DT)]
    return np.zeros(0) if made.fault or not settled else np.mean(settled, axis=0)


def follow_all(jobs: Sequence[Walk], workers: int) -> list[dict[str, Any]]:
    """Return the rows of all walks, in order."""
    with ProcessPoolExecutor(workers) as pool:
        return [row for rows in pool.map(follow, jobs) for row in rows]


def share(row: dict[str, Any]) -> float:
    """Return what part of a command a robot did: its velocity along the command, over the command; 1 is all of it."""
    asked = np.array(row["asked"])
    if row["done"] is None or not asked.any():
        return 0.0
    return float(np.dot(row["done"], asked) / np.dot(asked, asked))


def markdown(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench commands`: for every command and policy the mean velocity, and who went."""
    rows = figures["rows"]
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    lines = [
        f"A nominal robot and {figures['robots']} of the wide ranges, each command for {SECONDS:g} s from standing; "
        "mean velocity ahead, to the left (m/s) and turning left (rad/s), and how many did half of it or more:",
        "",
        "| command | " + " | ".join(policies) + " |",
        "|---|" + "---|" * len(policies),
    ]
    for command, asked in COMMANDS.items():
        found = ([row for row in rows if (row["policy"], row["command"]) == (name, command)] for name in policies)
        cells = [_cell(some, figures["robots"] + 1) for some in found]
        lines.append(f"| {command} ({_numbers(asked)}) | " + " | ".join(cells) + " |")
    fallen = {name: sum(bool(row["fault"]) for row in rows if row["policy"] == name) for name in policies}
    lines += ["", "Faults: " + ", ".join(f"{name} {count}" for name, count in fallen.items()) + "."]
    return "\n".join(lines)


def fallen(several: Sequence[dict[str, Any]]) -> str:
    """Return a table of `dmcm bench commands` with one or several training seeds: how many robots fell, by policy."""
    policies = list(dict.fromkeys(row["policy"] for figures in several for row in figures["rows"]))
    robots_each = [figures["robots"] + 1 for figures in several]
    seeds = [f"training seed {seed}" for seed in range(len(several))] if len(several) > 1 else ["fell"]
    head = ["", *seeds, "percent"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in policies:
        lost = [sum(bool(r["fault"]) for r in f["rows"] if r["policy"] == name) for f in several]
        low, high = wilson(sum(lost), sum(robots_each))
        cells = [f"{one} of {each}" for one, each in zip(lost, robots_each, strict=True)]
        percent = f"{100 * sum(lost) / sum(robots_each):.0f} ({100 * low:.0f}–{100 * high:.0f})"
        lines.append(f"| {name} | " + " | ".join([*cells, percent]) + " |")
    return "\n".join(lines)


def _cell(rows: list[dict[str, Any]], count: int) -> str:
    whole = [row for row in rows if row["done"] is not None]
    if not whole:
        return "—"
    mean = _numbers(np.mean([row["done"] for row in whole], axis=0))
    went = sum(share(row) >= GOES for row in whole)
    return f"{mean}; {went} of {count}" if any(whole[0]["asked"]) else mean


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{round(value, 2) + 0.0:g}" for value in values)
