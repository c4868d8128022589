"""A robot that obeys a linear law, its walk as a real bag, and its dynamics model as a real ONNX graph."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from safetensors.numpy import save_file

import robots
from calibration.read import RawLog, Series
from robots.frame import FRAME, FRAME_SIZE, STATE_SIZE

SPEC = robots.load("go1")
DT, HISTORY, SIZE = SPEC.control_dt, 3, 8
GYRO, GRAVITY, POSITION, VELOCITY, ACTION = (
    slice(0, 3),
    slice(3, 6),
    slice(6, 18),
    slice(18, 30),
    slice(30, 42),
)
STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES = STORE.types


@dataclass(frozen=True)
class Law:
    """Change of the state = weights . (last three frames) + robot . robot context + terrain . terrain context."""

    weights: np.ndarray  # (HISTORY * 42, 30)
    robot: np.ndarray  # (30, 8)
    terrain: np.ndarray  # (30, 8)
    sigma: np.ndarray  # (30,)
    flat: np.ndarray  # terrain context
    nominal: np.ndarray  # robot context

    @classmethod
    def make(cls) -> Law:
        random = np.random.default_rng(5)
        weights = np.zeros((HISTORY, FRAME_SIZE, STATE_SIZE))
        for k in range(12):
            velocity = VELOCITY.start + k
            weights[-1, velocity, POSITION.start + k] = DT
            weights[-1, POSITION.start + k, velocity] = -8.0
            weights[-1, velocity, velocity] = -0.56
            weights[-1, ACTION.start + k, velocity] = weights[-2, ACTION.start + k, velocity] = 4.0 * SPEC.action_scale
        robot, terrain = np.zeros((2, STATE_SIZE, SIZE))
        robot[VELOCITY] = 0.4 * np.linalg.qr(random.normal(size=(12, SIZE)))[0]
        terrain[VELOCITY] = 0.1 * random.normal(size=(12, SIZE))
        sigma = np.repeat([0.3, 0.02, 0.06, 1.0], [3, 3, 12, 12])
        return cls(
            weights.reshape(HISTORY * FRAME_SIZE, STATE_SIZE),
            robot,
            terrain,
            sigma,
            random.normal(size=SIZE),
            0.3 * random.normal(size=SIZE),
        )

    def loss_and_gradient(self, frames, targets, mask, robot, terrain) -> tuple[float, np.ndarray]:
        residual = (frames @ self.weights + self.robot @ robot + self.terrain @ terrain - targets) / self.sigma
        share = mask / mask.sum()
        gradient = 2 / STATE_SIZE * self.robot.T @ ((share @ residual) / self.sigma)
        return float(share @ (residual**2).mean(axis=1)), gradient


@dataclass(frozen=True)
class Walk:
    """What a log holds; every array has a row per tick. Tests change it with `but` and write it with `write_bag`."""

    time: np.ndarray
    angular_velocity: np.ndarray
    quaternion: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray
    target: np.ndarray
    acceleration: np.ndarray
    state: Sequence[str] | None = None
    gains: np.ndarray | None = None
    log_time: np.ndarray | None = None

    def but(self, **changes: Any) -> Walk:
        return replace(self, **changes)

    def rows(self, keep: np.ndarray | slice) -> Walk:
        named = {k: v for k, v in vars(self).items() if v is not None}
        return replace(
            self, **{k: [v[i] for i in np.arange(len(v))[keep]] if k == "state" else v[keep] for k, v in named.items()}
        )


def simulate(
    law: Law, context: np.ndarray, seconds: float = 20.0, seed: int = 0, noise: float = 1.0, amplitude: float = 1.0
) -> Walk:
    """Return a trot of the linear robot on flat ground; `noise` scales that of the sensors."""
    random, count = np.random.default_rng(seed), round(seconds / DT)
    time = np.arange(count) * DT
    phase = 2 * np.pi * 2.0 * time[:, None] + np.repeat([0.0, np.pi, np.pi, 0.0], 3) + np.tile([0.0, 0.3, 1.0], 4)
    action = np.tile([0.3, 1.0, 1.2], 4) * np.sin(phase)
    for k in range(12):
        action[:, k] += np.convolve(random.normal(0, 0.15, count), [0.5, 0.3, 0.2], mode="same")
    action *= amplitude
    push = law.robot[VELOCITY] @ context + law.terrain[VELOCITY] @ law.flat
    position, velocity = np.zeros((2, count, 12))
    for t in range(count - 1):
        asked = SPEC.action_scale * 0.5 * (action[t] + action[max(t - 1, 0)])
        velocity[t + 1] = velocity[t] + 8.0 * (asked - position[t]) - 0.56 * velocity[t] + push
        position[t + 1] = position[t] + DT * velocity[t]
    roll, pitch = 0.04 * np.sin(4 * np.pi * time), 0.03 * np.sin(8 * np.pi * time + 1)
    zero = np.zeros(count)
    gyro = np.column_stack([np.gradient(roll, DT), np.gradient(pitch, DT), zero])
    # Gravity in the body is (sin pitch, -sin roll, -1) for small angles; in 1 / s^2 of acceleration the other way.
    quaternion = np.column_stack([np.ones(count), roll / 2, pitch / 2, zero])
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    earlier = np.vstack([action[:1], action[:-1]])
    effort = SPEC.kp * (SPEC.action_scale * earlier - position) - SPEC.kd * velocity

    def noisy(values: np.ndarray, scale: float) -> np.ndarray:
        return values + noise * random.normal(0, scale, values.shape)

    return Walk(
        time=100.0 + time,
        angular_velocity=noisy(gyro, 0.02),
        quaternion=quaternion,
        position=noisy(position, 0.0005) + SPEC.default_position,
        velocity=noisy(velocity, 0.02),
        effort=noisy(effort, 0.3),
        target=SPEC.default_position + SPEC.action_scale * action,
        acceleration=np.column_stack([-9.81 * pitch, 9.81 * roll, np.full(count, 9.81)]),
    )


def header(time: float) -> Any:
    ns = round(time * 1e9)
    return TYPES["std_msgs/msg/Header"](TYPES["builtin_interfaces/msg/Time"](ns // 10**9, ns % 10**9), "base")


def imu_message(stamp: float, walk: Walk, i: int) -> Any:
    vector, quaternion = TYPES["geometry_msgs/msg/Vector3"], TYPES["geometry_msgs/msg/Quaternion"]
    w, x, y, z = walk.quaternion[i]
    unknown = np.zeros(9)
    return TYPES["sensor_msgs/msg/Imu"](
        header(stamp),
        quaternion(x, y, z, w),
        unknown,
        vector(*walk.angular_velocity[i]),
        unknown,
        vector(*walk.acceleration[i]),
        unknown,
    )


def joint_message(stamp: float, names: Sequence[str], position: np.ndarray, velocity=(), effort=()) -> Any:
    arrays = (np.asarray(values, dtype=float) for values in (position, velocity, effort))
    return TYPES["sensor_msgs/msg/JointState"](header(stamp), list(names), *arrays)


def text_message(text: str) -> Any:
    return TYPES["std_msgs/msg/String"](text)


def write_messages(
    path: Path,
    messages: Sequence[tuple[str, str, float, Any]],
    storage: str = "mcap",
    compression: str = "none",
    metadata: Mapping[str, str] | None = None,
    topics: Sequence[tuple[str, str]] = (),
    version: int = 8,
) -> Path:
    """Write (topic, type, time, message) to a rosbag2 folder and return it."""
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(path, version=version, storage_plugin=plugin)
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    for key, value in (metadata or {}).items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {}
        for topic, kind in [*topics, *((topic, kind) for topic, kind, _, _ in messages)]:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
        for topic, kind, time, message in messages:
            writer.write(connections[topic], round(time * 1e9), STORE.serialize_cdr(message, kind))
    return path


def write_bag(
    path: Path,
    walk: Walk,
    *,
    names: Sequence[str] = SPEC.joint_names,
    command_names: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    **options: Any,
) -> Path:
    """Write the walk as a rosbag2 folder and return it; `names` is the order in which the bag has the joints."""
    joint_states = "sensor_msgs/msg/JointState"
    order = [SPEC.joint_names.index(name) for name in names] if set(names) == set(SPEC.joint_names) else list(range(12))
    asked = [SPEC.joint_names.index(name) for name in command_names] if command_names else order
    messages = []
    for i, stamp in enumerate(walk.time):
        at = stamp if walk.log_time is None else walk.log_time[i]
        measured = (walk.position[i, order], walk.velocity[i, order], walk.effort[i, order])
        messages += [
            ("/imu/data", "sensor_msgs/msg/Imu", at, imu_message(stamp, walk, i)),
            ("/joint_states", joint_states, at, joint_message(stamp, names, *measured)),
            ("/joint_commands", joint_states, at, joint_message(stamp, command_names or names, walk.target[i, asked])),
        ]
        if walk.state is not None:
            text = json.dumps({"state": walk.state[i], "gains": gains_of(walk)[i].tolist()})
            messages.append(("/controller_state", "std_msgs/msg/String", at, text_message(text)))
    return write_messages(path, [m for m in messages if m[0] not in leave_out], **options)


def gains_of(walk: Walk) -> np.ndarray:
    """Return the factors on the gains at every tick, (n, 6)."""
    return np.ones((len(walk.time), 6)) if walk.gains is None else walk.gains


def raw_log(walk: Walk, metadata: Mapping[str, str] | None = None) -> RawLog:
    """Return what reading a bag of the walk gives, without the bag."""
    stamp = walk.time - walk.time[0]
    at = stamp if walk.log_time is None else walk.log_time - walk.log_time[0]
    imu = {k: getattr(walk, k) for k in ("angular_velocity", "quaternion")}
    joints = {k: getattr(walk, k) for k in ("position", "velocity", "effort")}
    told = None if walk.state is None else Series(at, stamp, {"state": list(walk.state), "gains": gains_of(walk)})
    return RawLog(
        path=Path("log"),
        imu=Series(at, stamp, {**imu, "linear_acceleration": walk.acceleration}),
        joints=Series(at, stamp, joints),
        commands=Series(at, stamp, {"position": walk.target}),
        controller=told,
        metadata=dict(metadata or {}),
    )


PROBES = (
    {"name": "payload", "unit": "kg", "weights": [0.5, *[0.0] * 7], "bias": 1.0, "r2": 0.83, "median_error": 0.2},
    {
        "name": "kp_strength",
        "unit": "x",
        "weights": [0, 0.1, *[0.0] * 6],
        "bias": 0.9,
        "r2": 0.99,
        "median_error": 0.01,
    },
    {"name": "friction", "unit": "N m", "weights": [0.1] * 8, "bias": 0.0, "r2": 0.31, "median_error": 0.3},
)


def dynamics_onnx(law: Law, **changes: Any) -> onnx.ModelProto:
    """Return the law as the graph that adaptation runs: masked loss, its analytic gradients, errors, prediction."""
    random = np.random.default_rng(1)
    frames, targets = random.normal(size=(6, HISTORY * FRAME_SIZE)), random.normal(size=(6, STATE_SIZE))
    mask, robot = np.array([1.0, 1, 0, 1, 1, 1]), random.normal(size=SIZE)
    loss, gradient = law.loss_and_gradient(frames, targets, mask, robot, law.flat)
    metadata = {
        "schema": 1,
        "kind": "dynamics",
        "robot": SPEC.name,
        "robot_digest": SPEC.digest(),
        "joint_names": list(SPEC.joint_names),
        "control_dt": DT,
        "history": HISTORY,
        "frame": [{"name": name, "size": size} for name, size in FRAME],
        "context": {"robot": SIZE, "terrain": SIZE},
        "inner_rate": {"robot": 75.0, "terrain": 1.0},
        "inner_steps": 10,
        "digest": "0123456789abcdef",
        "probes": list(PROBES),
        "reference": {
            "frames": frames.tolist(),
            "targets": targets.tolist(),
            "mask": mask.tolist(),
            "robot_context": robot.tolist(),
            "terrain_context": law.flat.tolist(),
            "loss": loss,
            "gradient_robot": gradient.tolist(),
        },
        **changes,
    }
    constants = {
        "W": law.weights,
        "R": law.robot,
        "RT": law.robot.T,
        "T": law.terrain,
        "TT": law.terrain.T,
        "sigma": law.sigma,
        "scale": np.array(2 / STATE_SIZE),
    }
    nodes = [
        ("MatMul", ["frames", "W"], "own"),
        ("MatMul", ["robot_context", "RT"], "by_robot"),
        ("MatMul", ["terrain_context", "TT"], "by_terrain"),
        ("Add", ["by_robot", "by_terrain"], "by_context"),
        ("Add", ["own", "by_context"], "prediction"),
        ("Sub", ["prediction", "targets"], "difference"),
        ("Div", ["difference", "sigma"], "residual"),
        ("Mul", ["residual", "residual"], "square"),
        ("ReduceMean", ["square"], "error"),
        ("ReduceSum", ["mask"], "total"),
        ("Div", ["mask", "total"], "share"),
        ("MatMul", ["share", "error"], "loss"),
        ("Div", ["residual", "sigma"], "slope"),
        ("MatMul", ["share", "slope"], "mean_slope"),
        ("Mul", ["mean_slope", "scale"], "pull"),
        ("MatMul", ["pull", "R"], "gradient_robot"),
        ("MatMul", ["pull", "T"], "gradient_terrain"),
    ]
    attributes = {"error": {"axes": [1], "keepdims": 0}, "total": {"keepdims": 0}}

    def value(name: str, *shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node(op, inputs, [out], **attributes.get(out, {})) for op, inputs, out in nodes],
        "dynamics",
        [
            value("frames", "n", HISTORY * FRAME_SIZE),
            value("targets", "n", STATE_SIZE),
            value("mask", "n"),
            value("robot_context", SIZE),
            value("terrain_context", SIZE),
        ],
        [
            value("loss"),
            value("gradient_robot", SIZE),
            value("gradient_terrain", SIZE),
            value("error", "n"),
            value("prediction", "n", STATE_SIZE),
        ],
        [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    helper.set_model_props(model, {"dmcm": json.dumps(metadata)})
    return model


def write_models(folder: Path, law: Law, **changes: Any) -> Path:
    """Write dynamics.onnx and bank.safetensors and return the folder; `changes` replace fields of the metadata."""
    folder.mkdir()
    onnx.save(dynamics_onnx(law, **changes), folder / "dynamics.onnx")
    bank = {
        "schema": 1,
        "kind": "bank",
        "robot": SPEC.name,
        "robot_digest": SPEC.digest(),
        "dynamics_digest": "0123456789abcdef",
        "factor_names": ["payload"],
        "factor_units": ["kg"],
        "terrains": ["flat", "stairs_10cm"],
    }
    tensors = {
        "robot_contexts": np.zeros((4, SIZE), np.float32),
        "robot_factors": np.zeros((4, 1), np.float32),
        "terrain_contexts": np.stack([law.flat, -law.flat]).astype(np.float32),
        "nominal_robot": law.nominal.astype(np.float32),
    }
    save_file(tensors, folder / "bank.safetensors", metadata={"dmcm": json.dumps(bank)})
    return folder


@dataclass
class Bench:
    """What the tests share: one law, one robot, one walk of 20 s, models on disk, and the functions above."""

    folder: Path
    law: Law = field(default_factory=Law.make)

    def __post_init__(self) -> None:
        self.context = np.array([1.2, -0.8, 0.5, -1.5, 0.3, 0.9, -0.4, 0.7])
        self.walk = simulate(self.law, self.context)
        self.models = write_models(self.folder / "models", self.law)

    def raw(self, walk: Walk | None = None, **options: Any) -> RawLog:
        return raw_log(walk or self.walk, **options)

    def simulate(self, context: np.ndarray | None = None, **options: Any) -> Walk:
        return simulate(self.law, self.context if context is None else context, **options)

    def write_models(self, folder: Path, **changes: Any) -> Path:
        return write_models(folder, self.law, **changes)

    @property
    def tools(self) -> Any:
        return sys.modules[__name__]


@pytest.fixture(scope="session")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("calibration"))


@pytest.fixture
def bag(tmp_path, bench) -> Callable[..., Path]:
    """Write a walk (the bench's, if none is given) under a name and return its rosbag2 folder."""

    def write(walk: Walk | None = None, name: str = "log", **options: Any) -> Path:
        return write_bag(tmp_path / name, walk or bench.walk, **options)

    return write
