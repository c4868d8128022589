"""`dmcm bench walk`: how a policy walks on the simulated field robot, on the flat, with robots that vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.drivers import RobotName

if TYPE_CHECKING:
    from deploy.controller import Controller
    from sim.factors import RobotFactors

COMMAND_DT = 0.005  # s


@dataclass(frozen=True)
class WalkBenchConfig:
    """Let a policy walk on the simulated field robot, which is not the training simulator.

    Attributes:
        robot: which robot.
        model_dir: folder with the models; the shipped ones by default.
        policy: ONNX file in it, one without contexts.
        seconds: of walking.
        speed: forward command, m/s.
        robots: how many of each kind: nominal, drawn from the narrow and from the wide ranges of `sim.factors`.
        seed: of the robots.
        json: file for the figures.
    """

    robot: RobotName = "go2"
    model_dir: Path | None = None
    policy: str = "vanilla.onnx"
    seconds: float = 60.0
    speed: float = 1.0
    robots: int = 10
    seed: int = 0
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Walk and count who fell."""
    import numpy as np
    import tyro

    from cli.record import check_output, write_figures
    from sim.factors import RANGES, RobotFactors

    config = tyro.cli(WalkBenchConfig, prog="dmcm bench walk", args=arguments)
    check_output(config.json)
    rng, kinds = np.random.default_rng(config.seed), {"nominal": [RobotFactors()] * config.robots}
    for name in ("narrow", "wide"):
        kinds[name] = [RobotFactors.from_array(row) for row in RANGES[name].sample(rng, config.robots)]
    figures: dict[str, Any] = {"seconds": config.seconds, "command_ms": config.speed, "robots": config.robots}
    for name, factors in kinds.items():
        walks = [_walk(config, f, config.seed + i) for i, f in enumerate(factors)]
        whole = [walk["speed"] for walk in walks if not walk["fault"]]
        figures[name] = {
            "fell": sum(bool(walk["fault"]) for walk in walks),
            "speed_ms": sum(whole) / len(whole) if whole else None,
            "walks": walks,
        }
        speed = figures[name]["speed_ms"]
        print(f"{name:<8} {figures[name]['fell']} of {config.robots} fell" + (f", {speed:.2f} m/s" if speed else ""))
    write_figures(config.json, figures, ["bench", "walk", *arguments], config.seed)


def _walk(config: WalkBenchConfig, factors: RobotFactors, seed: int) -> dict[str, Any]:
    """Return how one robot walked: mean speed over the ground, m/s, and why it faulted, if it did."""
    import numpy as np

    import models
    from cli.run import RunConfig, controller_of
    from deploy.loop import run
    from deploy.script import Script, parse
    from robots import load
    from sim.field import FieldRobot

    folder = config.model_dir or models.path(config.robot)
    controller = controller_of(
        RunConfig(robot=config.robot, model_dir=folder, policy=folder / config.policy, rate=1 / COMMAND_DT)
    )
    robot = FieldRobot(load(config.robot), factors, seed=seed, command_dt=COMMAND_DT)
    script = Script(parse(f"stand_up; walk {config.speed} for {config.seconds}"), COMMAND_DT)
    way = []

    def operator(made: Controller, state: Any) -> Any:
        if made.state == "walk":
            way.append(robot.position[:2])
        return script(made, state)

    run(controller, robot, operator)
    steps = np.linalg.norm(np.diff(np.array(way)[::200], axis=0), axis=1)
    return {"factors": factors.as_dict(), "speed": float(steps.mean()), "fault": controller.fault}
