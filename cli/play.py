"""`dmcm play`: look at a task with a zero, random or trained agent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.drivers import RobotName

if TYPE_CHECKING:
    from policy.play import PlayConfig


def main(arguments: Sequence[str]) -> None:
    """Open the viewer, or write a video where a file is named."""
    import tyro

    def play(
        agent: str = "zero",
        robot: RobotName = "go1",
        terrain: str = "stairs",
        level: int = 3,
        payload: float = 0.0,
        kp_scale: float = 1.0,
        seconds: float = 15.0,
        video: Path | None = None,
        bank: Path | None = None,
        seed: int = 0,
    ) -> None:
        """Look at a task.

        Args:
            agent: zero, random, or an ONNX policy file.
            robot: which robot.
            terrain: which ground: stairs, gaps, waves, ... (see docs/terrains.md).
            level: its difficulty, 0 to 7.
            payload: added mass, kg.
            kp_scale: factor on the joint stiffness.
            seconds: how long, s; the viewer stays until it is closed.
            video: MP4 or GIF file to write instead of opening the viewer, or HTML for a replay in 3-D, which is written
                as well where the machine has no GL to draw a video with.
            bank: context bank for a policy that sees contexts; the shipped one by default.
            seed: of the start and the commands.
        """
        if video is not None:
            from sim.gl import choose_offscreen

            choose_offscreen()
        from policy.play import PlayConfig, show

        config = PlayConfig(agent, robot, terrain, level, payload, kp_scale, bank, seed)
        if video is None:
            show(config)
        else:
            print(f"wrote {_write(config, video, seconds)}")

    tyro.cli(play, prog="dmcm play", args=arguments)


def _write(config: PlayConfig, video: Path, seconds: float) -> Path:
    """Write a video, or a replay in 3-D where one is asked for or nothing can draw a video; return the file."""
    from policy.play import frames
    from sim.render import NoGlError, write_video

    if video.suffix == ".html":
        return _replay(config, video, seconds)
    pictures = frames(config, seconds)
    try:
        write_video(video, pictures)
    except NoGlError as reason:
        page = _replay(config, video.with_suffix(".html"), seconds)
        print(f"{reason}; so this is a replay in 3-D instead, for any browser:")
        return page
    return video


def _replay(config: PlayConfig, path: Path, seconds: float) -> Path:
    from policy.play import agent, make, poses
    from viewer.page import Pose, document, write

    act, env = agent(config.agent, config.robot, config.seed), make(config)
    walk = (Pose.of(pose) for pose in poses(env, act, seconds))
    tile = (env.sim.world, config.terrain, config.level)
    return write(path, document(env.spec, walk, lambda stage: stage.tile(*tile), config.payload))
