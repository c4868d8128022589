"""Small real artifacts made without torch, for the tests of every room: policies in ONNX, context banks, contexts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from robots.observation import PROPRIOCEPTION, as_metadata, size
from robots.seal import PLACEHOLDER, seal
from robots.spec import RobotSpec

DYNAMICS_DIGEST = "0123456789abcdef"
CONTEXT = 8


def make_policy(
    path: Path,
    spec: RobotSpec,
    mode: str = "none",
    *,
    hidden: tuple[int, ...] = (16,),
    gain: float = 0.3,
    seed: int = 0,
    sealed: bool = True,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Write a policy with random weights, its metadata and true reference pairs, computed here in numpy.

    Args:
        path: the ONNX file.
        spec: the robot.
        mode: "none" or "multi".
        hidden: widths of the layers (tanh).
        gain: of the last layer; 0.3 keeps actions well under 1.
        seed: of the weights.
        sealed: whether the file carries its checksum.
        change: edits the metadata before it is written, to make a bad file.
    """
    draw = np.random.default_rng(seed)
    widths = [size(PROPRIOCEPTION) + (2 * CONTEXT if mode == "multi" else 0), *hidden, 12]
    layers = [
        (draw.normal(0, width**-0.5, (width, out)).astype(np.float32), draw.normal(0, 0.1, out).astype(np.float32))
        for width, out in pairwise(widths)
    ]
    layers[-1] = (layers[-1][0] * np.float32(gain), layers[-1][1] * np.float32(gain))
    metadata = policy_metadata(spec, mode)
    metadata["reference"] = _reference(layers, mode, draw)
    if sealed:
        metadata["seal"] = PLACEHOLDER
    if change is not None:
        change(metadata)
    model = _model(layers, mode)
    helper.set_model_props(model, {"dmcm": json.dumps(metadata)})
    onnx.save(model, path)
    if sealed:
        seal(path)
    return path


def policy_metadata(spec: RobotSpec, mode: str) -> dict[str, Any]:
    """Return the metadata of a policy without its reference pairs."""
    width = CONTEXT if mode == "multi" else 0
    return {
        "schema": 1,
        "kind": "policy",
        "mode": mode,
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "joint_names": list(spec.joint_names),
        "default_position": spec.default_position.tolist(),
        "kp": [spec.kp] * 12,
        "kd": [spec.kd] * 12,
        "action_scale": spec.action_scale,
        "control_dt": spec.control_dt,
        "observation": as_metadata(PROPRIOCEPTION),
        "context": {"robot": width, "terrain": width},
        "dynamics_digest": DYNAMICS_DIGEST if width else None,
        "action_limit": 10.0,
    }


def _inputs(mode: str) -> dict[str, int]:
    contexts = {"robot_context": CONTEXT, "terrain_context": CONTEXT} if mode == "multi" else {}
    return {"observation": size(PROPRIOCEPTION), **contexts}


def _reference(layers: list[tuple[np.ndarray, np.ndarray]], mode: str, draw: np.random.Generator) -> dict[str, Any]:
    values = {name: draw.normal(0, 0.5, (4, width)).astype(np.float32) for name, width in _inputs(mode).items()}
    action = np.concatenate(list(values.values()), axis=1).astype(float)
    for i, (weight, bias) in enumerate(layers):
        action = action @ weight + bias
        action = np.tanh(action) if i < len(layers) - 1 else action
    return {name: value.tolist() for name, value in {**values, "action": action}.items()}


def _model(layers: list[tuple[np.ndarray, np.ndarray]], mode: str) -> onnx.ModelProto:
    inputs = _inputs(mode)
    nodes = [helper.make_node("Concat", list(inputs), ["x0"], axis=1)]
    weights = []
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        weights += [numpy_helper.from_array(value, f"{name}{i}") for name, value in zip("wb", layer, strict=True)]
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], ["action" if last else f"h{i}"]))
        if not last:
            nodes.append(helper.make_node("Tanh", [f"h{i}"], [f"x{i + 1}"]))
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name, width in inputs.items()],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 12])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def make_bank(path: Path, spec: RobotSpec, *, robots: int = 3, **changes: Any) -> Path:
    """Write a context bank with random contexts and terrains flat, stairs_10cm; `changes` replace metadata fields."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(1)
    metadata = {
        "schema": 1,
        "kind": "bank",
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "dynamics_digest": DYNAMICS_DIGEST,
        "factor_names": ["payload", "kp_scale"],
        "factor_units": ["kg", "x"],
        "terrains": ["flat", "stairs_10cm"],
        **changes,
    }
    tensors = {
        "robot_contexts": draw.normal(0, 1, (robots, CONTEXT)),
        "robot_factors": draw.normal(0, 1, (robots, 2)),
        "terrain_contexts": draw.normal(0, 1, (2, CONTEXT)),
        "nominal_robot": draw.normal(0, 1, CONTEXT),
    }
    header = {"dmcm": json.dumps(metadata), "seal": PLACEHOLDER}
    save_file({name: t.astype(np.float32) for name, t in tensors.items()}, path, header)
    seal(path)
    return path


def context_json(spec: RobotSpec, **changes: Any) -> Mapping[str, Any]:
    """Return the content of a context file; `changes` replace fields."""
    return {
        "schema": 1,
        "kind": "context",
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "dynamics_digest": DYNAMICS_DIGEST,
        "robot_context": np.linspace(-1, 1, CONTEXT).tolist(),
        "terrain": "flat",
        "uncertainty": [0.1] * CONTEXT,
        "created": "2025-01-01T00:00:00+00:00",
        "log": {"file": "log", "sha256": "", "seconds": 20.0, "samples": 1000},
        "error": {"before": 1.0, "after": 0.5},
        "readings": [],
        "command": "test",
        "version": "0",
        **changes,
    }


def make_context(path: Path, spec: RobotSpec, **changes: Any) -> Path:
    """Write a context file; `changes` replace fields."""
    path.write_text(json.dumps(context_json(spec, **changes)))
    return path
