"""Writes a replay as one HTML file that opens from the disk, without network: viser's recorder and client in one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robots.spec import RobotSpec
from viewer.body import Body
from viewer.server import close, open_page
from viewer.stage import Stage

FPS = 25
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Pose:
    """A picture's worth of a robot: trunk position (3,), m, quaternion (4,), joints (12,), rad."""

    position: np.ndarray
    quaternion: np.ndarray
    joints: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Pose:
        """Return the pose in MuJoCo's order, (19,): position, quaternion, joints."""
        return cls(values[:3].copy(), values[3:7].copy(), values[7:19].copy())


def document(
    spec: RobotSpec,
    poses: Iterable[Pose],
    ground: Callable[[Stage], None] | None = None,
    payload: float = 0.0,
    fps: float = FPS,
) -> str:
    """Return the replay of a robot, with a time bar, as an HTML document of about 1 MB.

    Args:
        spec: the robot.
        poses: at equal times.
        ground: puts the terrain on the stage; None leaves the floor alone.
        payload: on its back, kg.
        fps: poses a second.

    Raises:
        ValueError: if there are no poses.
    """
    server = open_page(LOCAL, 0, spec.name)  # the recorder needs one; nobody connects to it
    try:
        stage = Stage(server, Body(spec))
        if ground is not None:
            ground(stage)
        stage.condition(np.array([payload]), np.ones((1, 4)))
        recording = None
        for pose in poses:
            stage.follow(pose.position)
            stage.show(pose.position[None], pose.quaternion[None], pose.joints[None])
            recording = recording or server.get_scene_serializer()
            recording.insert_sleep(1.0 / fps)
        if recording is None:
            raise ValueError("there is nothing to replay: the walk has no poses")
        return recording.as_html()
    finally:
        close(server)


def write(path: Path, text: str) -> Path:
    """Write a document, atomically, and return its path."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
