"""`dmcm bench commands`: how the policies of a folder follow commands in every direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.drivers import RobotName

DYNAMICS = "dynamics.onnx"  # no policy


@dataclass(frozen=True)
class CommandsBenchConfig:
    """Command simulated field robots ahead, back, sideways and around, each from standing, and see what they do.

    A policy on contexts is told the nominal robot's, and again the one that each robot's 20 s on flat ground gave.

    Attributes:
        robot: which robot.
        models: folder with the policies; the shipped one by default.
        policies: ONNX files in it; all by default.
        robots: how many of the wide ranges, besides a nominal one.
        seed: of the robots.
        workers: processes; 0 takes every core.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    models: Path | None = None
    policies: tuple[str, ...] = ()
    robots: int = 9
    seed: int = 0
    workers: int = 0
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Walk and print the table."""
    import os

    import tyro

    import models
    from benchmarks import commands
    from cli.record import check_output, write_figures

    config = tyro.cli(CommandsBenchConfig, prog="dmcm bench commands", args=arguments)
    check_output(config.json)
    for name in ("robots", "workers"):
        if getattr(config, name) < 0:
            raise ValueError(f"--{name} {getattr(config, name)}: give 0 or more")
    folder = config.models or models.folder(config.robot)
    names = config.policies or sorted(path.name for path in folder.glob("*.onnx") if path.name != DYNAMICS)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        what = missing[0] if missing else "policy"
        raise FileNotFoundError(f"there is no {what} in {folder}: give --models a folder of policies")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    jobs = commands.walks(config.robot, folder, names, config.robots, config.seed)
    rows = commands.follow_all(jobs, config.workers or os.cpu_count() or 1)
    figures = {"robot": config.robot, "robots": config.robots, "rows": rows}
    print(commands.markdown(figures))
    write_figures(config.json, figures, ["bench", "commands", *arguments], config.seed)
