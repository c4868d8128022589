"""`dmcm bench sysid`: MuJoCo's own system identification against adaptation, on the same walks and stairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cli.record import check_output, write_figures


@dataclass(frozen=True)
class SysidBenchConfig:
    """Identify and adapt on held-out field robots' calibration walks, and climb stairs with what each found.

    The policy is the shipped one on contexts; factors become a context by a linear map fitted on the context bank.

    Attributes:
        robot: which robot; its shipped models are used.
        motion: name from `benchmarks.motions` of what is walked.
        robots: how many, drawn from the wide factor ranges; those that fall give nothing.
        seed: of the robots.
        climbers: how many of them climb.
        trials: climbs of each with each context.
        rise: of a step, m.
        steps: number of steps.
        folder: where walks are kept, so that none is walked twice.
        model_dir: folder with models; the shipped ones by default.
        json: file for the figures.
    """

    robot: Literal["go1"] = "go1"
    motion: str = "shipped"
    robots: int = 24
    seed: int = 2000
    climbers: int = 24
    trials: int = 1
    rise: float = 0.17
    steps: int = 7
    folder: Path = Path("runs/walks")
    model_dir: Path | None = None
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Walk, identify, adapt, climb, print."""
    import tyro

    config = tyro.cli(SysidBenchConfig, prog="dmcm bench sysid", args=arguments)
    check_output(config.json)
    figures = bench(config)
    for way, row in figures["accuracy"].items():
        gains = f"kp {row['kp']:.1%}   kd {row['kd']:.1%}"
        print(f"{way:<8} payload {row['payload']:.2f} kg   {gains}   {row['seconds']:.2f} s")
    for way, row in figures["climbs"].items():
        print(f"{way:<14} on top {row['successes']} of {row['trials']}")
    write_figures(config.json, figures, ["bench", "sysid", *arguments], config.seed)


def bench(config: SysidBenchConfig) -> dict[str, Any]:
    """Return accuracy, seconds and climbs of each way."""
    from rich.progress import track

    import models
    from benchmarks.field_trials import draw_robots, jobs, parallel, walk
    from benchmarks.motions import candidates
    from benchmarks.sysid_bench import WAYS, accuracy, climbs, compare
    from benchmarks.trials import climb_all

    folder, factors = config.model_dir or models.path(config.robot), draw_robots(config.robots, config.seed)
    motion = {config.motion: candidates()[config.motion]}
    todo = jobs(config.robot, folder, motion, factors, config.seed, config.folder)
    walks = list(track(parallel(walk, todo), "walking", total=len(todo), transient=True))
    whole = [(one, config.robot, folder) for one in sorted(walks, key=lambda w: w.seed) if not one.fault]
    found = list(track(parallel(compare, whole), "identifying", total=len(whole), transient=True))
    found.sort(key=lambda one: one.walk.seed)
    trials = climbs(
        found[: config.climbers], config.robot, folder, config.rise, config.steps, config.trials, config.folder
    )
    ended = list(track(climb_all(trials), "climbing", total=len(trials), transient=True))
    counts = {way: [r.success for r in ended if r.mode == way] for way in WAYS}
    return {
        "walks": len(walks),
        "identified": len(found),
        "stairs": {"rise_m": config.rise, "steps": config.steps},
        "accuracy": accuracy(found),
        "climbs": {way: {"successes": sum(rows), "trials": len(rows)} for way, rows in counts.items()},
    }
