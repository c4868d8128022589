"""Turns a policy of legged_gym, unitree_rl_gym or Isaac Lab into our ONNX, in our joint order, with its metadata."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper, numpy_helper

import robots
from policy.export import PARITY, SCHEMA, write
from policy.foreign.config import ForeignPolicy, read
from policy.foreign.source import Source, load_onnx, load_torchscript
from robots.observation import as_metadata
from robots.seal import PLACEHOLDER
from robots.spec import RobotSpec

PAIRS = 4
PREFIX = "foreign/"


@dataclass
class ImportConfig:
    """Turn a policy from another stack into ours (docs/import_policy.md).

    Attributes:
        config: YAML or JSON that says what the policy sees and drives.
        out: the ONNX file.
        robot: the robot that it was trained for.
        torchscript: the policy, TorchScript (legged_gym's policy_1.pt).
        onnx: the policy, ONNX, in place of TorchScript.
    """

    config: Path
    out: Path
    robot: str
    torchscript: Path | None = None
    onnx: Path | None = None


def convert(config: ImportConfig) -> float:
    """Write the ONNX file, atomically, and return the largest difference from the policy as it came.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the policy or its configuration cannot be used; names the reason.
    """
    path = config.torchscript or config.onnx
    if path is None or None not in (config.torchscript, config.onnx):
        raise ValueError("give the policy with one of --torchscript and --onnx")
    spec = robots.load(config.robot)
    foreign = read(config.config)
    problem = foreign.drive.problem(spec)
    if problem is not None:
        raise ValueError(f"{config.config}: {problem}")
    source = (load_torchscript if config.torchscript else load_onnx)(path, foreign.width)
    reference = _reference(path, source, foreign)
    model = _wrap(source, foreign)
    worst = _parity(model, reference)
    most = PARITY * max(1.0, np.abs(reference["action"]).max())
    if not worst <= most:
        raise ValueError(
            f"{path}: ONNX and the policy differ by {worst:.2e}, more than {most:.0e}: nothing was written"
        )
    plain = {name: values.astype(float).tolist() for name, values in reference.items()}
    write(model, _metadata(spec, foreign, path, plain), config.out)
    return worst


def _reference(path: Path, source: Source, foreign: ForeignPolicy) -> dict[str, np.ndarray]:
    """Return observations in our layout and what the policy, as it came, answers to them."""
    draw = np.random.default_rng(0)
    ours = draw.normal(0, 0.5, (PAIRS, foreign.width)).astype(np.float32)
    low, high = np.tile(foreign.bounds, foreign.history).astype(np.float32)
    theirs = np.clip(ours, low, high)[:, foreign.layout]
    actions = np.array([source.run(row) for row in theirs])
    if actions.shape != (PAIRS, 12):
        raise ValueError(f"{path} gives {actions.shape[-1]} actions, expected 12, one for every joint")
    if not np.isfinite(actions).all():
        raise ValueError(f"{path} gives actions that are not finite: its weights are damaged or training diverged")
    if not np.allclose(source.run(theirs[0]), actions[0], rtol=0, atol=1e-6):
        raise ValueError(f"{path} answers the same observation in two ways: it keeps a memory or draws its actions")
    return {"observation": ours, "action": actions[:, foreign.actions]}


def _wrap(source: Source, foreign: ForeignPolicy) -> onnx.ModelProto:
    """Return the policy with our input and output: observation, clipped and reordered, policy, action reordered."""
    model = compose.add_prefix(source.model, PREFIX)
    graph = model.graph
    low, high = np.tile(foreign.bounds, foreign.history).astype(np.float32)
    constants = {"low": low, "high": high, "layout": foreign.layout, "actions": foreign.actions}
    nodes = [
        helper.make_node("Max", ["observation", "low"], ["above"]),
        helper.make_node("Min", ["above", "high"], ["clipped"]),
        helper.make_node("Gather", ["clipped", "layout"], [PREFIX + source.input], axis=1),
        *graph.node,
        helper.make_node("Gather", [PREFIX + source.output, "actions"], ["action"], axis=1),
    ]
    given = next(i for i in graph.input if i.name == PREFIX + source.input)
    batch = given.type.tensor_type.shape.dim[0].dim_value or "batch"  # some policies are exported for one robot only
    wrapped = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [batch, foreign.width])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [batch, 12])],
        [*graph.initializer, *(numpy_helper.from_array(values, name) for name, values in constants.items())],
    )
    return helper.make_model(
        wrapped, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions
    )


def _parity(model: onnx.ModelProto, reference: dict[str, np.ndarray]) -> float:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    actions = [session.run(None, {"observation": row[None]})[0][0] for row in reference["observation"]]
    return float(np.abs(np.array(actions) - reference["action"]).max())


def _metadata(spec: RobotSpec, foreign: ForeignPolicy, path: Path, reference: dict[str, Any]) -> dict[str, Any]:
    drive = foreign.drive
    return {
        "schema": SCHEMA,
        "kind": "policy",
        "origin": "imported",
        "mode": "vanilla",
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "joint_names": list(spec.joint_names),
        "default_position": drive.default_position.tolist(),
        "kp": drive.kp.tolist(),
        "kd": drive.kd.tolist(),
        "action_scale": drive.action_scale.tolist(),
        "control_dt": drive.control_dt,
        "observation": as_metadata(foreign.terms),
        "history": foreign.history,
        "context": {"robot": 0, "terrain": 0},
        "dynamics_digest": None,
        "action_limit": foreign.action_limit,
        "source": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "reference": reference,
        "seal": PLACEHOLDER,
    }
