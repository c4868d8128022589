"""`dmcm demo`: a robot that nobody described walks 20 s, its context is found, and it climbs stairs; in simulation."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.drivers import RobotName
from cli.record import check_output, commit, write_figures


@dataclass
class DemoConfig:
    """Show the main job on the simulated field robot: calibrate 20 s on flat ground, adapt, climb stairs.

    Attributes:
        robot: which robot; its shipped models are used.
        payload: on the field robot's back, kg; nothing is told of it.
        kp_scale: factor on its joint stiffness; nothing is told of it.
        rise: of a step, m.
        steps: number of steps.
        compensate: walk 5 s first to read the motors, and correct the gains by that; otherwise the robot keeps its
            gains, and the policy is merely told the context.
        trials: climbs for each way.
        seed: of the field robot, its noise and the trials.
        model_dir: folder with the models; the shipped ones by default.
        out: folder for log, context and report; made anew.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    payload: float = 1.5
    kp_scale: float = 0.55
    rise: float = 0.17
    steps: int = 7
    compensate: bool = True
    trials: int = 20
    seed: int = 0
    model_dir: Path | None = None
    out: Path = Path("runs/demo")
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Run the demo, print its table, write its report."""
    import tyro

    from sim.gl import choose_offscreen

    config = tyro.cli(DemoConfig, prog="dmcm demo", args=arguments)
    check_output(config.json)
    _check(config)
    choose_offscreen()
    figures = demo(config, ["demo", *arguments])
    write_figures(config.json, figures, ["demo", *arguments], config.seed)


def _check(config: DemoConfig) -> None:
    ranges = {"payload": (0.0, 10.0), "kp_scale": (0.1, 3.0), "rise": (0.0, 0.3), "steps": (1, 30), "trials": (1, 1000)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(config, name) <= high:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} {getattr(config, name)} is out of range: give {low} to {high}")


def demo(config: DemoConfig, command: list[str]) -> dict[str, Any]:
    """Run calibration, adaptation and trials; return the figures."""
    import models
    import robots
    from benchmarks import demo_report
    from benchmarks.trials import COMMAND_DT
    from calibration import run as adapt
    from calibration.report import plain, text
    from sim.factors import RobotFactors
    from sim.field import FieldRobot

    start = time.perf_counter()
    folder = config.model_dir or models.path(config.robot)
    spec, factors = robots.load(config.robot), RobotFactors(payload=config.payload, kp_scale=config.kp_scale)
    log, context = _make_folder(config.out)
    print(f"field robot: {spec.name}, payload {config.payload:g} kg, Kp x {config.kp_scale:g} (known to nobody)\n")
    _calibrate(config, FieldRobot(spec, factors, seed=config.seed, command_dt=COMMAND_DT), folder, log)
    print("2. find the robot's context in the log ...", flush=True)
    result = adapt(log, spec.name, context, folder, command=shlex.join(["dmcm", *command]), seed=config.seed)
    print(text(result))
    print(f"\n3. climb {config.steps} steps of {100 * config.rise:g} cm, {config.trials} trials each ...", flush=True)
    trials = _climb(config, folder, factors, context)
    _print_table(trials)
    figures = {
        "robot": {"name": spec.name, "payload_kg": config.payload, "kp_scale": config.kp_scale},
        "stairs": {"rise_m": config.rise, "steps": config.steps},
        "prediction_error": result.context["error"],
        "gains": result.context["gains"],
        "read": plain(result.context),
        "readings": result.context["readings"],
        "success": {
            name: {"successes": sum(t.success for t in mine), "trials": len(mine)} for name, mine in trials.items()
        },
        "seconds": time.perf_counter() - start,
    }
    replay = _replay(config, folder, factors, context)
    page = demo_report.write(
        config.out / "report.html",
        spec,
        folder,
        log,
        result.context,
        figures,
        trials,
        film=() if replay else _film(config, folder, factors, context),
        replay=replay,
        footer=f"{shlex.join(['dmcm', *command])}; seed {config.seed}, commit {commit()}",
    )
    print(f"\nreport: {page}   ({figures['seconds']:.0f} s)")
    return figures


def _make_folder(out: Path) -> tuple[Path, Path]:
    """Make the output folder, without what an earlier demo left there."""
    log, context = out / "log", out / "context.json"
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(log, ignore_errors=True)
    context.unlink(missing_ok=True)
    return log, context


def _calibrate(config: DemoConfig, robot: Any, folder: Path, log: Path) -> None:
    """Walk what the context is found in."""
    from benchmarks.trials import calibration_walk, compensated_walk

    read = "walk 5 s on flat ground to read the motors, then 20 s with corrected gains"
    print(f"1. stand up, {read if config.compensate else 'walk 20 s on flat ground'} ...", flush=True)
    if config.compensate:
        print(f"   gains {compensated_walk(robot, folder, folder, log).gains}")
    else:
        try:
            calibration_walk(robot, folder, log)
        except ValueError as fell:
            raise ValueError(f"{fell}; give a stiffer robot (--kp-scale), or leave --no-compensate out") from None
    print(f"   logged to {log}\n")


def _jobs(config: DemoConfig, folder: Path, factors: Any, context: Path) -> list[Any]:
    import robots
    from benchmarks.trials import Mode, TrialJob, nearest_stairs
    from deploy.context import load_bank
    from sim.trial import StairsTrial

    terrain = nearest_stairs(load_bank(folder / "bank.safetensors", robots.load(config.robot)).terrains, config.rise)
    modes = [
        Mode("adapted" if config.compensate else "told", "multi.onnx", context),
        Mode("nominal", "multi.onnx"),
        Mode("vanilla", "vanilla.onnx"),
    ]
    if config.compensate:
        modes.append(Mode("gains", "vanilla.onnx", context))
    return [
        TrialJob(
            config.robot,
            folder,
            mode,
            terrain,
            factors,
            StairsTrial.drawn(config.rise, config.steps, config.seed + i),
            config.seed,
            config.seed + 1 + i,
        )
        for i in range(config.trials)
        for mode in modes
    ]


def _climb(config: DemoConfig, folder: Path, factors: Any, context: Path) -> dict[str, list[Any]]:
    from rich.progress import track

    from benchmarks.trials import climb_all

    jobs = _jobs(config, folder, factors, context)
    trials: dict[str, list[Any]] = {job.mode.name: [] for job in jobs}
    for result in track(climb_all(jobs), "   climbing", total=len(jobs), transient=True):
        trials[result.mode].append(result)
    return trials


def _replay(config: DemoConfig, folder: Path, factors: Any, context: Path) -> str:
    """Return the first trial with the adapted context in 3-D, as an HTML document; "" where viser is not installed."""
    try:
        from viewer.page import FPS, Pose, document
    except ImportError:
        return ""
    import robots
    from benchmarks.trials import climb

    job = _jobs(config, folder, factors, context)[0]
    poses: list[Pose] = []
    climb(job, lambda robot: poses.append(Pose.of(robot.data.qpos)), 1.0 / FPS)
    spec = robots.load(config.robot)
    return document(spec, poses, lambda stage: stage.terrain(job.trial.boxes), config.payload) if poses else ""


def _film(config: DemoConfig, folder: Path, factors: Any, context: Path) -> list[Any]:
    """Return pictures of the first trial with the adapted context; none where there is no GL."""
    from benchmarks.trials import climb
    from sim.render import FollowCamera

    frames: list[Any] = []
    cameras: list[FollowCamera] = []

    def watch(robot: Any) -> None:
        if not cameras:
            cameras.append(FollowCamera(robot.model, 480, 270))
        frames.append(cameras[0].picture(robot.data))

    try:
        climb(_jobs(config, folder, factors, context)[0], watch)
    except ValueError as reason:
        print(f"no pictures: {reason}")
        return []
    finally:
        for camera in cameras:
            camera.close()
    return frames


def _print_table(trials: dict[str, list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.demo_report import WHAT

    table = Table("policy", "", "on top", "mean time", "most common end otherwise")
    for name, mine in trials.items():
        won = [t.seconds for t in mine if t.success]
        lost = [t.cause for t in mine if not t.success]
        end = max(set(lost), key=lost.count) if lost else ""
        seconds = f"{sum(won) / len(won):.1f} s" if won else ""
        table.add_row(name, WHAT[name], f"{len(won)} of {len(mine)}", seconds, end)
    Console().print(table)
