"""Runs an exported policy on batches of the environment's observations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from tensordict import TensorDict


def load(path: Path) -> Callable[[TensorDict], torch.Tensor]:
    """Return a function from the environment's observations to actions (n, 12).

    Raises:
        FileNotFoundError: if there is no such file.
    """
    session = _session(path)
    names = [item.name for item in session.get_inputs()]
    frames = "history" if _metadata(session).get("history", 1) > 1 else "proprioception"

    def act(observations: TensorDict) -> torch.Tensor:
        groups = {name: frames if name == "observation" else name for name in names}
        inputs = {name: observations[group].cpu().numpy() for name, group in groups.items()}
        return torch.from_numpy(session.run(None, inputs)[0])

    return act


def metadata(path: Path) -> dict[str, Any]:
    """Return what an exported policy says of itself: mode, history, sizes of its contexts, ...

    Raises:
        FileNotFoundError: if there is no such file.
    """
    return _metadata(_session(path))


def _session(path: Path) -> onnxruntime.InferenceSession:
    if not path.exists():
        raise FileNotFoundError(f"no policy at {path}: train one (dmcm train policy) and export it (dmcm export)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # idle threads of its own would spin beside the physics, a quarter of two cores
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _metadata(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    return json.loads(session.get_modelmeta().custom_metadata_map.get("dmcm", "{}"))
