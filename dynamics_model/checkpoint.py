"""Training state on disk: one safetensors file with weights, optimizer and random state, and JSON in its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynamics_model.network import ModelError, read_safetensors, write_safetensors

SCHEMA = 1
KIND = "dynamics_checkpoint"


def save_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None, state: dict[str, Any]
) -> None:
    """Write modules, optimizer, the random state and `state` (JSON), atomically."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    for prefix, module in modules.items():
        for name, value in module.state_dict().items():
            tensors[f"{prefix}.{name}"] = value.detach().clone().contiguous()
    if optimizer is not None:
        for index, entry in optimizer.state_dict()["state"].items():
            for name, value in entry.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).clone().contiguous()
    write_safetensors(path, tensors, {"schema": SCHEMA, "kind": KIND, "state": state})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the state that `save_checkpoint` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelError: if it is damaged or of another kind.
    """
    tensors, header = read_safetensors(path, KIND, SCHEMA)
    return tensors, header["state"]


def restore(tensors: dict[str, Tensor], modules: dict[str, nn.Module], path: Path) -> None:
    """Put modules and the random state back.

    Raises:
        ModelError: if the checkpoint is of other modules.
    """
    try:
        for prefix, module in modules.items():
            module.load_state_dict(_part(tensors, prefix))
    except RuntimeError as error:
        raise ModelError(f"{path}: made with another configuration or dataset, start without resume") from error
    torch.set_rng_state(tensors["random"])


def restore_optimizer(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Put the optimizer's moments back; without any in the checkpoint it stays as it is."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    if state:
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}
