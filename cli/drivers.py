"""Robots by name: the drivers that a command can open, and the simulated robots that it can make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from deploy.driver import RobotDriver
    from sim.field import FieldRobot


def _known() -> Any:
    """Return the type of a robot's name: the folders in `robots`."""
    import robots

    return Literal[robots.NAMES]


def _default(values: str) -> str:
    return f"(default: {values[2:-2]})"


RobotName = Annotated[str, tyro.conf.arg(constructor_factory=_known, help_behavior_hint=_default)]
DriverName = Literal["sim", "unitree_dds", "unitree_udp", "replay"]
ROBOT_OF = {"unitree_dds": "go2", "unitree_udp": "go1"}


@dataclass(frozen=True)
class Simulated:
    """A simulated robot.

    Attributes:
        payload: on its back, kg.
        kp_scale: factor on its joint stiffness.
        stairs: rise of each of the steps in front of it, cm; 0 is flat ground.
        seed: of the robot's biases, mass errors and noise.
    """

    payload: float = 0.0
    kp_scale: float = 1.0
    stairs: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Wire:
    """How a real robot is reached; only what its driver needs is used.

    Attributes:
        interface: network interface for DDS, as in `ip link`; empty leaves it to CYCLONEDDS_URI.
        domain: DDS domain: 0 on the robot, 1 by convention in simulation.
        release_sport: let the robot's own controller go first; the robot must lie.
        silent_rivals: accept other programs' writers of commands as long as they send nothing.
        address: of a robot that speaks UDP.
        port: of a robot that speaks UDP.
    """

    interface: str = ""
    domain: int = 0
    release_sport: bool = False
    silent_rivals: bool = False
    address: str = "192.168.123.10"
    port: int = 8007


def field_robot(robot: str, condition: Simulated, command_dt: float, distance: float = 0.8) -> FieldRobot:
    """Return a simulated robot that lies on its belly, `distance` m before the first step if there are stairs."""
    import robots
    from sim.factors import RobotFactors
    from sim.field import FieldRobot
    from sim.trial import StairsTrial

    factors = RobotFactors(payload=condition.payload, kp_scale=condition.kp_scale)
    boxes = StairsTrial(condition.stairs / 100, distance=distance).boxes if condition.stairs else []
    return FieldRobot(robots.load(robot), factors, boxes, seed=condition.seed, command_dt=command_dt)


def open_driver(
    name: DriverName,
    robot: str,
    command_dt: float,
    wire: Wire | None = None,
    simulated: Simulated | None = None,
    log: Path | None = None,
    fast: bool = False,
) -> RobotDriver:
    """Return a driver that is ready to be commanded.

    Args:
        name: which driver.
        robot: which robot.
        command_dt: time between two commands, s.
        wire: how a real robot is reached.
        simulated: condition of a simulated robot.
        log: to replay.
        fast: a simulation, or a replay, as fast as possible instead of in real time.

    Raises:
        ValueError: if the driver is of another robot.
        OSError: if the robot cannot be reached.
    """
    if robot != ROBOT_OF.get(name, robot):
        raise ValueError(f"driver '{name}' is of robot '{ROBOT_OF[name]}', not of '{robot}'")
    wire = wire or Wire()
    if name == "unitree_dds":
        from deploy.unitree.go2_dds import Go2Driver

        return Go2Driver(wire.interface, wire.domain, command_dt, wire.release_sport, wire.silent_rivals)
    if name == "unitree_udp":
        from deploy.unitree.go1_udp import Go1Driver

        return Go1Driver(wire.address, wire.port, command_dt)
    if name == "replay":
        from deploy.replay import ReplayDriver

        if log is None:
            raise ValueError("driver 'replay' needs a log: give --replay LOG")
        return ReplayDriver(log, robot, command_dt, fast)
    from deploy.paced import Paced

    simulation = field_robot(robot, simulated or Simulated(), command_dt)
    return simulation if fast else Paced(simulation)
