"""Robot contexts as the field finds them: a field robot's walk on flat ground, and what adapting on it gives."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import robots
from benchmarks.evaluation import CONDITIONS
from benchmarks.trials import COMMAND_DT, calibration_walk, compensated_walk
from calibration import find, quality
from calibration.adapt import adapt
from calibration.compensation import compensation
from calibration.errors import RefusedError
from calibration.model import DynamicsModel
from calibration.read import read
from calibration.resample import resample, samples
from deploy.calibration_motion import SECONDS
from deploy.context import load_bank
from deploy.gains import Gains
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
        wanted: for every learner, the folder of its dynamics model and bank, and the seconds to adapt on.
        compensated: for every learner whose context is to be found with corrected gains, its folder.
    """

    robot: str
    models: Path
    condition: str
    seed: int
    wanted: dict[str, tuple[Path, tuple[float, ...]]]
    compensated: dict[str, Path] = field(default_factory=dict)

    def make(self) -> FieldRobot:
        """Return the robot, lying."""
        return FieldRobot(robots.load(self.robot), CONDITIONS[self.condition], seed=self.seed, command_dt=COMMAND_DT)


def calibrate(job: Calibration) -> dict[str, Any]:
    """Return what a robot's calibration gives; a sentence stands where something was refused.

    `fault` is "" if the plain walk did not end early; by learner there are its `contexts` by seconds, the `readings` of
    the probes after the longest walk, the factors on the `gains` that make up for them (`Gains.row`), and what the
    `compensated` field routine gives: `gains` and `context`.
    """
    spec = robots.load(job.robot)
    found: dict[str, Any] = {"fault": "", "contexts": {}, "readings": {}, "gains": {}, "compensated": {}}
    for learner, models in job.compensated.items():
        found["compensated"][learner] = _compensated(job, spec, models)
    if job.wanted:
        _plain(job, spec, found)
    return found


def _compensated(job: Calibration, spec: RobotSpec, models: Path) -> dict[str, Any] | str:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            compensated_walk(job.make(), job.models, models, log)
            made = find(log, spec.name, models, command="evaluate").context
        except ValueError as refused:
            return str(refused).replace(folder, "")
    return {"gains": Gains(**made["gains"]).row(), "context": [round(value, 6) for value in made["robot_context"]]}


def _plain(job: Calibration, spec: RobotSpec, found: dict[str, Any]) -> None:
    longest = max(s for _, times in job.wanted.values() for s in times)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            calibration_walk(job.make(), job.models, log, walks=-(-int(longest) // int(SECONDS)))
            raw = read(log, spec.joint_names, None)
        except ValueError as fallen:
            found["fault"] = str(fallen)
            return
    ticks = resample(raw, spec)
    found["fault"] = quality.refusal(quality.judge(raw, ticks, spec)) or ""
    for learner, (models, times) in job.wanted.items() if not found["fault"] else ():
        found["contexts"][learner] = {f"{s:g}": _adapt(models, spec, ticks, s, found, learner) for s in sorted(times)}


def _adapt(models: Path, spec: RobotSpec, ticks: Any, seconds: float, found: dict[str, Any], learner: str) -> Any:
    model = DynamicsModel.load(models / "dynamics.onnx", spec)
    bank = load_bank(models / "bank.safetensors", spec, model.digest)
    used = samples(ticks, model.history).take(slice(0, round(seconds / spec.control_dt)))
    try:
        made = adapt(model, used, bank.terrain("flat"), bank.nominal_robot, spec.control_dt, splits=1)
    except RefusedError as refused:
        return str(refused)
    found["readings"][learner] = {r.name: round(r.value, 4) for r in made.readings if r.known}
    try:
        found["gains"][learner] = [round(factor, 4) for factor in compensation(made.readings).row()]
    except RefusedError as refused:
        found["gains"][learner] = str(refused)
    return [round(float(value), 6) for value in made.context]
