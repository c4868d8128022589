"""Runs an exported policy on batches of the environment's observations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from tensordict import TensorDict

GROUPS = {"observation": "proprioception", "robot_context": "robot_context", "terrain_context": "terrain_context"}


def load(path: Path) -> Callable[[TensorDict], torch.Tensor]:
    """Return a function from the environment's observations to actions (n, 12).

    Raises:
        FileNotFoundError: if there is no such file.
    """
    if not path.exists():
        raise FileNotFoundError(f"no policy at {path}: train one (dmcm train policy) and export it (dmcm export)")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def act(observations: TensorDict) -> torch.Tensor:
        inputs = {name: observations[GROUPS[name]].numpy() for name in names}
        return torch.from_numpy(session.run(None, inputs)[0])

    return act
