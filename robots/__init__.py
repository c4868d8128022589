"""Robots: one folder per robot with its constants, and what every room needs to know about them."""

from importlib import import_module
from pkgutil import iter_modules

from robots.spec import RobotSpec

NAMES = tuple(sorted(module.name for module in iter_modules(__path__) if module.ispkg))  # every folder is a robot


def load(name: str) -> RobotSpec:
    """Return the specification of the robot called `name`.

    Raises:
        ValueError: if no robot has that name.
    """
    if name not in NAMES:
        raise ValueError(f"unknown robot '{name}': choose one of {', '.join(NAMES)}")
    return import_module(f"robots.{name}").SPEC
