"""What a motion tells of a robot: walks of field robots adapted on, against the truth that the simulation knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import robots
from benchmarks.field_trials import Walk
from calibration import adapt as adaptation
from calibration import quality
from calibration.adapt import Adaptation
from calibration.compensation import of_the_motors
from calibration.errors import RefusedError
from calibration.model import DynamicsModel
from calibration.read import read
from calibration.report import weak_leg
from calibration.resample import resample, samples
from calibration.torques import Direct, read_torques
from deploy.context import ContextBank, load_bank
from robots.spec import RobotSpec
from sim.factors import RobotFactors

WEAK = 0.93  # of the strongest leg: what the report calls weak
LEGS = ("weak_leg_fl", "weak_leg_fr", "weak_leg_rl", "weak_leg_rr")
GAIN_ERROR, NOISE = 0.03, 0.3  # of a rough torque sensor: std of each joint's scale; N m
AREA = 1.5  # m from the start: half of the 3 m that the routine asks for


@dataclass(frozen=True)
class Found:
    """What one walk gave.

    Attributes:
        walk: which.
        problem: why it gave nothing, "" if it did.
        adaptation: the context and what is read from it, None after a problem.
        torques: what is read from the torques.
        rough: the same, from a sensor that is 3 % off in each joint and noisy (0.3 N m).
    """

    walk: Walk
    problem: str
    adaptation: Adaptation | None = None
    torques: tuple[Direct, ...] = ()
    rough: tuple[Direct, ...] = ()


@lru_cache(maxsize=1)
def load(robot: str, models: Path) -> tuple[RobotSpec, DynamicsModel, ContextBank]:
    """Return the robot, its dynamics model and its bank, once a process."""
    spec = robots.load(robot)
    return spec, DynamicsModel.load(models / "dynamics.onnx", spec), load_bank(models / "bank.safetensors", spec)


def examine(job: tuple[Walk, str, Path]) -> Found:
    """Adapt on a walk and read its torques."""
    walk, robot, models = job
    spec, model, bank = load(robot, models)
    if walk.fault:
        return Found(walk, f"fell: {walk.fault}")
    raw = read(walk.log, spec.joint_names)
    ticks = resample(raw, spec)
    refused = quality.refusal(quality.judge(raw, ticks, spec))
    if refused is not None:
        return Found(walk, refused)
    flat, dt = bank.terrain("flat"), spec.control_dt
    try:
        found = adaptation.adapt(model, samples(ticks, model.history), flat, bank.nominal_robot, dt, splits=1)
    except RefusedError as problem:
        return Found(walk, str(problem))
    rng = np.random.default_rng(walk.seed)
    off = ticks.effort * (1 + GAIN_ERROR * rng.standard_normal(12)) + NOISE * rng.standard_normal(ticks.effort.shape)
    found = replace(found, readings=of_the_motors(found.readings, ticks.gains))
    exact, rough = read_torques(ticks, spec), read_torques(replace(ticks, effort=off), spec)
    return Found(walk, "", found, *(of_the_motors(direct, ticks.gains) for direct in (exact, rough)))


def truth(factors: RobotFactors) -> dict[str, float]:
    """Return what there is to read, by the readings' names."""
    legs = np.array([getattr(factors, name) for name in LEGS])
    return {
        "payload": factors.payload,
        "kp_strength": factors.kp_scale * legs.mean(),
        "kd_strength": factors.kd_scale * legs.mean(),
        "weakest": legs.min(),
        "leg": int(np.argmin(legs)) if legs.min() < WEAK else -1,
    }


def errors(found: Found) -> dict[str, float]:
    """Return how far off the readings of a walk are: payload in kg, gains as shares, the rest as it is called."""
    assert found.adaptation is not None
    true = truth(found.walk.factors)
    probe = {r.name: r.value for r in found.adaptation.readings}
    direct, rough = ({r.name: r.value for r in readings} for readings in (found.torques, found.rough))
    legs = np.array([direct[f"leg_{name[-2:]}"] for name in LEGS])
    named = int(np.argmin(legs)) if weak_leg([vars(r) for r in found.torques]) != "equally strong" else -1
    return {
        "payload": abs(probe["payload"] - true["payload"]),
        "kp": abs(probe["kp_strength"] / true["kp_strength"] - 1),
        "kd": abs(probe["kd_strength"] / true["kd_strength"] - 1),
        "payload_torques": abs(direct["payload"] - true["payload"]),
        "payload_rough": abs(rough["payload"] - true["payload"]),
        "kp_torques": abs(direct["kp_strength"] / true["kp_strength"] - 1),
        "weakest_torques": abs(legs.min() - true["weakest"]),
        "leg_right": float(named == true["leg"]),
        "held_out": found.adaptation.after,
        "held_out_nominal": found.adaptation.before,
    }


def summary(found: Sequence[Found]) -> dict[str, Any]:
    """Return the figures of one motion over its robots: counts, medians of errors, the mean where it is a share."""
    good = [errors(f) for f in found if f.adaptation is not None]
    away = [f.walk.away for f in found if not f.walk.fault]
    figures: dict[str, Any] = {
        "robots": len(found),
        "fell": sum(f.problem.startswith("fell") for f in found),
        "refused": sum(bool(f.problem) and not f.problem.startswith("fell") for f in found),
        "left_area": sum(a > AREA for a in away),
        "away_median": np.median(away) if away else np.nan,
    }
    for name in good[0] if good else ():
        values = [row[name] for row in good]
        figures[name] = float(np.mean(values) if name == "leg_right" else np.median(values))
    return figures


def score(figures: Mapping[str, Any], by: Mapping[str, Any]) -> float:
    """Return how a motion compares with another one: the mean of the errors' ratios, falls and exits counted in full.

    A robot without a context counts as one whose errors are twice the other motion's median.
    """
    names = ("payload", "kp", "kd", "payload_torques", "kp_torques", "held_out")
    if "payload" not in figures:
        return np.inf
    ratio = float(np.mean([figures[name] / by[name] for name in names]))
    lost = (figures["fell"] + figures["refused"] + figures["left_area"]) / figures["robots"]
    return (1 - lost) * ratio + lost * 2.0
