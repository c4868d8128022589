"""`dmcm bench motion`: which 20 s of commands tell most of a robot, on simulated field robots that nobody described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.drivers import RobotName
from cli.record import check_output, write_figures

BASELINE = "forward"  # constant speed, which the designed motion is compared with


@dataclass(frozen=True)
class MotionBenchConfig:
    """Compare motions by what the readings of the robots that walk them are worth.

    Attributes:
        robot: which robot; its shipped models are used.
        motions: names from `benchmarks.motions`; all of them by default.
        robots: how many, drawn from the wide factor ranges.
        seed: of the robots: 1000 is the set that the shipped motion was chosen on, 2000 the held-out set.
        folder: where walks are kept, so that none is walked twice.
        model_dir: folder with models; the shipped ones by default.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    motions: tuple[str, ...] = ()
    robots: int = 24
    seed: int = 2000
    folder: Path = Path("runs/walks")
    model_dir: Path | None = None
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Walk, adapt, compare, print."""
    import tyro

    config = tyro.cli(MotionBenchConfig, prog="dmcm bench motion", args=arguments)
    check_output(config.json)
    figures = bench(config)
    _print(figures["motions"])
    write_figures(config.json, figures, ["bench", "motion", *arguments], config.seed)


def bench(config: MotionBenchConfig) -> dict[str, Any]:
    """Return the figures of every motion over the same robots."""
    from rich.progress import track

    import models
    from benchmarks.field_trials import draw_robots, jobs, parallel, walk
    from benchmarks.motion_bench import examine, score, summary
    from benchmarks.motions import candidates

    folder, known = config.model_dir or models.path(config.robot), candidates()
    unknown = [name for name in config.motions if name not in known]
    if unknown:
        raise ValueError(f"there is no motion '{unknown[0]}': choose from {', '.join(known)}")
    chosen = {name: known[name] for name in config.motions or known}
    todo = jobs(config.robot, folder, chosen, draw_robots(config.robots, config.seed), config.seed, config.folder)
    walks = list(track(parallel(walk, todo), "walking", total=len(todo), transient=True))
    examined = parallel(examine, [(one, config.robot, folder) for one in walks])
    found = list(track(examined, "adapting", total=len(walks), transient=True))
    figures = {name: summary([f for f in found if f.walk.motion == name]) for name in chosen}
    if BASELINE in figures:
        for one in figures.values():
            one["score"] = score(one, figures[BASELINE])
    return {"robots": config.robots, "motions": figures}


def _print(motions: dict[str, Any]) -> None:
    names = ("fell", "refused", "left_area", "payload", "kp", "kd", "payload_torques", "kp_torques", "leg_right")
    print(f"{'':<10}" + "".join(f"{name:>17}" for name in (*names, "held_out")))
    for name, figures in motions.items():
        cells = (f"{figures.get(key, float('nan')):17.3g}" for key in (*names, "held_out"))
        print(f"{name:<10}" + "".join(cells))
