"""The field's gradient step as one ONNX graph: loss, gradients, error and prediction for any number of samples."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import robots
from dynamics_model.bank import load_bank
from dynamics_model.dataset import Windows
from dynamics_model.network import DynamicsModel, ModelInfo
from robots.frame import FRAME, FRAME_SIZE, STATE_SIZE
from robots.seal import PLACEHOLDER, seal

SCHEMA = 1
OPSET = 18
INPUTS = ("frames", "targets", "mask", "robot_context", "terrain_context")
OUTPUTS = ("loss", "gradient_robot", "gradient_terrain", "error", "prediction")
TOLERANCE = 3e-6  # float32 summed in another order; typically 5e-7
REFERENCE_SAMPLES = 4


@dataclass(frozen=True)
class ExportConfig:
    """What to export.

    Attributes:
        model: `model.safetensors` of a training run.
        bank: the context bank made with it; gives probes and the nominal robot.
        output: the ONNX file.
    """

    model: Path
    bank: Path
    output: Path


def run(config: ExportConfig) -> Path:
    """Export the model and return the file's path.

    Raises:
        FileNotFoundError, ValueError: for unusable files, or if onnxruntime does not agree with torch.
    """
    model, info = DynamicsModel.load(config.model)
    bank = load_bank(config.bank)
    if bank.metadata["dynamics_digest"] != model.digest():
        raise ValueError(f"{config.bank}: made with another dynamics model than {config.model}, build it again")
    export(model, info, bank.metadata["probes"], config.output)
    return config.output


def adaptation(model: DynamicsModel) -> Callable[..., tuple[Tensor, ...]]:
    """Return the function that is exported.

    It takes raw `frames` [N, H * FRAME_SIZE], `targets` [N, STATE_SIZE], `mask` [N], `robot_context` and
    `terrain_context`. It returns the masked mean `loss`; the gradients of what adaptation minimises, loss and prior,
    each entry times its own learned rate, so that one step is `context -= inner_rate * gradient`; the squared `error`
    of each sample in units of the targets' variance [N]; the raw `prediction` [N, STATE_SIZE].
    """
    learner, single = model.learner, model.config.single
    rates = learner.split(learner.rate().detach())

    def objective(robot: Tensor, terrain: Tensor, frames: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        batch = model.normalise(Windows(frames, targets))
        predicted = learner.predict(batch.x, robot + terrain if single else torch.cat([robot, terrain]))
        points = mask.sum().clamp_min(1e-12)
        loss = (learner.loss(predicted, batch.y) * mask).sum() / points
        held = 0.0 if single else terrain.square().sum()
        pull = 0.5 * learner.prior / points * (robot.square().sum() + held)
        error = (predicted - batch.y).square().mean(-1)
        return loss + pull, (loss, error, predicted * model.target_std)

    gradient = torch.func.grad_and_value(objective, argnums=(0, 1), has_aux=True)

    def step(frames: Tensor, targets: Tensor, mask: Tensor, robot: Tensor, terrain: Tensor) -> tuple[Tensor, ...]:
        (g_robot, g_terrain), (_, (loss, error, prediction)) = gradient(robot, terrain, frames, targets, mask)
        return loss, g_robot * rates["robot"], g_terrain * rates.get("terrain", rates["robot"]), error, prediction

    return step


def example(model: DynamicsModel, count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Return plausible random inputs of the exported function with `count` samples, a third of them masked out."""
    random = torch.Generator().manual_seed(seed)
    mean, std = model.frame_mean.repeat(model.config.history), model.frame_std.repeat(model.config.history)
    frames = mean + std * torch.randn(count, model.config.history * FRAME_SIZE, generator=random)
    targets = model.target_std * torch.randn(count, STATE_SIZE, generator=random)
    mask = (torch.rand(count, generator=random) > 1 / 3).float()
    mask[0] = 1.0
    robot, terrain = (torch.randn(size, generator=random) * 0.3 for size in model.context_sizes)
    return frames, targets, mask, robot, terrain


def export(model: DynamicsModel, info: ModelInfo, probes: list[dict[str, Any]], path: Path) -> None:
    """Write the graph with its metadata to one file, after onnxruntime has agreed with torch.

    Raises:
        ValueError: if they disagree by more than TOLERANCE.
    """
    if model.config.torque:
        raise ValueError(f"{path}: a model that takes joint torques cannot adapt in the field, train one without")
    model.requires_grad_(False)
    inputs = example(model, 101)  # unlike any other size: the tracer takes equal sizes to be the same
    with _quiet():
        graph = make_fx(adaptation(model), tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)
        for node in graph.graph.nodes:
            node.meta.clear()  # tensors of the tracer, which the exporter must not meet
        samples = torch.export.Dim("N", min=1, max=1_000_000)
        program = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: samples}, {0: samples}, {0: samples}, None, None),
            external_data=False,
            verbose=False,
        )
    proto = program.model_proto
    for node in proto.graph.node:
        node.ClearField("metadata_props")  # traces, with the paths of this machine
    entry = proto.metadata_props.add()
    entry.key, entry.value = "dmcm", json.dumps(metadata(model, info, probes))
    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(proto.SerializeToString())
    worst = disagreement(model, temporary)
    if worst > TOLERANCE:
        temporary.unlink()
        raise ValueError(f"{path}: onnxruntime differs from torch by {worst:.1e} (relative), nothing was written")
    seal(temporary)
    os.replace(temporary, path)


def disagreement(model: DynamicsModel, path: Path, counts: tuple[int, ...] = (1, 64, 800)) -> float:
    """Return the largest difference between onnxruntime and torch, as norms, relative to each output's."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in counts:
        inputs = example(model, count, seed=count)
        expected = adaptation(model)(*inputs)
        found = session.run(list(OUTPUTS), {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)})
        for a, b in zip(expected, found, strict=True):
            exact = a.detach().numpy().astype(float)
            worst = max(worst, float(np.linalg.norm(exact - b) / max(np.linalg.norm(exact), 1e-12)))
    return worst


def metadata(model: DynamicsModel, info: ModelInfo, probes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the field must know of the graph, with one worked example."""
    inputs = example(model, REFERENCE_SAMPLES, seed=1)
    outputs = adaptation(model)(*inputs)
    named = dict(zip((*INPUTS, *OUTPUTS), (*inputs, *outputs), strict=True))
    return {
        "schema": SCHEMA,
        "kind": "dynamics",
        "robot": info.robot,
        "robot_digest": info.robot_digest,
        "joint_names": list(robots.load(info.robot).joint_names),
        "control_dt": info.control_dt,
        "history": model.config.history,
        "frame": [{"name": name, "size": size} for name, size in FRAME],
        "context": dict(zip(("robot", "terrain"), model.context_sizes, strict=True)),
        "inner_rate": {"robot": info.inner_rate, "terrain": info.inner_rate},
        "inner_steps": info.inner_steps,
        "gradient": "of loss and prior, times the learned rate of every entry: context -= inner_rate * gradient",
        "prior": model.learner.prior,
        "loss": model.config.loss,
        "noise": info.noise,
        "digest": model.digest(),
        "probes": probes,
        "validation": info.validation,
        "reference": {name: value.tolist() for name, value in named.items()},
        "seal": PLACEHOLDER,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's log and warnings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
