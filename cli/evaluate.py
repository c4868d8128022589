"""`dmcm evaluate`: the out-of-distribution table, policies on field robots in many conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cli.drivers import RobotName
from cli.record import check_output, commit, write_figures


@dataclass
class EvaluateConfig:
    """Measure how often each policy gets over flat and rough ground and up stairs, with robots in many conditions.

    Contexts are found as in the field: each robot walks 20 s on flat ground with the calibration policy, its context is
    adapted, the terrain's comes from the bank. Run the same command again to go on where it stopped.

    Attributes:
        robot: which robot.
        models: folder with calibration.onnx, vanilla.onnx, multi.onnx, ..., bank.safetensors, dynamics.onnx, and for
            single.onnx the two latter in `single/`; the shipped one by default. Policies that are not there are left
            out.
        out: folder for cells, contexts, table, figure and report.
        study: the main table; the same with robots beyond the training ranges; which terrain context helps where; how
            long to adapt.
        ways: names of the ways to walk of the study; all by default.
        conditions: of the robot, such as "+1.5 kg"; those of the study by default.
        terrains: such as stairs_13cm; all by default.
        episodes: of every cell; four with each robot.
        quick: 8 episodes, the first two conditions and two terrains.
        verify: cells to run again with another seed afterwards; their intervals must overlap.
        seed: of robots, noise and courses.
        workers: processes; 0 takes every core.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    models: Path | None = None
    out: Path = Path("runs/evaluate")
    study: Literal["main", "beyond", "terrain", "time"] = "main"
    ways: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    terrains: tuple[str, ...] = ()
    episodes: int = 200
    quick: bool = False
    verify: int = 0
    seed: int = 0
    workers: int = 0
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Run what is missing, then write table, figure and report."""
    import tyro

    config = tyro.cli(EvaluateConfig, prog="dmcm evaluate", args=arguments)
    check_output(config.json)
    from benchmarks import evaluation_run, evaluation_tables

    setup, missing = _setup(config)
    for name, path in missing.items():
        print(f"left out: {name}, for want of {path}")
    _show(evaluation_run.run(setup))
    rows = evaluation_run.rows(setup)
    figures: dict[str, Any] = {
        "rows": rows,
        "readings": evaluation_run.readings(setup),
        "verdict": evaluation_tables.verdict(rows),
        "verify": _verify(setup, config.verify),
        "use": _use(setup),
        "commits": evaluation_run.commits(setup),
    }
    command = ["evaluate", *arguments]
    write_figures(config.out / "ood.json", figures, command, config.seed)
    write_figures(config.json, figures, command, config.seed)
    evaluation_tables.write_csv(rows, config.out / "ood.csv")
    evaluation_tables.plot(rows, config.out / "ood.png")
    footer = f"dmcm {' '.join(command)}; commit {', '.join(figures['commits'])}"
    evaluation_tables.report(figures, config.out / "report.html", footer)
    print(f"\n{evaluation_tables.markdown(figures)}\n\n{figures['verdict']}\nreport: {config.out / 'report.html'}")


def _setup(config: EvaluateConfig) -> tuple[Any, dict[str, str]]:
    """Return what to evaluate, and which ways cannot be."""
    import os

    import models
    from benchmarks.evaluation import CONDITIONS, STUDIES, TERRAINS
    from benchmarks.evaluation_run import Evaluation, available

    if config.episodes < 1:
        raise ValueError(f"--episodes {config.episodes}: give at least 1")
    folder = config.models or models.path(config.robot)
    known, usual = STUDIES[config.study]
    ways = _chosen("--ways", config.ways, {way.name: way for way in known})
    found, missing = available(folder, ways)
    conditions, terrains, episodes = config.conditions or tuple(usual), config.terrains, config.episodes
    if config.quick:
        conditions, terrains, episodes = config.conditions or tuple(usual)[:2], terrains or ("flat", "stairs_15cm"), 8
    setup = Evaluation(
        config.robot,
        folder,
        config.out,
        tuple(found),
        tuple(_chosen("--conditions", conditions, dict(zip(CONDITIONS, CONDITIONS, strict=True)))),
        tuple(_chosen("--terrains", terrains, dict(zip(TERRAINS, TERRAINS, strict=True)))),
        episodes,
        config.seed,
        config.workers or os.cpu_count() or 1,
        commit(),
    )
    return setup, missing


def _chosen(option: str, names: Sequence[str], known: dict[str, Any]) -> list[Any]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{option} {unknown[0]}: there is none, choose of {', '.join(known)}")
    return [known[name] for name in names] or list(known.values())


def _show(progress: Any) -> None:
    from rich import progress as rich

    left = rich.TextColumn("left"), rich.TimeRemainingColumn()
    columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), *left)
    with rich.Progress(*columns, rich.TextColumn("{task.description}")) as bar:
        task = bar.add_task("", total=None)
        for done, total, last in progress:
            bar.update(task, completed=done, total=total, description=last)
            if not bar.console.is_terminal and last != "begin":
                bar.console.print(f"{done} of {total}  {last}")


def _use(setup: Any) -> list[dict[str, Any]]:
    """Return whether the policies that take contexts use them."""
    from benchmarks.context_use import use

    modes = dict.fromkeys(
        way.mode for way in setup.ways if way.robot in ("nominal", "adapted") and way.gains == "nominal"
    )
    return [use(setup.robot, setup.models, mode, setup.seed) for mode in modes]


def _verify(setup: Any, count: int) -> list[dict[str, Any]]:
    """Run cells again and say how they agree."""
    from benchmarks.evaluation_run import verify

    found = []
    for pair in verify(setup, count) if count else ():
        first, second = pair["first"], pair["second"]
        shown = [f"{row['successes']} of {row['episodes']}" for row in (first, second)]
        word = "agrees" if pair["agrees"] else "DIFFERS"
        print(f"again: {first['mode']}, {first['condition']}, {first['terrain']}: {shown[0]}, then {shown[1]}: {word}")
        found.append(pair)
    return found
