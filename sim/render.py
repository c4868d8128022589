"""Pictures of a simulation through MuJoCo's offscreen renderer, where the machine has a GL."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import mujoco
import numpy as np

from sim.gl import LIBRARIES

FPS = 25
ENDINGS = (".mp4", ".gif")
NO_GL = "no offscreen GL on this machine: install libegl1 or libosmesa6 and set MUJOCO_GL to egl or osmesa"


class NoGlError(ValueError):
    """This machine cannot draw without a screen."""


class FollowCamera:
    """Renders a robot from a camera that follows its trunk.

    Args:
        model: the scene.
        width, height: of the picture, pixels.
        azimuth: direction of view about z, degrees.

    Raises:
        NoGlError: if there is no GL to render with.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 640, height: int = 360, azimuth: float = 60.0) -> None:
        if sys.platform.startswith("linux") and os.environ.get("MUJOCO_GL") not in LIBRARIES:
            raise NoGlError(NO_GL)  # other backends need a screen, and end the process where there is none
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # each GL backend raises an error of its own
            raise NoGlError(NO_GL) from error
        self._camera = mujoco.MjvCamera()
        self._camera.distance, self._camera.azimuth, self._camera.elevation = 2.6, azimuth, -16.0

    def picture(self, data: mujoco.MjData) -> np.ndarray:
        """Return the picture, (height, width, 3) uint8."""
        self._camera.lookat[:] = data.body("trunk").xpos
        self._renderer.update_scene(data, self._camera)
        return self._renderer.render().copy()

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int = FPS) -> None:
    """Write frames (height, width, 3) uint8 as MP4 or GIF, by the file's ending.

    Raises:
        ValueError: if the ending is neither, or there are no pictures.
    """
    if path.suffix not in ENDINGS:
        raise ValueError(f"cannot write {path}: name it {' or '.join(ENDINGS)}")
    import imageio

    pictures = iter(frames)
    first = next(pictures, None)  # where nothing can be drawn this raises, before there is a file
    if first is None:
        raise ValueError(f"cannot write {path}: there are no pictures")
    with imageio.get_writer(path, fps=fps) as writer:
        for picture in itertools.chain([first], pictures):
            writer.append_data(picture)
