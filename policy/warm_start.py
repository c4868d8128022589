"""Reads the networks that another training starts from: those of a checkpoint, or the actor of an exported policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from policy import checkpoint
from policy.modes import FRAME
from sim.env import ContextTable

EPSILON = 1e-2  # rsl_rl's EmpiricalNormalization


def read(path: Path) -> dict[str, Any]:
    """Return what `Runner.start_from` takes over: all of a checkpoint, or actor and metadata of an ONNX file.

    An ONNX file from `dmcm export` has neither critic nor exploration noise nor terrain levels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither a checkpoint nor an exported policy.
    """
    if path.suffix == ".onnx":
        return _exported(path)
    state = checkpoint.read(path)
    return {**state, "metadata": checkpoint.metadata(path, state)}


def _exported(path: Path) -> dict[str, Any]:
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
    actor = {**state, **{f"obs_normalizer.{name}": value for name, value in normalizer.items()}}
    return {"actor_state_dict": actor, "metadata": metadata}


def _normalizer(model: onnx.ModelProto, weights: dict[str, torch.Tensor]):
    """Yield what the observation less its mean is divided by."""
    yield from (
        weights[node.input[1]] for node in model.graph.node if node.op_type == "Div" and node.input[1] in weights
    )


def forget_contexts(actor: dict[str, torch.Tensor]) -> None:
    """Take from an actor all inputs but a frame, as if it were told the mean of what it was told in training."""
    for name in ("mlp.0.weight", "obs_normalizer._mean", "obs_normalizer._std", "obs_normalizer._var"):
        actor[name] = actor[name][:, :FRAME]


def widen(actor: dict[str, torch.Tensor], groups: list[str], history: int, contexts: ContextTable | None) -> None:
    """Give an actor that sees one frame the inputs of other observation groups, at zero weight; else do nothing.

    Args:
        actor: its state, changed in place.
        groups: what it is to see, see `policy.modes`.
        history: frames in the group `history`; the newest is the last.
        contexts: over which the contexts are normalised.
    """
    if actor["mlp.0.weight"].shape[1] != FRAME:
        return
    mean, var = actor["obs_normalizer._mean"], actor["obs_normalizer._var"]
    before = history - 1 if "history" in groups else 0
    means, variances = [mean] * (before + 1), [var] * (before + 1)
    for name in groups:
        if name.endswith("_context") and contexts is not None:
            values = torch.as_tensor(getattr(contexts, f"{name}s")).float()
            values = values.reshape(-1, values.shape[-1])
            means.append(values.mean(dim=0, keepdim=True))
            variances.append(values.var(dim=0, correction=0, keepdim=True))
    actor["obs_normalizer._mean"], actor["obs_normalizer._var"] = torch.cat(means, dim=1), torch.cat(variances, dim=1)
    actor["obs_normalizer._std"] = actor["obs_normalizer._var"].sqrt()
    known = actor["mlp.0.weight"]
    wide = torch.zeros(len(known), actor["obs_normalizer._mean"].shape[1])
    wide[:, before * FRAME : (before + 1) * FRAME] = known
    actor["mlp.0.weight"] = wide
