"""What a collected dataset holds: coverage, falls, and a hash by which it is known again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from sim.factors import FACTOR_NAMES, FACTOR_UNITS


def describe(folder: Path) -> dict[str, Any]:
    """Return the data card of a folder of task files.

    `hash` is the SHA-256 over the files' own, in order of their names; `breaks_per_minute` counts how often a robot was
    put back to its start, because it fell or left its terrain, `falls_per_minute` the former alone, where files say;
    `factors` and `commands` hold minimum, quartiles and maximum.

    Raises:
        FileNotFoundError: if the folder holds no task files.
    """
    paths = sorted(folder.glob("task_*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{folder}: holds no task_*.safetensors files, run `dmcm collect` first")
    digest, commands, headers = hashlib.sha256(), [], []
    seconds, falls, breaks = Counter(), Counter(), Counter()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
        with safe_open(path, framework="np") as file:
            header = json.loads(file.metadata()["dmcm"])
            segment, command = file.get_tensor("segment"), file.get_tensor("command")
        name = header["terrain"]["name"]
        seconds[name] += len(segment) * header["control_dt"]
        breaks[name] += int(segment[-1])
        falls[name] += header.get("falls", np.nan)
        commands.append(command[::25])
        headers.append(header)
    robots = {header["robot_id"]: header["robot_factors"] for header in headers}
    drawn = np.array([[factors[name] for name in FACTOR_NAMES] for factors in robots.values()])
    walked = np.concatenate(commands)
    first = headers[0]
    return {
        "robot": first["robot"],
        "robot_digest": first["robot_digest"],
        "policy_sha256": first["policy_sha256"],
        "seed": first["seed"],
        "hash": digest.hexdigest(),
        "tasks": len(paths),
        "robots": len(robots),
        "seconds": round(sum(seconds.values()), 2),
        "transitions": round(sum(seconds.values()) / first["control_dt"]),
        "falls_per_minute": {n: None if np.isnan(falls[n]) else round(60 * falls[n] / seconds[n], 3) for n in seconds},
        "breaks_per_minute": {name: round(60 * breaks[name] / seconds[name], 3) for name in seconds},
        "factors": {name: _span(drawn[:, i]) for i, name in enumerate(FACTOR_NAMES)},
        "units": dict(FACTOR_UNITS),
        "commands": {name: _span(walked[:, i]) for i, name in enumerate(("forward", "left", "turning"))},
    }


def text(card: dict[str, Any]) -> str:
    """Return a data card as Markdown."""
    rows = [f"| {n} | {card['units'][n]} | {_quartiles(v)} |" for n, v in card["factors"].items()]
    rows += [f"| {n} | {'rad/s' if n == 'turning' else 'm/s'} | {_quartiles(v)} |" for n, v in card["commands"].items()]
    fell = {name: "—" if value is None else f"{value:.2f}" for name, value in card["falls_per_minute"].items()}
    falls = [f"| {name} | {fell[name]} | {value:.2f} |" for name, value in card["breaks_per_minute"].items()]
    return "\n".join(
        [
            f"# Data: {card['robot']}, {card['robots']} robots, {len(falls)} terrains",
            "",
            f"{card['tasks']} tasks, {card['seconds'] / 3600:.1f} h, {card['transitions']:,} transitions; seed "
            f"{card['seed']}; policy {card['policy_sha256'][:12]}; hash {card['hash'][:16]}.",
            "",
            "| | unit | minimum | quartile | median | quartile | maximum |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "| terrain | falls a minute | falls and robots that left their terrain |",
            "|---|---|---|",
            *falls,
            "",
        ]
    )


def _span(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0])]


def _quartiles(values: list[float]) -> str:
    return " | ".join(f"{value:g}" for value in values)
