"""`dmcm sim-robot`: a simulated robot behind a real robot's interface."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cli.drivers import Simulated

if TYPE_CHECKING:
    from sim.server import ServerReport

ROBOT_OF = {"dds": "go2", "udp": "go1"}


@dataclass(frozen=True)
class SimRobotConfig(Simulated):
    """Serve a simulated robot to any program that speaks to the real one: this stack's drivers, Unitree's SDK.

    Attributes:
        robot: which robot: go2 speaks DDS, go1 UDP.
        transport: how it is reached.
        interface: network interface for DDS; lo stays on this machine.
        domain: DDS domain.
        sport_mode: name of the robot's own controller, active until a client releases it; empty for none.
        address: to listen on for UDP.
        port: to listen on for UDP.
        seconds: how long to serve, s.
        fifo: SCHED_FIFO priority, 1 to 99; 0 for none.
        json: file for the figures: rates, late periods, the way that the robot walked.
    """

    robot: Literal["go1", "go2"] = "go2"
    transport: Literal["dds", "udp"] = "dds"
    interface: str = "lo"
    domain: int = 1
    sport_mode: str = ""
    address: str = "127.0.0.1"
    port: int = 8007
    seconds: float = float("inf")
    fifo: int = 0
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Serve a simulated robot until it is interrupted."""
    import tyro

    from cli.drivers import field_robot
    from cli.record import check_output, write_figures
    from deploy.realtime import Realtime
    from sim.server import STATE_DT, RobotServer

    config = tyro.cli(SimRobotConfig, prog="dmcm sim-robot", args=arguments)
    if config.robot != ROBOT_OF[config.transport]:
        raise ValueError(f"transport '{config.transport}' is of {ROBOT_OF[config.transport]}, not of {config.robot}")
    check_output(config.json)
    dds = config.transport == "dds"
    link = _link(config)
    place = f"DDS domain {config.domain} on {config.interface}" if dds else f"UDP {config.address}:{config.port}"
    server = RobotServer(field_robot(config.robot, config, STATE_DT), link)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print(f"simulated {config.robot} on {place}; Ctrl-C ends it", flush=True)
        with Realtime(fifo=config.fifo):
            server.run(config.seconds, _tell)
    finally:
        link.close()
        figures = {**asdict(server.report), "damaged": link.damaged}
        write_figures(config.json, figures, ["sim-robot", *arguments], config.seed)


def _link(config: SimRobotConfig) -> Any:
    if config.transport == "dds":
        from deploy.unitree.go2_server import Go2Server

        return Go2Server(config.interface, config.domain, config.sport_mode)
    from deploy.unitree.go1_server import Go1Server

    return Go1Server(config.address, config.port)


def _tell(report: ServerReport) -> None:
    """Print every five seconds how it goes."""
    if round(report.seconds) % 5 == 0:
        commands = report.rates[-1] if report.rates else 0
        print(
            f"{report.seconds:7.0f} s  {report.states / report.seconds:4.0f} states/s  {commands:4d} commands/s"
            f"  {report.late} late  braked {report.braked} times",
            flush=True,
        )
