"""What training runs have left in their folders: their figures, their configurations, and how to go on with them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

CONFIG, PROGRESS = "config.json", "progress.jsonl"


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Attributes:
        command: what was typed.
        folder: in which it was typed.
        commit: of the code.
        date: when, ISO 8601.
    """

    command: str
    folder: str
    commit: str
    date: str

    @classmethod
    def now(cls, words: Sequence[str], commit: str) -> Origin:
        """Return the origin of a run that begins now with the words of its command, by torchrun if that started it."""
        count = os.environ.get("LOCAL_WORLD_SIZE", "1")
        if count != "1":
            words = ["torchrun", "--standalone", "--nproc-per-node", count, "--no-python", "--", *words]
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(shlex.join(words), os.getcwd(), commit, date)

    def resume(self) -> str:
        """Return the command that goes on with the run, for any shell in any folder."""
        go_on = self.command if "--resume" in shlex.split(self.command) else f"{self.command} --resume"
        return go_on if self.folder == os.getcwd() else f"cd {shlex.quote(self.folder)} && {go_on}"


@dataclass(frozen=True)
class Run:
    """A training run as it lies in its folder.

    Attributes:
        path: the folder.
        config: its configuration.
        last: the last line of its progress, empty if it has none.
        samples: of its newest checkpoint.
        origin: where it comes from; None for a run of an earlier version.
    """

    path: Path
    config: Mapping[str, Any]
    last: Mapping[str, Any]
    samples: int
    origin: Origin | None

    @property
    def finished(self) -> bool:
        """Whether it has all its samples."""
        return self.samples >= float(self.config.get("samples", 0))


def read(path: Path) -> Run:
    """Return the run in the folder `path`.

    Raises:
        FileNotFoundError: if no run is there.
        ValueError: if its configuration is damaged.
    """
    file = path / CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"no run at {path}: give a folder that `dmcm train policy` wrote ({CONFIG} in it)")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        origin = config.pop("origin", None)
        origin = Origin(**origin) if origin else None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: it is not what `dmcm train policy` writes") from error
    counts = [int(c.stem.split("_")[1]) for c in path.glob("model_*.pt") if c.stem.split("_")[1].isdigit()]
    return Run(path, config, _last(path / PROGRESS), max(counts, default=0), origin)


def find(folder: Path) -> list[Run]:
    """Return the runs in a folder and under it, the newest first.

    Raises:
        FileNotFoundError: if there is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: give the one that holds the runs")
    files = [file for file in folder.rglob(CONFIG) if '"ppo"' in file.read_text(encoding="utf-8", errors="replace")]
    if not files:
        raise FileNotFoundError(f"no runs in {folder}: `dmcm train policy --run {folder}/NAME` makes one")
    return [read(file.parent) for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return the key figures of the runs, a row each, as they are shown."""
    return [_row(run) for run in runs]


def _row(run: Run) -> dict[str, str]:
    total, levels = float(run.config.get("samples", 0)), run.last.get("levels") or {}
    level = sum(levels.values()) / len(levels) if levels else None
    return {
        "run": str(run.path),
        "when": run.origin.date[:16].replace("T", " ") if run.origin else "",
        "mode": str(run.config.get("mode", "")),
        "robot": str(run.config.get("env", {}).get("robot", "")),
        "samples": f"{run.samples / 1e6:.3g} M" + ("" if run.finished else f" of {total / 1e6:g}"),
        "reward": _shown(run.last.get("reward"), ".2f"),
        "falls": _shown(run.last.get("falls"), ".0%"),
        "level": _shown(level, ".1f"),
        "samples/s": _shown(run.last.get("samples_per_s"), ",.0f"),
        "seed": str(run.config.get("seed", "")),
        "commit": run.origin.commit if run.origin else "",
    }


def differences(a: Run, b: Run) -> list[tuple[str, str, str]]:
    """Return the options in which two runs differ: name, value of the first, value of the second."""
    first, second = _flat(a.config), _flat(b.config)
    differing = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    names = [name for name in differing if name not in ("run", "resume")]
    found = [(f"--{name.replace('_', '-')}", _option(first.get(name)), _option(second.get(name))) for name in names]
    commits = [run.origin.commit if run.origin else "unknown" for run in (a, b)]
    return found + ([("commit", *commits)] if commits[0] != commits[1] else [])


def _last(path: Path) -> dict[str, Any]:
    """Return the last whole line of a progress file: a run that was killed may have cut one short."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        lines = file.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return {}


def _flat(config: Mapping[str, Any], under: str = "") -> dict[str, Any]:
    """Return the options by their names on the command line."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found.update(_flat(value, f"{under}{name}.") if isinstance(value, Mapping) else {f"{under}{name}": value})
    return found


def _option(value: Any) -> str:
    return "-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
