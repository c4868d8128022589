"""`dmcm run`: drive a robot without ROS."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cli.drivers import DriverName, RobotName, Simulated, Wire

if TYPE_CHECKING:
    from deploy.controller import Controller
    from deploy.driver import RobotDriver
    from deploy.loop import Commands


@dataclass(frozen=True)
class RunConfig(Simulated, Wire):
    """Drive a robot by a script, from the keyboard, or with its own remote.

    The first Ctrl-C (or SIGTERM, or the terminal's end) lets the robot lie down, the second damps it.

    Attributes:
        robot: which robot.
        driver: how it is reached.
        script: such as "stand_up; walk 1.0 0 0 for 60; stand for 2; lie_down", in m/s, m/s, rad/s and s.
        teleop: who commands when there is no script; the robot's hand-held remote always may.
        policy: ONNX file that walks; multi.onnx of the models, or else vanilla.onnx, by default.
        model_dir: folder with models; the shipped ones by default.
        context: the robot's context.json; the nominal robot's by default.
        terrain: name of the terrain's context.
        log: rosbag2 folder to write.
        live: host, or host:port, that `dmcm view --live` may watch on; empty for nobody.
        replay: log for driver replay.
        fast: a simulation or a replay as fast as possible.
        rate: commands a second.
        fifo: SCHED_FIFO priority, 1 to 99; 0 for none.
        cpu: core to stay on.
    """

    robot: RobotName = "go1"
    driver: DriverName = "sim"
    script: str = ""
    teleop: Literal["none", "keys", "remote"] = "none"
    policy: Path | None = None
    model_dir: Path | None = None
    context: Path | None = None
    terrain: str = "flat"
    log: Path | None = None
    live: str = "127.0.0.1:7447"
    replay: Path | None = None
    fast: bool = False
    rate: float = 250.0
    fifo: int = 0
    cpu: int | None = None


def main(arguments: Sequence[str]) -> int:
    """Drive a robot; return 1 after a fault."""
    import tyro

    from cli.drivers import open_driver

    config = tyro.cli(RunConfig, prog="dmcm run", args=arguments)
    commands, controller = _commands(config), controller_of(config)
    if config.context is not None:
        print(f"context {config.context}, gains of walking: {controller.contexts.gains}", flush=True)
    driver = open_driver(config.driver, config.robot, 1 / config.rate, config, config, config.replay, config.fast)
    try:
        return _drive(config, controller, driver, commands)
    finally:
        driver.close()


def _commands(config: RunConfig) -> Commands:
    from deploy.driver import Operator
    from deploy.script import Script, parse
    from deploy.teleop import Keyboard

    if config.script:
        return Script(parse(config.script), 1 / config.rate)
    if config.teleop == "none":
        raise ValueError("nobody commands the robot: give --script, --teleop keys or --teleop remote")
    return Keyboard() if config.teleop == "keys" else lambda controller, state: Operator()


def controller_of(config: RunConfig) -> Controller:
    """Return the controller with the policies, bank and context of the models folder."""
    import models
    import robots
    from deploy.controller import ControllerConfig
    from deploy.load import BANK, load_controller

    folder = config.model_dir or models.path(config.robot)
    names = ("multi.onnx", "vanilla.onnx")
    policy = config.policy or next((name for name in names if (folder / name).exists()), names[-1])
    terrain = config.terrain if (folder / BANK).exists() else None
    timing = ControllerConfig(command_dt=1 / config.rate)
    return load_controller(robots.load(config.robot), folder, policy, config.context, terrain, timing)


def _drive(config: RunConfig, controller: Controller, driver: RobotDriver, commands: Commands) -> int:
    import signal
    from contextlib import nullcontext

    from deploy.live import LivePublisher, address
    from deploy.log import LogWriter
    from deploy.loop import LATE_TICKS, SINK, run
    from deploy.operate import Operation, Teller
    from deploy.realtime import Realtime
    from deploy.teleop import Keyboard

    tell = Teller()
    operation = Operation(commands, driver, tell)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, operation.stop)
    log = LogWriter(config.log, controller.spec, controller.provenance()) if config.log else None
    limit = 0 if config.fast and config.driver in ("sim", "replay") else LATE_TICKS
    keys = commands if isinstance(commands, Keyboard) else nullcontext()
    live = LivePublisher(controller, address(config.live)) if config.live else None
    with log or nullcontext(), keys, tell:
        realtime = Realtime(fifo=config.fifo, cpu=config.cpu)
        report = run(controller, driver, operation, log, None, realtime, limit, live, SINK)
    p99 = report.step_ms.get("p99", 0.0)
    print(f"{report.ticks} ticks, step p99 {p99:.2f} ms, {report.late} late ticks, {report.trips} faults")
    problem = report.fault or getattr(commands, "error", "") or report.log_error
    if problem:
        print(f"dmcm: {problem}", file=sys.stderr)
    return 1 if problem or report.trips else 0
