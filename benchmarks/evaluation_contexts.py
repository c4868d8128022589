"""Robot contexts as the field finds them: a field robot's 20 s on flat ground, and what adapting on them gives."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import robots
from benchmarks.evaluation import CONDITIONS
from benchmarks.trials import COMMAND_DT, calibration_walk
from calibration import quality
from calibration.adapt import adapt
from calibration.errors import RefusedError
from calibration.model import DynamicsModel
from calibration.read import read
from calibration.resample import resample, samples
from deploy.calibration_motion import SECONDS
from deploy.context import load_bank
from robots.spec import RobotSpec
from sim.field import FieldRobot


@dataclass(frozen=True)
class Calibration:
    """A field robot to walk and to adapt to, in a process of its own.

    Attributes:
        robot: its name.
        models: folder with `calibration.onnx`.
        condition: of the robot, by name.
        seed: of the field robot.
        wanted: for every mode, the folder of its dynamics model and bank, and the seconds to adapt on.
    """

    robot: str
    models: Path
    condition: str
    seed: int
    wanted: dict[str, tuple[Path, tuple[float, ...]]]


def calibrate(job: Calibration) -> dict[str, Any]:
    """Return `fault` ("" if the walk did not end early), and by mode and seconds the `contexts`, or why there is none.

    `readings` are the values that the probes of each mode read after the longest walk.
    """
    spec, longest = robots.load(job.robot), max((s for _, times in job.wanted.values() for s in times), default=0.0)
    found: dict[str, Any] = {"fault": "", "contexts": {}, "readings": {}}
    robot = FieldRobot(spec, CONDITIONS[job.condition], seed=job.seed, command_dt=COMMAND_DT)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            calibration_walk(robot, job.models, log, walks=-(-int(longest) // int(SECONDS)))
            raw = read(log, spec.joint_names, None)
        except ValueError as fallen:
            return {**found, "fault": str(fallen)}
        ticks = resample(raw, spec)
        if refusal := quality.refusal(quality.judge(raw, ticks, spec)):
            return {**found, "fault": refusal}
        for mode, (models, times) in job.wanted.items():
            found["contexts"][mode] = {f"{s:g}": _adapt(models, spec, ticks, s, found, mode) for s in sorted(times)}
    return found


def _adapt(models: Path, spec: RobotSpec, ticks: Any, seconds: float, found: dict[str, Any], mode: str) -> Any:
    model = DynamicsModel.load(models / "dynamics.onnx", spec)
    bank = load_bank(models / "bank.safetensors", spec, model.digest)
    used = samples(ticks, model.history).take(slice(0, round(seconds / spec.control_dt)))
    try:
        made = adapt(model, used, bank.terrain("flat"), bank.nominal_robot, spec.control_dt, splits=1)
    except RefusedError as refused:
        return str(refused)
    found["readings"][mode] = {r.name: round(r.value, 4) for r in made.readings if r.known}
    return [round(float(value), 6) for value in made.context]
