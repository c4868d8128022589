"""Exports a checkpoint as one ONNX file that carries all a robot must know about it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

import robots
from policy import checkpoint
from policy.contexts import read_bank
from policy.modes import FRAME, Mode, inputs
from robots import observation
from robots.seal import PLACEHOLDER, seal
from sim.env import ACTION_LIMIT

SCHEMA = 1
PARITY = 1e-5  # largest difference between ONNX and torch
FARTHEST = 2.0  # times the root mean square of how far robots' contexts lay from their mean in training


@dataclass
class ExportConfig:
    """Export a policy checkpoint to ONNX.

    Attributes:
        checkpoint: model_<samples>.pt of a run, or the run's folder for its newest.
        out: the ONNX file.
        robot: the robot that it was trained for, which its checkpoint or the run's configuration beside that tells.
        mode: what the policy sees; its checkpoint tells, but for one of an earlier version, which is taken as vanilla.
        bank: the context bank that it was trained with, for the modes `single` and `multi`.
    """

    checkpoint: Path
    out: Path
    robot: str | None = None
    mode: Mode | None = None
    bank: Path | None = None


class _Deterministic(torch.nn.Module):
    """The actor's mean action from separate inputs, normalizer included.

    A robot's context that lies farther from the mean of those in training than nearly all of them is taken back on the
    line to the mean: what a network makes of a robot unlike any that it was trained with is a guess. In mode "single" a
    terrain's context is what it adds to the robot's, so that a context found on flat ground can be used elsewhere.
    """

    def __init__(self, state: dict[str, torch.Tensor], mode: Mode, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.single = mode == "single"
        self.told = slice(FRAME, FRAME + sizes.get("robot_context", 0))
        self.farthest = FARTHEST * sizes.get("robot_context", 0) ** 0.5
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
        values = torch.cat((inputs[0], inputs[1] + inputs[2]) if self.single else inputs, dim=-1)
        values = (values - self.mean) / (self.std + 1e-2)  # rsl_rl's EmpiricalNormalization
        if self.farthest:
            told = values[:, self.told]
            distance = torch.linalg.vector_norm(told, dim=-1, keepdim=True)
            near = told * (self.farthest / distance.clamp(min=self.farthest))
            values = torch.cat((values[:, : self.told.start], near, values[:, self.told.stop :]), dim=-1)
        return self.mlp(values)


def export(config: ExportConfig) -> float:
    """Write the ONNX file, atomically, and return the largest difference from torch.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if the checkpoint is of another robot, mode or dynamics model, or ONNX and torch disagree.
    """
    state = checkpoint.read(config.checkpoint)
    known = checkpoint.metadata(config.checkpoint, state)
    config = _complete(config, known)
    digest, contexts = read_bank(config.mode, config.bank)
    if known.get("dynamics_digest", digest) != digest:
        raise ValueError(
            f"{config.bank} is of another dynamics model than the bank that {config.checkpoint} was trained with: "
            "give that one"
        )
    width = state["actor_state_dict"]["obs_normalizer._mean"].shape[-1]
    sizes = inputs(config.mode, width, contexts)
    if sizes is None:
        raise ValueError(
            f"{config.checkpoint} takes {width} inputs, which mode '{config.mode}' has not: "
            "give the mode it was trained in"
        )
    actor = _Deterministic(state["actor_state_dict"], config.mode, sizes).eval()
    reference = _reference(actor, sizes)
    model = _to_onnx(actor, sizes)
    metadata = _metadata(config, sizes, digest, reference, int(state["samples"]))
    worst = _parity(model, reference)
    if worst > PARITY:
        raise ValueError(f"ONNX and torch differ by {worst:.2e}, more than {PARITY}: nothing was written")
    write(model, metadata, config.out)
    return worst


def _complete(config: ExportConfig, known: Mapping[str, str | None]) -> ExportConfig:
    """Return the configuration with the robot and the mode that the checkpoint is of."""
    path = config.checkpoint
    for name, typed in (("robot", config.robot), ("mode", config.mode)):
        if known.get(name) and typed and typed != known[name]:
            raise ValueError(f"{path} is of {name} '{known[name]}', not '{typed}': leave out --{name}")
    robot = config.robot or known.get("robot")
    if robot is None:
        raise ValueError(f"{path} does not tell which robot it was trained for: give --robot")
    digest = robots.load(robot).digest()
    if known.get("robot_digest", digest) != digest:
        raise ValueError(
            f"{path} was trained for a {robot} with other constants than robots/{robot} has now: train again, or "
            "export it with the version that trained it"
        )
    return replace(config, robot=robot, mode=config.mode or known.get("mode") or "vanilla")


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
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")  # traces, with the paths of this machine
    return model


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


def _metadata(
    config: ExportConfig, sizes: dict[str, int], digest: str | None, reference: dict[str, Any], samples: int
) -> dict[str, Any]:
    spec = robots.load(config.robot)
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
        "history": sizes["observation"] // FRAME,
        "context": {"robot": sizes.get("robot_context", 0), "terrain": sizes.get("terrain_context", 0)},
        "dynamics_digest": digest,
        "action_limit": ACTION_LIMIT,
        "samples": samples,
        "reference": reference,
        "seal": PLACEHOLDER,
    }
