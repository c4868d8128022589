"""Reads the networks that another training starts from: those of a checkpoint, or the actor of an exported policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from policy import checkpoint

EPSILON = 1e-2  # rsl_rl's EmpiricalNormalization


def read(path: Path) -> dict[str, Any]:
    """Return what `Runner.start_from` takes over: all of a checkpoint, or the "actor_state_dict" of an ONNX file.

    An ONNX file from `dmcm export` has neither critic nor exploration noise nor terrain levels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither a checkpoint nor an exported policy.
    """
    return {"actor_state_dict": _actor(path)} if path.suffix == ".onnx" else checkpoint.read(path)


def _actor(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no policy at {path}: give a model_<samples>.pt of a run, or an exported policy")
    try:
        model = onnx.load(path)
        metadata = next(json.loads(entry.value) for entry in model.metadata_props if entry.key == "dmcm")
        weights = {
            item.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(item))) for item in model.graph.initializer
        }
        mean, scale = weights["mean"], next(_normalizer(model, weights))
        std = scale - EPSILON
        state = {name: value for name, value in weights.items() if name.startswith("mlp.")}
        count = torch.tensor(int(metadata["samples"]))
    except Exception as problem:  # onnx raises errors of many kinds for a damaged file
        raise ValueError(f"{path} is not a policy that `dmcm export` wrote from a checkpoint, or damaged") from problem
    normalizer = {"_mean": mean, "_std": std, "_var": std.square(), "count": count}
    return {**state, **{f"obs_normalizer.{name}": value for name, value in normalizer.items()}}


def _normalizer(model: onnx.ModelProto, weights: dict[str, torch.Tensor]):
    """Yield what the observation less its mean is divided by."""
    yield from (
        weights[node.input[1]] for node in model.graph.node if node.op_type == "Div" and node.input[1] in weights
    )
