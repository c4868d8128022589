"""Exports a checkpoint as one ONNX file that carries all a robot must know about it."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch

import robots
from policy import checkpoint
from robots import observation
from robots.seal import PLACEHOLDER, seal
from robots.spec import RobotSpec
from sim.env import ACTION_LIMIT, CONTEXT_SIZE

SCHEMA = 1
PARITY = 1e-5  # largest difference between ONNX and torch
INPUTS = {
    "none": {"observation": observation.size(observation.PROPRIOCEPTION)},
    "multi": {
        "observation": observation.size(observation.PROPRIOCEPTION),
        "robot_context": CONTEXT_SIZE,
        "terrain_context": CONTEXT_SIZE,
    },
}


@dataclass
class ExportConfig:
    """Export a policy checkpoint to ONNX.

    Attributes:
        checkpoint: model_<samples>.pt of a run.
        out: the ONNX file.
        robot: the robot that it was trained for.
        mode: what the policy sees.
        bank: the context bank that it was trained with, for mode `multi`.
    """

    checkpoint: Path
    out: Path
    robot: str = "go1"
    mode: Literal["none", "multi"] = "none"
    bank: Path | None = None


class _Deterministic(torch.nn.Module):
    """The actor's mean action from separate inputs, normalizer included."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.mean, self.std = state["obs_normalizer._mean"], state["obs_normalizer._std"]
        weights = [key for key in state if key.startswith("mlp.") and key.endswith(".weight")]
        layers: list[torch.nn.Module] = []
        for key in weights:
            rows, columns = state[key].shape
            layer = torch.nn.Linear(columns, rows)
            layer.load_state_dict({"weight": state[key], "bias": state[key.replace("weight", "bias")]})
            layers += [layer, torch.nn.ELU()]
        self.mlp = torch.nn.Sequential(*layers[:-1])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        values = torch.cat(inputs, dim=-1)
        return self.mlp((values - self.mean) / (self.std + 1e-2))  # rsl_rl's EmpiricalNormalization


def export(config: ExportConfig) -> float:
    """Write the ONNX file, atomically, and return the largest difference from torch.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if the checkpoint has other inputs than the mode, or ONNX and torch disagree.
    """
    state = checkpoint.read(config.checkpoint)
    sizes = INPUTS[config.mode]
    actor = _Deterministic(state["actor_state_dict"]).eval()
    if actor.mean.shape[-1] != sum(sizes.values()):
        raise ValueError(
            f"{config.checkpoint} takes {actor.mean.shape[-1]} inputs, mode '{config.mode}' has {sum(sizes.values())}: "
            "give the mode it was trained in"
        )
    reference = _reference(actor, sizes)
    model = _to_onnx(actor, sizes)
    metadata = _metadata(config, robots.load(config.robot), reference, int(state["samples"]))
    worst = _parity(model, reference)
    if worst > PARITY:
        raise ValueError(f"ONNX and torch differ by {worst:.2e}, more than {PARITY}: nothing was written")
    write(model, metadata, config.out)
    return worst


def write(model: onnx.ModelProto, metadata: dict[str, Any], out: Path) -> None:
    """Write the model with its metadata, sealed, atomically."""
    model.metadata_props.add(key="dmcm", value=json.dumps(metadata))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    onnx.save(model, partial)
    seal(partial)
    os.replace(partial, out)


def _to_onnx(actor: torch.nn.Module, sizes: dict[str, int]) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1)
    example = tuple(torch.zeros(2, size) for size in sizes.values())
    program = torch.onnx.export(
        copy.deepcopy(actor),
        example,
        input_names=list(sizes),
        output_names=["action"],
        dynamic_shapes=(tuple({0: batch} for _ in sizes),),
        dynamo=True,
        verbose=False,
    )
    return program.model_proto


def _reference(actor: torch.nn.Module, sizes: dict[str, int], pairs: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(pairs, size, generator=generator) for name, size in sizes.items()}
    with torch.no_grad():
        action = actor(*inputs.values())
    return {name: value.double().tolist() for name, value in {**inputs, "action": action}.items()}


def _parity(model: onnx.ModelProto, reference: dict[str, Any]) -> float:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {item.name: np.array(reference[item.name], np.float32) for item in session.get_inputs()}
    return float(np.abs(session.run(None, inputs)[0] - np.array(reference["action"])).max())


def _metadata(config: ExportConfig, spec: RobotSpec, reference: dict[str, Any], samples: int) -> dict[str, Any]:
    sees = config.mode == "multi"
    return {
        "schema": SCHEMA,
        "kind": "policy",
        "mode": config.mode,
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "joint_names": list(spec.joint_names),
        "default_position": spec.default_position.tolist(),
        "kp": [spec.kp] * 12,
        "kd": [spec.kd] * 12,
        "action_scale": spec.action_scale,
        "control_dt": spec.control_dt,
        "observation": observation.as_metadata(observation.PROPRIOCEPTION),
        "context": {"robot": CONTEXT_SIZE, "terrain": CONTEXT_SIZE} if sees else {"robot": 0, "terrain": 0},
        "dynamics_digest": _bank_digest(config.bank) if sees else None,
        "action_limit": ACTION_LIMIT,
        "samples": samples,
        "reference": reference,
        "seal": PLACEHOLDER,
    }


def _bank_digest(bank: Path | None) -> str:
    from safetensors import safe_open

    if bank is None:
        raise ValueError("mode 'multi' needs the context bank it was trained with: give --bank")
    with safe_open(bank, framework="np") as file:
        return json.loads(file.metadata()["dmcm"])["dynamics_digest"]
