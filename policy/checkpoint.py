"""Reads checkpoints: tensors and plain numbers, nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint that a training run wrote, on the CPU; of a run's folder, the newest one's.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is not a checkpoint, or damaged.
    """
    path = newest(path) or path
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: give a run's folder, or a model_<samples>.pt in it")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"actor_state_dict", "critic_state_dict", "samples", "levels"} - set(state)
    except Exception as error:  # torch raises errors of many kinds for a damaged file
        raise ValueError(f"{path} is not a checkpoint, or damaged: copy it again or take an earlier one") from error
    if missing:
        raise ValueError(f"{path} is not a policy's checkpoint ({', '.join(sorted(missing))} missing)")
    return state


def newest(run: Path) -> Path | None:
    """Return the checkpoint of the most samples in a run's folder, or None."""
    found = sorted(run.glob("model_*.pt"), key=lambda path: int(path.stem.split("_")[1]))
    return found[-1] if found else None
