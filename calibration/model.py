"""The dynamics model in ONNX: the loss of a robot context on a log, and its gradient."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.resample import Samples
from deploy.fields import ArtifactError, Fields, read_bytes
from robots.frame import FRAME, FRAME_SIZE, STATE_SIZE
from robots.seal import intact
from robots.spec import RobotSpec

SCHEMA = 1
METADATA_KEY = "dmcm"
TOLERANCE = 1e-3  # relative, when the reference is replayed: other processors round differently


class ModelError(ArtifactError):
    """A dynamics model that must not be used, and why."""


@dataclass(frozen=True)
class Probe:
    """A linear reading of the robot context.

    Attributes:
        name, unit: of what is read.
        weights: (n,); the reading is weights . context + bias.
        bias: in the unit.
        r2: share of the variance explained on robots that the probe was not fitted to.
        median_error: of the reading on those robots, in the unit.
    """

    name: str
    unit: str
    weights: np.ndarray
    bias: float
    r2: float
    median_error: float

    def read(self, context: np.ndarray) -> np.ndarray:
        """Return the reading of contexts (..., n), in the unit, (...)."""
        return context @ self.weights + self.bias


class DynamicsModel:
    """A checked dynamics model, ready to adapt with.

    Attributes:
        path: the file.
        digest: of the weights; contexts mean something only with the model that has it.
        history: frames that the model sees.
        rate: step size of every entry of the robot context, (n,).
        steps: gradient steps, from zero.
        robot_size, terrain_size: of the contexts.
        probes: what can be read from a robot context.
    """

    def __init__(self, path: Path, content: bytes, spec: RobotSpec) -> None:
        self.path = path
        if intact(content) is False:
            raise ModelError(f"{path}: the file is damaged (its checksum does not match); copy or export it again")
        self._session = _session(path, content)
        fields = _metadata(path, self._session)
        _check_robot(fields, spec)
        self.digest = fields.text("digest")
        self.history = fields.integer("history")
        self.steps = fields.integer("inner_steps")
        if self.history < 1 or self.steps < 1:
            raise ModelError(f"{path}: fields 'history' and 'inner_steps' must be at least 1")
        self.robot_size, self.terrain_size = fields.integer("context.robot"), fields.integer("context.terrain")
        rate = fields.get("inner_rate.robot")
        self.rate = fields.array("inner_rate.robot", (self.robot_size,) if isinstance(rate, list) else ())
        self.probes = _probes(fields, self.robot_size)
        self._replay(fields)

    @classmethod
    def load(cls, path: str | Path, spec: RobotSpec) -> DynamicsModel:
        """Return the model in the file, checked against the robot and replayed on its reference.

        Raises:
            FileNotFoundError: if there is no such file.
            ModelError: if it is not a dynamics model, is damaged, belongs to another robot, or does not reproduce its
                reference.
        """
        path = Path(path)
        return cls(path, read_bytes(path, "dynamics model"), spec)

    def loss_and_gradient(self, samples: Samples, robot: np.ndarray, terrain: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean loss over the samples and its gradient with respect to the robot context, (n,)."""
        loss, gradient = self._run(["loss", "gradient_robot"], samples, robot, terrain)
        return float(loss), gradient.astype(float)

    def error(self, samples: Samples, robot: np.ndarray, terrain: np.ndarray) -> np.ndarray:
        """Return every sample's squared error in units of the target's variance, (n,)."""
        return self._run(["error"], samples, robot, terrain)[0].astype(float)

    def _run(self, outputs: list[str], samples: Samples, robot: np.ndarray, terrain: np.ndarray) -> list[Any]:
        return self._session.run(
            outputs,
            {
                "frames": samples.frames,
                "targets": samples.targets,
                "mask": np.ones(len(samples), np.float32),
                "robot_context": np.asarray(robot, np.float32),
                "terrain_context": np.asarray(terrain, np.float32),
            },
        )

    def _replay(self, fields: Fields) -> None:
        shapes = {
            "frames": (None, self.history * FRAME_SIZE),
            "targets": (None, STATE_SIZE),
            "mask": (None,),
            "robot_context": (self.robot_size,),
            "terrain_context": (self.terrain_size,),
        }
        feed = {k: fields.array(f"reference.{k}", shape).astype(np.float32) for k, shape in shapes.items()}
        try:
            loss, gradient = self._session.run(["loss", "gradient_robot"], feed)
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise ModelError(f"{self.path}: the model does not run on its reference; export it again") from error
        wanted = fields.number("reference.loss"), fields.array("reference.gradient_robot", (self.robot_size,))
        scale = TOLERANCE * (1e-6 + np.abs(wanted[1]).max())
        same = abs(float(loss) - wanted[0]) <= TOLERANCE * (1e-6 + abs(wanted[0]))
        if not same or not (np.abs(gradient - wanted[1]) <= scale).all():
            raise ModelError(f"{self.path}: the model does not reproduce its reference; copy or export it again")


def _session(path: Path, content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        raise ModelError(f"{path}: not an ONNX model, or damaged; copy or export it again") from error


def _metadata(path: Path, session: Any) -> Fields:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(f"{path}: not a dynamics model, '{METADATA_KEY}' metadata missing")
    return Fields(text, str(path), ModelError)


def _check_robot(fields: Fields, spec: RobotSpec) -> None:
    fields.expect("schema", SCHEMA)
    fields.expect("kind", "dynamics")
    if (robot := fields.text("robot")) != spec.name:
        raise ModelError(
            f"{fields.where}: made for robot '{robot}', this robot is '{spec.name}': give the {spec.name}'s"
        )
    if fields.text("robot_digest") != spec.digest():
        raise ModelError(f"{fields.where}: made with other constants of {spec.name}; train it again")
    fields.expect("joint_names", list(spec.joint_names))
    fields.expect("control_dt", spec.control_dt)
    fields.expect("frame", [{"name": name, "size": size} for name, size in FRAME])


def _probes(fields: Fields, size: int) -> tuple[Probe, ...]:
    probes = []
    for i, entry in enumerate(fields.get("probes")):
        probe = Fields(json.dumps(entry), f"{fields.where}: probe {i}", ModelError)
        weights, bias = probe.array("weights", (size,)), probe.number("bias")
        quality = probe.number("r2"), probe.number("median_error")
        probes.append(Probe(probe.text("name"), probe.text("unit"), weights, bias, *quality))
    return tuple(probes)
