"""System identification and adaptation side by side: the same walks, what is read from them, and who climbs with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.field_trials import Walk
from benchmarks.motion_bench import LEGS, load, truth
from benchmarks.trials import Mode, TrialJob, nearest_stairs
from calibration.adapt import adapt
from calibration.live import motion_of
from calibration.read import read
from calibration.resample import Ticks, resample, samples
from calibration.torques import read_torques
from deploy.odometry import LegOdometry
from robots.spec import RobotSpec
from sim.factors import RobotFactors
from sim.sysid import Identified, Record, identify
from sim.trial import StairsTrial
from sim.truth import from_factors

WAYS = ("DMCM", "sysid", "true factors", "nominal")


@dataclass(frozen=True)
class Compared:
    """What one walk gave.

    Attributes:
        walk: which.
        identified: what MuJoCo's system identification found.
        contexts: the robot context of each way, (n,).
        readings: of DMCM's probes and of the torques, by way and name.
        seconds: that each way took, s.
    """

    walk: Walk
    identified: Identified
    contexts: dict[str, np.ndarray]
    readings: dict[str, dict[str, float]]
    seconds: dict[str, float]


def record(ticks: Ticks, spec: RobotSpec) -> Record:
    """Return a walk as system identification takes it; the heading is left at zero."""
    odometry, finite = LegOdometry(spec, spec.control_dt), np.isfinite(ticks.frames).all(axis=1)
    velocity, quaternion = np.zeros((len(finite), 3)), np.tile([1.0, 0.0, 0.0, 0.0], (len(finite), 1))
    for i in np.flatnonzero(finite):
        motion = motion_of(ticks.frames[i], spec)
        velocity[i], quaternion[i] = odometry.update(motion), motion.quaternion
    frames, default = ticks.frames, spec.default_position
    return Record(
        quaternion=quaternion,
        angular_velocity=frames[:, 0:3],
        velocity=velocity,
        position=frames[:, 6:18] + default,
        rate=frames[:, 18:30],
        torque=ticks.effort,
        target=default + spec.action_scale * frames[:, 30:42],
        usable=ticks.usable,
    )


def factors_found(found: Identified) -> RobotFactors:
    """Return system identification's result as robot factors: the strongest leg is taken for healthy."""
    kp, legs = float(found.legs.max()), found.legs / found.legs.max()
    return RobotFactors(
        payload=found.payload,
        kp_scale=kp,
        kd_scale=found.damping / float(legs.mean()),
        joint_friction=found.friction,
        latency=found.latency,
        **{name: float(value) for name, value in zip(LEGS, legs, strict=True)},
    )


def compare(job: tuple[Walk, str, Path]) -> Compared:
    """Adapt, identify and read the torques of one walk."""
    import time

    walk, robot, models = job
    spec, model, bank = load(robot, models)
    ticks = resample(read(walk.log, spec.joint_names), spec)
    began = time.perf_counter()
    adapted = adapt(model, samples(ticks, model.history), bank.terrain("flat"), bank.nominal_robot, spec.control_dt)
    between = time.perf_counter()
    torques = {r.name: r.value for r in read_torques(ticks, spec)}
    until = time.perf_counter()
    identified = identify(record(ticks, spec), spec)
    to_context = from_factors(bank.robot_factors, bank.robot_contexts)

    def context(factors: RobotFactors) -> np.ndarray:
        return to_context(np.array([[getattr(factors, name) for name in bank.factor_names]]))[0]

    return Compared(
        walk,
        identified,
        {
            "DMCM": adapted.context,
            "sysid": context(factors_found(identified)),
            "true factors": context(walk.factors),
            "nominal": bank.nominal_robot,
        },
        {
            "DMCM": {r.name: r.value for r in adapted.readings},
            "torques": torques,
            "sysid": {
                "payload": identified.payload,
                "kp_strength": float(identified.legs.mean()),
                "kd_strength": identified.damping,
            },
        },
        {"DMCM": between - began, "torques": until - between, "sysid": identified.seconds},
    )


def accuracy(compared: list[Compared]) -> dict[str, dict[str, float]]:
    """Return the median errors and seconds of each way: payload in kg, gains as shares."""
    figures: dict[str, dict[str, float]] = {}
    for way in ("DMCM", "torques", "sysid"):
        rows = []
        for one in compared:
            true, found = truth(one.walk.factors), one.readings[way]
            gains = [abs(found[k] / true[k] - 1) if k in found else np.nan for k in ("kp_strength", "kd_strength")]
            rows.append([abs(found["payload"] - true["payload"]), *gains, one.seconds[way]])
        figures[way] = dict(zip(("payload", "kp", "kd", "seconds"), np.median(rows, axis=0).tolist(), strict=True))
    return figures


def climbs(
    compared: list[Compared], robot: str, models: Path, rise: float, steps: int, trials: int, folder: Path
) -> list[TrialJob]:
    """Return the trials: each robot climbs with each way's context in the same policy."""
    spec, model, bank = load(robot, models)
    terrain, jobs = nearest_stairs(bank.terrains, rise), []
    for one in compared:
        for way, values in one.contexts.items():
            path = folder / f"context-{one.walk.seed}-{way.replace(' ', '_')}.json"
            origin = {"robot": spec.name, "robot_digest": spec.digest(), "dynamics_digest": model.digest}
            content = {"schema": 1, "kind": "context", **origin, "terrain": "flat", "robot_context": values.tolist()}
            path.write_text(json.dumps(content))
            for i in range(trials):
                trial = StairsTrial.drawn(rise, steps, one.walk.seed + i)
                mode, noise = Mode(way, "multi.onnx", path), one.walk.seed + 1 + i
                jobs.append(TrialJob(robot, models, mode, terrain, one.walk.factors, trial, one.walk.seed, noise))
    return jobs
