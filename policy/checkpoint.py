"""Reads checkpoints: tensors and plain numbers, nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint that a training run wrote.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is not a checkpoint, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: give a model_<samples>.pt of a run")
    try:
        state = torch.load(path, weights_only=True)
        missing = {"actor_state_dict", "critic_state_dict", "samples", "levels"} - set(state)
    except Exception as error:  # torch raises errors of many kinds for a damaged file
        raise ValueError(f"{path} is not a checkpoint, or damaged: copy it again or take an earlier one") from error
    if missing:
        raise ValueError(f"{path} is not a policy's checkpoint ({', '.join(sorted(missing))} missing)")
    return state
