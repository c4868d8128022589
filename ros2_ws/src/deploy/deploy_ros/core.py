"""Finds the core (the pip package `dmcm`) and says what to do where it is not."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pkgutil import iter_modules

ROOMS = ("robots", "deploy", "calibration")


class CoreMissingError(RuntimeError):
    """The core cannot be imported, and what to do."""


def require(*more: str) -> None:
    """Raise `CoreMissingError` unless the core's packages, and `more`, can be imported by this interpreter."""
    missing = [name for name in (*ROOMS, *more) if find_spec(name) is None]
    if missing:
        raise CoreMissingError(
            f"the core package 'dmcm' is not installed for {sys.executable} (no module {', '.join(missing)}): run "
            f"`{sys.executable} -m pip install PATH_TO_THE_REPOSITORY`, or put the site-packages of the virtual "
            "environment that has it on PYTHONPATH (docs/ros2.md, 'The core')"
        )


def robots() -> tuple[str, ...]:
    """Return the names of the core's robots, none where the core is missing; imports nothing."""
    found = find_spec("robots")
    folders = iter_modules(found.submodule_search_locations) if found else ()
    return tuple(sorted(folder.name for folder in folders if folder.ispkg))
