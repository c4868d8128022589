"""From the node's parameters to what runs: the controller with its policies and contexts, and the robot's driver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import robots
from deploy import preflight as checks
from deploy.controller import Controller, ControllerConfig
from deploy.driver import RobotDriver
from deploy.load import load_controller
from deploy.preflight import Check
from deploy.realtime import Realtime
from deploy_ros.interface import PARAMETERS

ROBOT_OF = {"unitree_dds": "go2", "unitree_udp": "go1"}
ONLY_ANSWERS = "unitree_udp"  # driver of a robot that reports when it is commanded, and not before
LOOK = 0.2  # s that a robot may take to show that what was wrong with it is gone
BEST_FIRST = ("multi.onnx", "vanilla.onnx")  # policies that are shipped


class Settings(dict):
    """The parameters by name, checked against their table.

    Raises:
        ValueError: if a text is none of its choices, or a list has another length than its default.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({p.name: values.get(p.name, p.default) for p in PARAMETERS})
        for parameter in PARAMETERS:
            value = self[parameter.name]
            if parameter.choices and value not in parameter.choices:
                raise ValueError(f"parameter {parameter.name} is '{value}': choose {' or '.join(parameter.choices)}")
            if isinstance(parameter.default, list) and len(value) != len(parameter.default):
                raise ValueError(f"parameter {parameter.name} needs {len(parameter.default)} values, has {len(value)}")

    @property
    def command_dt(self) -> float:
        """Command period, s."""
        return 1.0 / self["command_rate"]

    def models(self) -> Path | None:
        """Return the folder of the robot's models, None if none are shipped for it.

        Raises:
            FileNotFoundError: if the folder that was named does not exist.
        """
        if not self["models"]:
            try:
                return models.path(self["robot"])
            except FileNotFoundError:
                return None
        folder = Path(self["models"]).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"parameter models: there is no folder {folder}")
        return folder

    def policy(self) -> Path | None:
        """Return the policy that walks: the file or name given, or the best of the models.

        Raises:
            FileNotFoundError: if the one that was named does not exist.
        """
        wanted, folder = self["policy"], self.models()
        shipped = [] if folder is None else [folder / name for name in BEST_FIRST]
        if not wanted:
            return next((path for path in shipped if path.is_file()), None)
        named = [] if folder is None else [folder / wanted, folder / f"{wanted}.onnx"]
        for path in (*named, Path(wanted).expanduser()):
            if path.is_file():
                return path
        where = f", nor in {folder}" if folder else ""
        raise FileNotFoundError(f"parameter policy: there is no file '{wanted}'{where}")

    def realtime(self) -> Realtime:
        """Return how the control loop is scheduled."""
        fifo, cpu = self["realtime_priority"], self["cpu"]
        return Realtime(fifo, cpu if cpu >= 0 else None)

    def context(self) -> Path | None:
        """Return the robot's context file, None for the nominal robot's."""
        return Path(self["context"]).expanduser() if self["context"] else None


def controller(settings: Settings, before: Controller | None = None) -> Controller:
    """Return the controller in state passive; without a policy it stands and lies down only.

    Args:
        settings: what it is made from.
        before: the controller whose contexts stay in use; None for the contexts of the settings.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is damaged, or does not fit the robot or the others.
    """
    spec, policy, folder = robots.load(settings["robot"]), settings.policy(), settings.models()
    limits = {name: tuple(settings[name]) for name in ("velocity_limit", "acceleration_limit")}
    config = ControllerConfig(command_dt=settings.command_dt, **limits)
    if policy is None:
        made = Controller(spec, config=config)
    else:
        with_bank = folder is not None and (folder / "bank.safetensors").is_file()
        terrain = settings["terrain"] if with_bank else None
        made = load_controller(spec, folder or policy.parent, policy, settings.context(), terrain, config)
    if before is not None:
        made.contexts = before.contexts
    return made


def open_driver(settings: Settings) -> RobotDriver:
    """Return the driver of a robot that is reached without ROS topics.

    Raises:
        ModuleNotFoundError: if its middleware is not installed.
        OSError: if the robot cannot be reached, or somebody else commands it.
        ValueError: if the driver is of another robot.
    """
    name, robot = settings["driver"], settings["robot"]
    if robot != ROBOT_OF[name]:
        raise ValueError(f"driver '{name}' is of robot '{ROBOT_OF[name]}', not of '{robot}'")
    if name == "unitree_udp":
        from deploy.unitree.go1_udp import Go1Driver

        return Go1Driver(command_dt=settings.command_dt)
    from deploy.unitree.go2_dds import Go2Driver

    network = settings["interface"], settings["robot_domain"]
    accepted = {name: settings[name] for name in ("release_sport", "silent_rivals")}
    return Go2Driver(*network, settings.command_dt, **accepted)


def lasting_problem(settings: Settings, driver: RobotDriver, controller: Controller) -> str | None:
    """Return what is wrong with a robot that nobody has read for a while, None as soon as nothing is.

    A robot that reports only when it is commanded is told to damp.
    """
    for _ in range(round(LOOK / settings.command_dt)):
        if settings["driver"] == ONLY_ANSWERS:
            driver.write(controller.damping_command())
        driver.read()
        if not driver.problem:
            return None
        driver.wait()
    return driver.problem


def preflight(settings: Settings, driver: RobotDriver) -> list[Check]:
    """Return what the checks before a run find.

    A robot that is reached over topics is not asked for its state: some speak only once they are commanded. Its guards
    keep it from standing up before it does.
    """
    policy, folder = settings.policy(), settings.models()
    if policy is None:
        return [Check("policy", "warn", f"none is shipped for {settings['robot']}: it stands and lies down only")]
    return checks.preflight(
        settings["robot"],
        folder or policy.parent,
        policy,
        settings.context(),
        jitter_seconds=settings["preflight_jitter"],
        driver=None if settings["driver"] == "topics" else driver,
        log=Path(settings["contexts"]).expanduser(),
        command_dt=settings.command_dt,
        realtime=settings.realtime(),
    )
