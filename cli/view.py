"""`dmcm view`: look at a simulation, at a log, or at the running controller, in the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cli.drivers import RobotName

if TYPE_CHECKING:
    import viser

    Shown = tuple[viser.ViserServer, Callable[[], object]]


@dataclass
class ViewConfig:
    """Look at the robot in the browser: a simulation to play with, a log, or the running controller.

    Attributes:
        log: rosbag2 folder or MCAP file to replay; without one, a simulation is shown.
        live: show the controller that runs on this machine (or that sends here), read only.
        listen: host:port on which its reports come in.
        robot: which robot; a log and a controller say it themselves, a simulation's default is go1.
        agent: of the simulation: zero, random, an ONNX file, or one of the robot's models; the best by default.
        robots: how many are simulated.
        terrain: that is simulated, see docs/terrains.md.
        level: its difficulty, 0 to 7.
        models: folder with policies, bank and dynamics model; the shipped one by default.
        context: context.json that a log was recorded with, to mark it on the map.
        host: address of the page; 0.0.0.0 shows it to the whole network.
        port: of the page.
        seed: of the simulation.
    """

    log: Annotated[Path | None, tyro.conf.Positional] = None
    live: bool = False
    listen: str = "127.0.0.1:7447"
    robot: RobotName | None = None
    agent: str = ""
    robots: int = 1
    terrain: str = "stairs"
    level: int = 3
    models: Path | None = None
    context: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    seed: int = 0


def main(arguments: Sequence[str]) -> int:
    """Serve the page until it is interrupted."""
    config = tyro.cli(ViewConfig, prog="dmcm view", args=arguments)
    if config.live and config.log:
        raise ValueError(f"give either --live or the log {config.log}, not both")
    from viewer.server import address, close

    server, run = _live(config) if config.live else _replay(config) if config.log else _simulation(config)
    print(address(server), flush=True)
    try:
        run()
    except KeyboardInterrupt:
        print()
    finally:
        close(server)
    return 0


def _replay(config: ViewConfig) -> Shown:
    import models
    from deploy.context import load_context
    from viewer.knowledge import Knowledge
    from viewer.log import load
    from viewer.replay import Replay
    from viewer.server import open_page

    recording = load(config.log, config.robot)
    knowledge = Knowledge(recording.spec, config.models or models.folder(recording.spec.name))
    context = load_context(config.context, recording.spec).values if config.context else None
    server = open_page(config.host, config.port, "dmcm")
    return server, Replay(server, recording, knowledge, context).run


def _live(config: ViewConfig) -> Shown:
    import models
    from deploy.live import address
    from viewer.live import Live, UdpSource, robot_of, wait_for_first
    from viewer.server import open_page

    source = UdpSource(*address(config.listen))
    print(f"waiting for a controller on {source.where} ...", flush=True)
    first = wait_for_first(source)
    spec = robot_of(first[0], config.robot)
    server = open_page(config.host, config.port, "dmcm")
    return server, Live(server, source, first, spec, config.models or models.folder(spec.name)).run


def _simulation(config: ViewConfig) -> Shown:
    from viewer.server import close, open_page
    from viewer.simulation import Simulation, SimulationConfig

    wanted = SimulationConfig(
        config.agent, config.robot or "go1", config.robots, config.terrain, config.level, config.models, config.seed
    )
    wanted.check()
    server = open_page(config.host, config.port, "dmcm")
    try:
        return server, Simulation(server, wanted).run
    except BaseException:
        close(server)
        raise
