"""A policy in ONNX that proves, before a motor moves, that it is whole, is this robot's and computes as trained."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from deploy.fields import ArtifactError, Fields, read_bytes
from robots.drive import Drive
from robots.observation import SIZES, from_metadata, scales, size
from robots.seal import intact
from robots.spec import RobotSpec

SCHEMA = 1
MODES = ("vanilla", "history", "single", "multi", "oracle")
CONTEXT_MODES = ("single", "multi", "oracle")
FORMER = {"none": "vanilla"}  # names of modes in files from before
ORIGINS = ("trained", "imported")
TOLERANCE = 1e-5  # of the action (of its size, where that is above 1), when the reference pairs are replayed
MAX_HISTORY = 200  # frames
CONTEXTS = ("robot_context", "terrain_context")


class PolicyError(ArtifactError):
    """A policy that must not be used on this robot, and why."""


class OnnxPolicy:
    """A checked policy, ready to run; made by `OnnxPolicy.load`.

    Attributes:
        path: the file.
        sha256: of the file.
        sealed: whether the file carries a checksum of itself, which `load` has verified.
        mode: one of MODES; those in CONTEXT_MODES take a robot and a terrain context.
        origin: "trained" here, with the robot's own gains, or "imported" from another stack, with those it brings.
        kp, kd: joint gains that it wants while it runs, N m/rad and N m s/rad, (12,).
        default_position: joint positions that its observation and its targets are relative to, rad, (12,).
        action_scale: rad of joint target per unit of output, (12,).
        control_dt: time between two actions, s.
        terms: a frame of its observation, in order.
        scale: factor of every value of a frame.
        history: frames that it sees, from the oldest to the newest.
        robot_context_size, terrain_context_size: 0 in a mode without contexts.
        dynamics_digest: of the dynamics model whose contexts it understands, or None.
        action_limit: actions are clipped to it, up and down, as in training.
    """

    def __init__(self, path: Path, content: bytes, spec: RobotSpec) -> None:
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.sealed = intact(content) is True
        if intact(content) is False:
            raise PolicyError(f"{path}: the file is damaged (its checksum does not match); copy or export it again")
        self._session = _session(path, content)
        fields = _metadata(path, self._session)
        _check_robot(fields, spec)
        self.origin = fields.text("origin") if "origin" in fields.data else "trained"
        if self.origin not in ORIGINS:
            raise PolicyError(f"{path}: field 'origin' is '{self.origin}', expected one of {', '.join(ORIGINS)}")
        if self.origin == "trained":
            _check_trained(fields, spec)
        drive = _drive(fields)
        problem = drive.problem(spec)
        if problem is not None:
            raise PolicyError(f"{path}: {problem}")
        self.kp, self.kd, self.default_position = drive.kp, drive.kd, drive.default_position
        self.action_scale, self.control_dt = drive.action_scale, drive.control_dt
        self.mode = FORMER.get(fields.text("mode"), fields.text("mode"))
        if self.mode not in MODES:
            raise PolicyError(f"{path}: field 'mode' is '{self.mode}', expected one of {', '.join(MODES)}")
        self.terms = _terms(fields)
        self.scale = np.array(scales(self.terms))
        self.history = fields.integer("history") if "history" in fields.data else 1
        if not 1 <= self.history <= MAX_HISTORY:
            raise PolicyError(f"{path}: field 'history' is {self.history}, expected 1 to {MAX_HISTORY} frames")
        self.robot_context_size = fields.integer("context.robot")
        self.terrain_context_size = fields.integer("context.terrain")
        self.dynamics_digest = None if fields.get("dynamics_digest") is None else fields.text("dynamics_digest")
        if self.takes_contexts and self.dynamics_digest is None:
            raise PolicyError(f"{path}: field 'dynamics_digest' is null though the policy takes contexts")
        self.action_limit = fields.number("action_limit")
        if self.action_limit <= 0:
            raise PolicyError(f"{path}: field 'action_limit' must be positive")
        self._feed = self._make_feed()
        self._replay(fields)

    @classmethod
    def load(cls, path: str | Path, spec: RobotSpec, simulated: bool = False) -> OnnxPolicy:
        """Return the policy in the file, checked against the robot and replayed on its reference pairs.

        Args:
            path: the ONNX file.
            spec: the robot.
            simulated: whether the robot is a simulation that tells its true factors, as mode "oracle" needs.

        Raises:
            FileNotFoundError: if there is no such file.
            PolicyError: if it is not a policy, is damaged, belongs to another robot or to other gains, or does not
                reproduce its reference pairs.
        """
        path = Path(path)
        try:
            policy = cls(path, read_bytes(path, "policy", PolicyError), spec)
        except UnicodeDecodeError as problem:  # from onnxruntime, of any name in the file
            raise PolicyError(f"{path}: a text in the file is damaged ({problem}); copy or export it again") from None
        if policy.mode == "oracle" and not simulated:
            raise PolicyError(
                f"{path}: sees the robot's true factors (mode 'oracle'), which only a simulation knows; use one of "
                "mode 'multi' or 'vanilla'"
            )
        return policy

    def __call__(
        self,
        observation: np.ndarray,
        robot_context: np.ndarray | None = None,
        terrain_context: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the action, (12,), for one scaled observation with its history, the newest frame last.

        Contexts are read only if the policy takes them.
        """
        self._feed["observation"][0] = observation
        if self.takes_contexts:
            self._feed["robot_context"][0] = robot_context
            self._feed["terrain_context"][0] = terrain_context
        return self._session.run(["action"], self._feed)[0][0].astype(float)

    def decimation(self, command_dt: float) -> int:
        """Return the number of command periods per action.

        Raises:
            ValueError: if the command period, s, does not divide the policy's.
        """
        periods = round(self.control_dt / command_dt)
        if periods < 1 or abs(periods * command_dt - self.control_dt) > 1e-9:
            raise ValueError(f"command period {command_dt:g} s does not divide the policy's {self.control_dt:g} s")
        return periods

    @property
    def takes_contexts(self) -> bool:
        """Whether it takes a robot and a terrain context."""
        return self.mode in CONTEXT_MODES

    @property
    def _width(self) -> int:
        return self.history * size(self.terms)

    def _make_feed(self) -> dict[str, np.ndarray]:
        sizes = {"observation": self._width}
        if self.takes_contexts:
            sizes.update(robot_context=self.robot_context_size, terrain_context=self.terrain_context_size)
        elif self.robot_context_size or self.terrain_context_size:
            raise PolicyError(f"{self.path}: context sizes are not 0 though the mode is '{self.mode}'")
        inputs = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        if set(inputs) != set(sizes):
            raise PolicyError(f"{self.path}: inputs are {sorted(inputs)}, expected {sorted(sizes)}")
        for name, width in sizes.items():
            kind, shape = inputs[name]
            if kind != "tensor(float)" or len(shape) != 2 or shape[1] != width:
                raise PolicyError(f"{self.path}: input '{name}' is {kind}{shape}, expected float [batch, {width}]")
        if [o.name for o in self._session.get_outputs()] != ["action"]:
            raise PolicyError(f"{self.path}: expected one output, 'action'")
        return {name: np.zeros((1, width), dtype=np.float32) for name, width in sizes.items()}

    def _replay(self, fields: Fields) -> None:
        observations = fields.array("reference.observation", (None, self._width))
        pairs = len(observations)
        actions = fields.array("reference.action", (pairs, 12))
        contexts: list[Any] = [[None] * pairs, [None] * pairs]
        if self.takes_contexts:
            widths = (self.robot_context_size, self.terrain_context_size)
            contexts = [
                fields.array(f"reference.{name}", (pairs, width)) for name, width in zip(CONTEXTS, widths, strict=True)
            ]
        if pairs == 0:
            raise PolicyError(f"{self.path}: no reference pairs; export the policy again")
        try:
            replayed = np.array([self(*row) for row in zip(observations, *contexts, strict=True)])
        except Exception as problem:  # onnxruntime raises many types
            raise PolicyError(f"{self.path}: the policy cannot be run ({problem})") from None
        if replayed.shape != actions.shape:
            raise PolicyError(f"{self.path}: output 'action' has {replayed.shape[-1]} values, expected 12")
        error = np.abs(replayed - actions).max()
        if not error <= TOLERANCE * max(1.0, np.abs(actions).max()):
            raise PolicyError(
                f"{self.path}: replaying its reference pairs gives another action (difference {error:.2g}, allowed "
                f"{TOLERANCE:g}); the file is damaged or was changed after its export"
            )


def _session(path: Path, content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime raises many types
        raise PolicyError(f"{path}: not an ONNX model, or damaged ({_first_line(problem)})") from None


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


def _metadata(path: Path, session: Any) -> Fields:
    properties = session.get_modelmeta().custom_metadata_map
    if "dmcm" not in properties:
        raise PolicyError(f"{path}: no 'dmcm' metadata; this ONNX was not made by `dmcm export`")
    fields = Fields(properties["dmcm"], str(path), PolicyError)
    fields.expect("schema", SCHEMA)
    fields.expect("kind", "policy")
    return fields


def _terms(fields: Fields) -> tuple[Any, ...]:
    described = fields.get("observation")
    try:
        terms = from_metadata(described)
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise PolicyError(f"{fields.where}: field 'observation' is not a list of terms ({problem})") from None
    for term in terms:
        if SIZES.get(str(term.name)) != term.size:
            known = ", ".join(f"{name} ({n})" for name, n in SIZES.items())
            raise PolicyError(
                f"{fields.where}: observation term '{term.name}' ({term.size}) is not one the robot has: {known}"
            )
        if not np.isfinite(term.scale).all():
            raise PolicyError(f"{fields.where}: observation term '{term.name}' has a scale that is not finite")
    return terms


def _check_robot(fields: Fields, spec: RobotSpec) -> None:
    robot = fields.text("robot")
    if robot != spec.name:
        raise PolicyError(
            f"{fields.where}: made for robot '{robot}', this robot is '{spec.name}': give the {spec.name}'s"
        )
    if fields.texts("joint_names") != spec.joint_names:
        raise PolicyError(f"{fields.where}: joint order differs from the robot's {' '.join(spec.joint_names)}")
    if fields.text("robot_digest") != spec.digest():
        raise PolicyError(
            f"{fields.where}: made with other constants of {spec.name} (digest {fields.text('robot_digest')}, here "
            f"{spec.digest()}); export it again"
        )


def _check_trained(fields: Fields, spec: RobotSpec) -> None:
    wanted = {
        "kp": np.full(12, spec.kp),
        "kd": np.full(12, spec.kd),
        "default_position": spec.default_position,
    }
    for name, value in wanted.items():
        if not np.allclose(fields.array(name, (12,)), value, rtol=0, atol=1e-9):
            raise PolicyError(f"{fields.where}: '{name}' differs from {spec.name}'s; train or export it for this robot")
    for name, value in (("action_scale", spec.action_scale), ("control_dt", spec.control_dt)):
        if abs(fields.number(name) - value) > 1e-9:
            raise PolicyError(f"{fields.where}: '{name}' is {fields.number(name):g}, {spec.name} has {value:g}")


def _drive(fields: Fields) -> Drive:
    return Drive(
        kp=_per_joint(fields, "kp"),
        kd=_per_joint(fields, "kd"),
        default_position=_per_joint(fields, "default_position"),
        action_scale=_per_joint(fields, "action_scale"),
        control_dt=fields.number("control_dt"),
    )


def _per_joint(fields: Fields, name: str) -> np.ndarray:
    """Return a value of every joint, (12,), from one number or twelve; nobody writes to it."""
    value = fields.get(name)
    values = fields.array(name, (12,)) if isinstance(value, list) else np.full(12, fields.number(name))
    values.flags.writeable = False
    return values
