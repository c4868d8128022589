"""The shipped artifacts, one folder per robot: ONNX models, context bank and model card."""

from __future__ import annotations

from pathlib import Path


def folder(robot: str) -> Path:
    """Return where the artifacts of `robot` are, if any are shipped for it."""
    return Path(__file__).parent / robot


def path(robot: str) -> Path:
    """Return the folder that holds the artifacts of `robot`.

    Raises:
        FileNotFoundError: if nothing is shipped for that robot.
    """
    root, found = Path(__file__).parent, folder(robot)
    if not robot.isidentifier() or not found.is_dir():
        shipped = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("_"))
        others = f"there are some for {', '.join(shipped)}" if shipped else "there are none for any robot"
        raise FileNotFoundError(
            f"no models are shipped for robot '{robot}', {others}: `dmcm train all --robot {robot}` makes them; give "
            "their folder as --model-dir"
        )
    return found
