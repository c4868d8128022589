"""Contexts: what calibration found out about this robot, and what simulation learned about terrains."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.fields import ArtifactError, Fields, read_bytes
from deploy.gains import ALIKE, LEAST, MOST, NOMINAL, ROUNDING, Gains
from deploy.policy import OnnxPolicy
from robots.seal import intact
from robots.spec import RobotSpec

SCHEMA = 1
METADATA_KEY = "dmcm"


FAR = 1.5  # times the distance of the bank's farthest robot: a context beyond that is refused


class ContextError(ArtifactError):
    """A context or a bank that must not be used, and why."""


@dataclass(frozen=True)
class RobotContext:
    """The context of one robot in one condition.

    Attributes:
        values: (n,).
        dynamics_digest: of the dynamics model that gives the values their meaning.
        terrain: name of the terrain on which it was found.
        source: file or origin, for messages.
        digest: SHA-256 of the file, or "" where there is none.
        gains: factors on the gains with which the robot walked when it was found, and has to walk with it.
    """

    values: np.ndarray
    dynamics_digest: str
    terrain: str = "flat"
    source: str = "given"
    digest: str = ""
    gains: Gains = NOMINAL


@dataclass(frozen=True)
class ContextBank:
    """The contexts that simulation found.

    Attributes:
        source: the file.
        dynamics_digest: of the dynamics model that gives them their meaning.
        terrains: names of the rows of `terrain_contexts`.
        terrain_contexts: (T, n).
        robot_contexts: of the robots it was trained on, (R, n).
        robot_factors: of the same robots, (R, F).
        factor_names, factor_units: of the F factors.
        nominal_robot: context of the robot as it is built, (n,).
    """

    source: str
    dynamics_digest: str
    terrains: tuple[str, ...]
    terrain_contexts: np.ndarray
    robot_contexts: np.ndarray
    robot_factors: np.ndarray
    factor_names: tuple[str, ...]
    factor_units: tuple[str, ...]
    nominal_robot: np.ndarray

    def terrain(self, name: str) -> np.ndarray:
        """Return the context of the named terrain, (n,).

        Raises:
            ContextError: if the bank has no terrain of that name.
        """
        if name not in self.terrains:
            raise ContextError(f"unknown terrain '{name}': {self.source} has {', '.join(self.terrains)}")
        return self.terrain_contexts[self.terrains.index(name)]


class ContextRange:
    """Where the contexts of the training robots lie, as Mahalanobis distances from their mean.

    Args:
        contexts: of the training robots, (R, n).

    Attributes:
        farthest: the largest distance of any of them.
        known: whether there are enough of them to tell: twice as many as values.
    """

    def __init__(self, contexts: np.ndarray) -> None:
        count, width = contexts.shape
        self.known = count >= 2 * width
        self._mean = contexts.mean(0)
        spread = np.atleast_2d(np.cov(contexts.T)) if self.known else np.eye(width)
        self._inverse = np.linalg.pinv(spread)
        self.farthest = max(self.distance(context) for context in contexts)

    def distance(self, context: np.ndarray) -> float:
        """Return how far a context, (n,), lies from the training robots' mean."""
        off = context - self._mean
        return float(np.sqrt(max(0.0, off @ self._inverse @ off)))


class ActiveContexts:
    """The two contexts that the policy sees now: the nominal robot's and flat ground's until others are set.

    Attributes:
        bank: where they come from, or None for a robot whose policies take no contexts.
        robot, terrain: (n,) each, or None without a bank.
        robot_source: "nominal", or the digest or source of the context that was set; "" without a bank.
        terrain_name: name of the terrain; "" without a bank.
        range: where the training robots' contexts lie; None without a bank.
        warning: what is doubtful about the robot's context, "" if nothing is.
        gains: factors on the walking policy's gains, which come with the robot's context.
    """

    def __init__(self, bank: ContextBank | None) -> None:
        self.bank, self.gains = bank, NOMINAL
        self.robot: np.ndarray | None = None
        self.terrain: np.ndarray | None = None
        self.robot_source = self.terrain_name = self.warning = ""
        self.range = ContextRange(bank.robot_contexts) if bank is not None else None
        if bank is not None:
            self.set_robot(None)
            self.set_terrain("flat" if "flat" in bank.terrains else bank.terrains[0])

    def check(self, policy: OnnxPolicy) -> None:
        """Raise `ContextError` unless the bank serves the policy, or the policy takes no contexts."""
        if not policy.takes_contexts:
            return
        bank = self._need_bank()
        if policy.dynamics_digest != bank.dynamics_digest:
            raise ContextError(
                f"{bank.source}: made with dynamics model {bank.dynamics_digest}, {policy.path} with "
                f"{policy.dynamics_digest}; use the bank that belongs to the policy"
            )
        sizes = len(bank.nominal_robot), bank.terrain_contexts.shape[1]
        if sizes != (policy.robot_context_size, policy.terrain_context_size):
            raise ContextError(f"{bank.source}: contexts of {sizes} values do not fit {policy.path}")

    def set_robot(self, context: RobotContext | None) -> None:
        """Use a robot's context; None is the nominal robot's.

        Raises:
            ContextError: if there is no bank, or the context belongs to another dynamics model, has another size or is
                far from every robot of the bank; the one in use stays in use.
        """
        bank = self._need_bank()
        if context is None:
            self.robot, self.robot_source, self.warning, self.gains = bank.nominal_robot, "nominal", "", NOMINAL
            return
        if context.dynamics_digest != bank.dynamics_digest:
            raise _other_dynamics(context.source, context.dynamics_digest, bank.dynamics_digest)
        values = np.asarray(context.values, dtype=float)
        if values.shape != bank.nominal_robot.shape or not np.isfinite(values).all():
            raise ContextError(f"{context.source}: expected {len(bank.nominal_robot)} finite values, found {values}")
        warning = self._judge(values, context.source)
        self.robot, self.robot_source, self.warning = values, context.digest or context.source, warning
        self.gains = context.gains

    def _judge(self, values: np.ndarray, source: str) -> str:
        """Return what is doubtful about a context, "" if nothing is.

        Raises:
            ContextError: if it is so far from the training robots' that the policy has seen nothing like it.
        """
        span = self.range
        if span is None or not span.known or (distance := span.distance(values)) <= span.farthest:
            return ""
        found = f"{source}: distance {distance:.1f} from the training robots, whose farthest has {span.farthest:.1f}"
        if distance > FAR * span.farthest:
            raise ContextError(f"{found}; the policy has seen nothing like it, calibrate again on flat ground")
        return f"{found}; the policy extrapolates"

    def set_terrain(self, name: str) -> None:
        """Use the context of a terrain of the bank.

        Raises:
            ContextError: if there is no bank or no such terrain in it.
        """
        self.terrain = self._need_bank().terrain(name)
        self.terrain_name = name

    def _need_bank(self) -> ContextBank:
        if self.bank is None:
            raise ContextError("no context bank is loaded; give the controller the bank that belongs to its policy")
        return self.bank


def _other_dynamics(source: str, found: str, wanted: str) -> ContextError:
    return ContextError(
        f"{source}: made with dynamics model {found}, the policy understands {wanted}; run `dmcm adapt` with the "
        "dynamics model that belongs to the policy"
    )


def _check_origin(fields: Fields, kind: str, spec: RobotSpec, dynamics_digest: str | None) -> str:
    """Return the file's dynamics digest after comparing robot and digests."""
    fields.expect("schema", SCHEMA)
    fields.expect("kind", kind)
    robot = fields.text("robot")
    if robot != spec.name:
        raise ContextError(
            f"{fields.where}: made for robot '{robot}', this robot is '{spec.name}': give the {spec.name}'s"
        )
    if fields.text("robot_digest") != spec.digest():
        raise ContextError(f"{fields.where}: made with other constants of {spec.name}; make it again")
    digest = fields.text("dynamics_digest")
    if dynamics_digest is not None and digest != dynamics_digest:
        raise _other_dynamics(fields.where, digest, dynamics_digest)
    return digest


def load_context(path: str | Path, spec: RobotSpec, dynamics_digest: str | None = None) -> RobotContext:
    """Return the robot context in a file written by `dmcm adapt`.

    Args:
        path: context.json.
        spec: this robot.
        dynamics_digest: of the model that the policy was trained with; None accepts any.

    Raises:
        FileNotFoundError: if there is no such file.
        ContextError: if it is not a context, or belongs to another robot or dynamics model.
    """
    path = Path(path)
    content = read_bytes(path, "context", ContextError)
    fields = Fields(content, str(path), ContextError)
    digest = _check_origin(fields, "context", spec, dynamics_digest)
    return RobotContext(
        values=fields.array("robot_context", (None,)),
        dynamics_digest=digest,
        terrain=fields.text("terrain"),
        source=str(path),
        digest=hashlib.sha256(content).hexdigest(),
        gains=_gains(fields),
    )


def _gains(fields: Fields) -> Gains:
    """Return the factors on the gains, those of the robot as it is where none are told."""
    if "gains" not in fields.data:
        return NOMINAL
    kp, kd = fields.number("gains.kp"), fields.number("gains.kd")
    legs = tuple(fields.array("gains.legs", (4,)).tolist()) if "legs" in fields.data["gains"] else ALIKE
    found = Gains(kp, kd, legs)
    of_legs = [factor for factors in (found.joint_kp, found.joint_kd) for factor in factors]
    told = [("kp' is", kp), ("kd' is", kd), *(("legs' makes a factor of", factor) for factor in of_legs)]
    for what, factor in told:
        if not LEAST - ROUNDING <= factor <= MOST + ROUNDING:
            raise ContextError(
                f"{fields.where}: field 'gains.{what} {factor:g}, allowed are {LEAST:g} to {MOST:g}; adapt again"
            )
    return found


def load_bank(path: str | Path, spec: RobotSpec, dynamics_digest: str | None = None) -> ContextBank:
    """Return the context bank in a safetensors file.

    Raises:
        FileNotFoundError: if there is no such file.
        ContextError: if it is not a bank, is damaged, or belongs to another robot or dynamics model.
    """
    path = Path(path)
    if intact(read_bytes(path, "context bank", ContextError)) is False:
        raise ContextError(f"{path}: the file is damaged (its checksum does not match); copy it again")
    metadata, tensors = _read_safetensors(path)
    fields = Fields(metadata, str(path), ContextError)
    digest = _check_origin(fields, "bank", spec, dynamics_digest)
    terrains, names, units = (fields.texts(name) for name in ("terrains", "factor_names", "factor_units"))
    if not terrains or len(units) != len(names):
        raise ContextError(f"{path}: 'terrains' is empty, or 'factor_units' does not match 'factor_names'")
    shape = {name: tensor.shape for name, tensor in tensors.items()}
    robots, width = shape["robot_contexts"][0], shape["nominal_robot"][-1]
    wanted = {
        "robot_contexts": (robots, width),
        "robot_factors": (robots, len(names)),
        "terrain_contexts": (len(terrains), shape["terrain_contexts"][-1]),
        "nominal_robot": (width,),
    }
    for name, expected in wanted.items():
        if shape[name] != expected:
            raise ContextError(f"{path}: tensor '{name}' has shape {shape[name]}, expected {expected}")
        if not np.isfinite(tensors[name]).all():
            raise ContextError(f"{path}: tensor '{name}' holds values that are not finite")
    return ContextBank(str(path), digest, terrains, factor_names=names, factor_units=units, **tensors)


def _read_safetensors(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    names = ("robot_contexts", "robot_factors", "terrain_contexts", "nominal_robot")
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            metadata = header.get(METADATA_KEY)
            missing = [name for name in names if name not in file.keys()]
            tensors = {
                name: np.atleast_1d(file.get_tensor(name)).astype(float) for name in names if name not in missing
            }
    except (SafetensorError, TypeError) as problem:
        raise ContextError(f"{path}: not a safetensors file, or damaged ({problem})") from None
    if metadata is None or missing:
        lacks = f"tensors {', '.join(missing)}" if missing else f"'{METADATA_KEY}' metadata"
        raise ContextError(f"{path}: not a context bank, {lacks} missing")
    if not set(header) <= {METADATA_KEY, "seal", "format"}:  # a damaged name of the seal would leave it unread
        raise ContextError(f"{path}: the file is damaged (its checksum does not match); copy it again")
    return metadata, tensors
