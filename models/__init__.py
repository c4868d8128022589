"""The shipped artifacts, one folder per robot: ONNX models, context bank and model card."""

from __future__ import annotations

from pathlib import Path


def path(robot: str) -> Path:
    """Return the folder that holds the artifacts of `robot`.

    Raises:
        FileNotFoundError: if nothing is shipped for that robot.
    """
    root = Path(__file__).parent
    folder = root / robot
    if not robot.isidentifier() or not folder.is_dir():
        shipped = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("_"))
        others = f"there are some for {', '.join(shipped)}" if shipped else "there are none for any robot"
        raise FileNotFoundError(
            f"no models are shipped for robot '{robot}', {others}: `dmcm train all --robot {robot}` makes them; give "
            "their folder as --model-dir"
        )
    return folder
