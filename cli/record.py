"""The `--json FILE` of every command that measures: its figures and where they come from."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def check_output(path: Path | None) -> None:
    """Check that `path` can be written, before a long measurement instead of after it.

    Raises:
        ValueError: if its folder does not exist, cannot be written to, or `path` is a folder.
    """
    if path is None:
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {folder}")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"cannot write {path}: the folder {folder} is not writable")


def write_figures(
    path: Path | None,
    figures: Mapping[str, Any],
    command: Sequence[str] | None = None,
    seed: int | None = None,
    program: str = "dmcm",
) -> None:
    """Write `figures` to `path`, atomically, with command line, seed, commit, date and machine under the key `run`.

    Args:
        path: the file; None writes nothing.
        figures: what was measured: nested mappings and sequences of numbers (numpy's too) and text. A number that is
            not finite becomes null.
        command: the arguments after the program, the process's by default.
        seed: of the random numbers.
        program: what was run.

    Raises:
        ValueError: if a figure is called `run`.
    """
    if "run" in figures:
        raise ValueError("a figure cannot be called 'run': that is where its provenance goes")
    if path is None:
        return
    origin = {
        "command": f"{program} {shlex.join(map(_anywhere, sys.argv[1:] if command is None else command))}",
        "seed": seed,
        "commit": commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
    }
    text = json.dumps(_plain({**figures, "run": origin}), indent=2, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def commit() -> str:
    """Return the commit that this code is at, `-dirty` appended if files differ from it; 'unknown' outside git."""
    if not (ROOT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Return processor, number of usable cores, operating system and Python version."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": cores,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _anywhere(word: str) -> str:
    """Return a word of a command line as another machine would write it: a path below this folder, or its last name."""
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else f"PATH/{path.name}"


def _plain(value: Any) -> Any:
    """Return `value` as what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
