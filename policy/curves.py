"""Learning curves of several training runs side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.runs import PROGRESS, Run

# What a panel shows, and where a line of a run's progress holds it.
PANELS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "reward of an episode": lambda line: line["reward"],
    "episodes that end in a fall, %": lambda line: 100 * line["falls"],
    "level reached on stairs": lambda line: line["levels"]["stairs"],
}
SMOOTHED = 10  # iterations, each is the mean over the robots that ended an episode in it


def progress(run: Run) -> list[dict[str, Any]]:
    """Return the lines of a run's progress; of iterations made twice, after an interruption, the later.

    Raises:
        FileNotFoundError: if the run has none.
    """
    path = run.path / PROGRESS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the run {run.path} has made no iteration yet")
    found: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # cut short where a run was killed
            continue
        while found and found[-1]["samples"] >= line["samples"]:
            found.pop()
        found.append(line)
    return found


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw the runs' curves against their samples into an image: reward, falls and the stairs that they reach.

    Raises:
        FileNotFoundError: if a run has made no iteration.
        ValueError: if `path` does not end as an image does.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    if path.suffix[1:] not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"cannot write {path}: let its name end in .png, .svg or .pdf")
    axes = figure.subplots(1, len(PANELS))
    for place, run in enumerate(runs):
        lines = progress(run)
        for axis, (title, value) in zip(axes, PANELS.items(), strict=True):
            points = [(line["samples"] / 1e6, value(line)) for line in lines if _has(line, value)]
            look = {"color": f"C{place % 10}", "linestyle": ("-", "--", "-.", ":")[place % 4], "linewidth": 1.6}
            axis.plot(*_smooth(points), label=run.path.name, **look)
            axis.set(title=title, xlabel="samples, M")
    for axis in axes:
        axis.set_title(axis.get_title(), fontsize=10)
        axis.grid(linewidth=0.4)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    partial = path.with_name(f".{os.getpid()}{path.name}")
    figure.savefig(partial, dpi=130)
    os.replace(partial, path)


def _has(line: Mapping[str, Any], value: Callable[[Mapping[str, Any]], float]) -> bool:
    try:
        return value(line) is not None
    except (KeyError, TypeError):
        return False


def _smooth(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return places and means over the last iterations, as many as there are at the beginning."""
    windows = [points[max(0, i + 1 - SMOOTHED) : i + 1] for i in range(len(points))]
    return [w[-1][0] for w in windows], [sum(value for _, value in w) / len(w) for w in windows]
