"""Reads checkpoints: tensors, numbers and text, nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from policy import runs


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
        missing = {"actor_state_dict", "samples", "levels"} - set(state)
    except Exception as error:  # torch raises errors of many kinds for a damaged file
        raise ValueError(f"{path} is not a checkpoint, or damaged: copy it again or take an earlier one") from error
    if missing:
        raise ValueError(f"{path} is not a policy's checkpoint ({', '.join(sorted(missing))} missing)")
    return state


def metadata(path: Path, state: dict[str, Any]) -> dict[str, str | None]:
    """Return what is known of a checkpoint's policy, by the names that an exported one has: robot, mode, digests.

    Args:
        path: where the checkpoint was read: the file, or its run's folder.
        state: its content. That of an earlier version does not tell; the run's configuration knows the robot.

    Raises:
        ValueError: if the run's configuration is needed and damaged.
    """
    if "metadata" in state:
        return state["metadata"]
    folder = path if path.is_dir() else path.parent
    known = runs.read(folder).config if (folder / runs.CONFIG).is_file() else {}
    return {"robot": known.get("env", {}).get("robot")}


def newest(run: Path) -> Path | None:
    """Return the checkpoint of the most samples in a run's folder, or None."""
    found = sorted(run.glob("model_*.pt"), key=lambda path: int(path.stem.split("_")[1]))
    return found[-1] if found else None
