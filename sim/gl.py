"""Chooses how MuJoCo draws without a screen; call before mujoco is imported, which reads the choice only then."""

from __future__ import annotations

import ctypes
import os
import sys

LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}


def choose_offscreen() -> None:
    """Set MUJOCO_GL to what a Linux machine has, or to `disable`, unless it is set; other systems need nothing."""
    if not sys.platform.startswith("linux") or "MUJOCO_GL" in os.environ:
        return
    os.environ["MUJOCO_GL"] = next((name for name, library in LIBRARIES.items() if _loads(library)), "disable")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
