"""The context file that the controller reads: written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from calibration.adapt import Adaptation
from calibration.errors import RefusedError
from calibration.torques import Direct
from deploy.gains import NOMINAL, Gains
from robots.spec import RobotSpec

SCHEMA = 1


def as_dict(
    found: Adaptation,
    torques: Sequence[Direct],
    spec: RobotSpec,
    dynamics_digest: str,
    terrain: str,
    log: Mapping[str, Any],
    command: str,
    gains: Gains = NOMINAL,
    walks_with: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the content of a context file.

    Args:
        found: context, uncertainty, errors and readings.
        torques: what the joint torques say, beside the context.
        spec: the robot.
        dynamics_digest: of the model that gives the context its meaning.
        terrain: name of the ground that was walked on.
        log: file, sha256, seconds and samples of the log.
        command: what was typed.
        gains: factors on the gains with which to walk.
        walks_with: context to walk with, if it is not the one found.
    """
    return {
        "schema": SCHEMA,
        "kind": "context",
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "dynamics_digest": dynamics_digest,
        "robot_context": _numbers(found.context if walks_with is None else walks_with),
        "found_context": _numbers(found.context),
        "gains": {**asdict(gains), "legs": list(gains.legs)},
        "terrain": terrain,
        "uncertainty": _numbers(found.uncertainty),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "log": dict(log),
        "error": {"before": found.before, "after": found.after},
        "nominal": found.nominal,
        "readings": [asdict(reading) for reading in found.readings],
        "torque_readings": [asdict(reading) for reading in torques],
        "command": command,
        "version": version(),
    }


def check_writable(path: Path) -> None:
    """Make sure, before any work, that the file can be written.

    Raises:
        RefusedError: if it cannot.
    """
    if path.is_dir():
        raise RefusedError(f"output {path} is a folder: give a file in it, such as {path / 'context.json'}")
    if not path.parent.is_dir():
        raise RefusedError(f"output {path} cannot be written: folder {path.parent} does not exist, make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def write(content: Mapping[str, Any], path: Path) -> None:
    """Write the context file, or leave what was there as it was.

    Raises:
        RefusedError: if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def log_sha256(path: Path) -> str:
    """Return the SHA-256 of a log file, or of a folder's files one after the other, in order of their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file()):
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def version() -> str:
    """Return the installed version of the stack, or "unknown"."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("dmcm")
    except PackageNotFoundError:
        return "unknown"


def _numbers(values: np.ndarray) -> list[float]:
    return [float(value) for value in values]


def _unwritable(path: Path, error: OSError) -> RefusedError:
    reason = error.strerror or type(error).__name__
    return RefusedError(f"output {path} cannot be written ({reason}): free space or give another --out")
