"""Runs an evaluation, round after round over all its cells, and sums up what their files hold."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluation import (
    EPISODES,
    Cell,
    Job,
    Way,
    folder_of,
    parallel,
    read_cell,
    robot_seed,
    run_round,
    write_json,
)
from benchmarks.evaluation_contexts import Calibration, calibrate
from deploy.controller import NOT_THERE
from reports.charts import wilson

REACHED, LATE = "reached the goal", "time is up"
NOT_STANDING = f"stand_up {NOT_THERE}"  # how it begins where the robot did not get up from its crouch
WITHOUT = ("calibration:", "context refused:")  # how the cause of an episode begins that had no context to walk with


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate.

    Attributes:
        robot: its name.
        models: folder with `calibration.onnx`, `<mode>.onnx`, banks and dynamics models, see `folder_of`.
        out: folder for cells and contexts.
        ways: to walk.
        conditions, terrains: by name.
        episodes: of every cell, rounded up to rounds.
        seed: of everything.
        workers: processes.
        commit: of the code, kept with every round that it makes.
    """

    robot: str
    models: Path
    out: Path
    ways: tuple[Way, ...]
    conditions: tuple[str, ...]
    terrains: tuple[str, ...]
    episodes: int
    seed: int
    workers: int
    commit: str = "unknown"

    @property
    def rounds(self) -> int:
        """How many there are."""
        return math.ceil(self.episodes / EPISODES)

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order of tables."""
        return [Cell(way, c, t) for c in self.conditions for t in self.terrains for way in self.ways]


def available(models: Path, ways: Sequence[Way]) -> tuple[list[Way], dict[str, str]]:
    """Return the ways whose files are there, and for the others what is missing.

    Raises:
        FileNotFoundError: if there is no way at all.
    """
    missing = {}
    for way in ways:
        wanted = [models / f"{way.mode}.onnx"]
        if way.banked:
            wanted.append(folder_of(models, way.mode) / "bank.safetensors")
        if way.calibrates:
            wanted += [models / "calibration.onnx", folder_of(models, way.mode) / "dynamics.onnx"]
        if absent := [path for path in wanted if not path.exists()]:
            missing[way.name] = str(absent[0])
    found = [way for way in ways if way.name not in missing]
    if not found:
        raise FileNotFoundError(f"no policy to evaluate in {models}: {next(iter(missing.values()))} is missing")
    return found, missing


def origin(setup: Evaluation, way: Way) -> dict[str, Any]:
    """Return what the episodes of a way depend on, besides the code: files by their SHA-256, and the seed."""
    files = {"policy": setup.models / f"{way.mode}.onnx"}
    if way.banked:
        files["bank"] = folder_of(setup.models, way.mode) / "bank.safetensors"
    if way.calibrates:
        files["dynamics"] = folder_of(setup.models, way.mode) / "dynamics.onnx"
        files["calibration"] = setup.models / "calibration.onnx"
    return {"robot": setup.robot, "seed": setup.seed, **{name: _digest(path) for name, path in files.items()}}


def context_origin(setup: Evaluation) -> dict[str, Any]:
    """Return what contexts depend on, besides the code: whose models' files, by learner, and the seed."""
    made = {"robot": setup.robot, "seed": setup.seed, "calibration": _digest(setup.models / "calibration.onnx")}
    for learner in sorted({way.learner for way in setup.ways if way.calibrates}):
        for name in ("dynamics.onnx", "bank.safetensors"):
            made[f"{learner} {name}"] = _digest(folder_of(setup.models, learner) / name)
    return made


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def run(setup: Evaluation) -> Iterator[tuple[int, int, str]]:
    """Run what is missing; yield (rounds of cells done, in all, what was done last)."""
    os.environ["OMP_NUM_THREADS"] = "1"
    origins = {way: origin(setup, way) for way in setup.ways}
    held = {cell: read_cell(cell, setup.out, origins[cell.way]) for cell in setup.cells}
    total = len(held) * setup.rounds
    done = sum(str(number) in content["rounds"] for content in held.values() for number in range(setup.rounds))
    yield done, total, "begin"
    for number in range(setup.rounds):
        missing = [cell for cell, content in held.items() if str(number) not in content["rounds"]]
        contexts = yield from _contexts(setup, number, missing, done, total)
        jobs = [
            Job(setup.robot, setup.models, c.way, c.condition, c.terrain, number, setup.seed, contexts.get(c, {}))
            for c in missing
        ]
        for job, episodes in parallel(run_round, jobs, setup.workers):
            cell = Cell(job.way, job.condition, job.terrain)
            held[cell]["rounds"][str(number)] = episodes
            held[cell].setdefault("commits", {})[str(number)] = setup.commit
            write_json(cell.path(setup.out), held[cell])
            done += 1
            won = sum(episode["success"] for episode in episodes)
            yield done, total, f"{job.way.name}, {job.condition}, {job.terrain}: {won} of {EPISODES}"


def _contexts(
    setup: Evaluation, number: int, cells: list[Cell], done: int, total: int
) -> Iterator[tuple[int, int, str]]:
    """Walk and adapt to the robots of a round whose contexts are asked for; return by cell what was found."""
    asked = {cell: cell.condition for cell in cells if cell.way.calibrates}
    ways = {cell.way for cell in asked}
    plain = [way for way in setup.ways if way.calibrates and way.gains != "compensated"]
    times = {way.learner: sorted({w.seconds for w in plain if w.learner == way.learner}) for way in plain}
    learners = sorted({way.learner for way in ways if way.gains != "compensated"})
    wanted = {learner: (folder_of(setup.models, learner), tuple(times[learner])) for learner in learners}
    learners = sorted({way.learner for way in ways if way.gains == "compensated"})
    compensated = {learner: folder_of(setup.models, learner) for learner in learners}
    kept, jobs = {}, []
    made_with = context_origin(setup) if asked else {}
    for condition in dict.fromkeys(asked.values()):
        kept[condition] = _read_contexts(context_path(setup, condition, number), made_with)
        walk, correct = _not_there(kept[condition], wanted, compensated)
        if walk or correct:
            jobs.append(
                Calibration(setup.robot, setup.models, condition, robot_seed(setup.seed, number), walk, correct)
            )
    for job, made in parallel(calibrate, jobs, setup.workers):
        condition = job.condition
        kept[condition] = {"origin": kept[condition]["origin"], **_merged(kept[condition], made, bool(job.wanted))}
        write_json(context_path(setup, condition, number), kept[condition])
        yield done, total, f"calibrated: {condition}, robot {number}{': ' + made['fault'] if made['fault'] else ''}"
    return {cell: kept[condition] for cell, condition in asked.items()}


def _read_contexts(path: Path, origin: dict[str, Any]) -> dict[str, Any]:
    """Return what calibrating a robot gave so far, nothing if it was not calibrated; `origin` is added to.

    Raises:
        ValueError: if the file was made with another calibration policy, dynamics model, bank or seed.
    """
    held = json.loads(path.read_text()) if path.exists() else {"origin": {}}
    before = held.get("origin")
    if before is None or any(before.get(name, value) != value for name, value in origin.items()):
        raise ValueError(f"{path} holds contexts of other models or another seed: give another --out, or remove it")
    return {**held, "origin": {**before, **origin}}


Wanted = dict[str, tuple[Path, tuple[float, ...]]]


def _not_there(kept: dict[str, Any], wanted: Wanted, compensated: dict[str, Path]) -> tuple[Wanted, dict[str, Path]]:
    """Return what of the plain walk and of the compensated ones is still to be walked."""
    there = kept.get("contexts", {})
    times = ((learner, f"{s:g}") for learner, (_, times) in wanted.items() for s in times)
    walked = "gains" in kept and (kept["fault"] or all(s in there.get(learner, {}) for learner, s in times))
    correct = {learner: folder for learner, folder in compensated.items() if learner not in kept.get("compensated", {})}
    return {} if walked else wanted, correct


def _merged(kept: dict[str, Any], made: dict[str, Any], walked: bool) -> dict[str, Any]:
    """Return what was found now and before; the plain walk is told of by the last one that there was."""
    parts = {name: {**kept.get(name, {}), **made[name]} for name in ("contexts", "readings", "gains", "compensated")}
    return {"fault": made["fault"] if walked else kept.get("fault", ""), **parts}


def context_path(setup: Evaluation, condition: str, number: int) -> Path:
    """Return the file of what calibrating gave, for a condition and a round."""
    plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in condition)
    return setup.out / "contexts" / plain / f"{number:03d}.json"


def rows(setup: Evaluation) -> list[dict[str, Any]]:
    """Return one row for every cell that has episodes."""
    made = []
    for cell in setup.cells:
        held = read_cell(cell, setup.out, origin(setup, cell.way))
        numbers = sorted((n for n in held["rounds"] if int(n) < setup.rounds), key=int)
        if numbers:
            made.append(_row(setup, cell, [episode for n in numbers for episode in held["rounds"][n]]))
    return made


def commits(setup: Evaluation) -> list[str]:
    """Return the commits whose code made the cells; "unknown" stands for rounds that were not told theirs."""
    made = set()
    for cell in setup.cells:
        held = read_cell(cell, setup.out, origin(setup, cell.way))
        numbers = [number for number in held["rounds"] if int(number) < setup.rounds]
        made |= {held.get("commits", {}).get(number, "unknown") for number in numbers}
    return sorted(made)


def _row(setup: Evaluation, cell: Cell, episodes: list[dict[str, Any]]) -> dict[str, Any]:
    walked = [e for e in episodes if not e["cause"].startswith(WITHOUT)]
    won, minutes = sum(e["success"] for e in episodes), sum(e["seconds"] for e in walked) / 60.0
    falls = sum(e["cause"] not in (REACHED, LATE) and not e["cause"].startswith(NOT_STANDING) for e in walked)
    low, high = wilson(won, len(episodes))

    def mean(name: str) -> float | None:
        values = [e[name] for e in walked if e[name] is not None]
        return float(np.mean(values)) if values else None

    return {
        "robot": setup.robot,
        "mode": cell.way.name,
        "condition": cell.condition,
        "terrain": cell.terrain,
        "successes": won,
        "episodes": len(episodes),
        "low": low,
        "high": high,
        "uncalibrated": len(episodes) - len(walked),
        "not_standing": sum(e["cause"].startswith(NOT_STANDING) for e in episodes),
        "tracking_error": mean("error"),
        "falls_per_minute": falls / minutes if minutes else None,
        "torque": mean("torque"),
        "seed": setup.seed,
    }


def readings(setup: Evaluation) -> list[dict[str, Any]]:
    """Return, by condition and mode, how often calibrating failed and what the probes read, a list of each value."""
    made = []
    for condition in setup.conditions:
        paths = [context_path(setup, condition, number) for number in range(setup.rounds)]
        kept = [json.loads(path.read_text()) for path in paths if path.exists()]
        kept = [one for one in kept if one["fault"] or one["contexts"]]  # of which there was a plain walk
        for mode in sorted({mode for one in kept for mode in one["readings"]}):
            values = [one["readings"][mode] for one in kept if mode in one["readings"]]
            names = sorted({name for one in values for name in one})
            made.append(
                {
                    "condition": condition,
                    "mode": mode,
                    "walks": len(kept),
                    "failed": len(kept) - len(values),
                    "read": {name: [one[name] for one in values if name in one] for name in names},
                }
            )
    return made


def verify(setup: Evaluation, count: int) -> Iterator[dict[str, Any]]:
    """Run `count` cells again with another seed, as many episodes as they have; yield both with whether they agree.

    They agree if their 95 % intervals overlap.
    """
    first = rows(setup)
    chosen = [first[i] for i in np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)]
    for row in chosen:
        way = next(way for way in setup.ways if way.name == row["mode"])
        again = replace(
            setup,
            out=setup.out / "verify",
            ways=(way,),
            conditions=(row["condition"],),
            terrains=(row["terrain"],),
            episodes=row["episodes"],
            seed=setup.seed + 1,
        )
        for _ in run(again):
            pass
        second = rows(again)[0]
        agrees = row["low"] <= second["high"] and second["low"] <= row["high"]
        yield {"first": row, "second": second, "agrees": agrees}
