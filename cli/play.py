"""`dmcm play`: look at a task with a zero, random or trained agent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal


def main(arguments: Sequence[str]) -> None:
    """Open the viewer, or write a video where a file is named."""
    import tyro

    def play(
        agent: str = "zero",
        robot: Literal["go1", "go2"] = "go1",
        terrain: Literal["flat", "rough", "slope", "stairs", "blocks"] = "stairs",
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
            terrain: which ground.
            level: its difficulty, 0 to 7.
            payload: added mass, kg.
            kp_scale: factor on the joint stiffness.
            seconds: how long, s; the viewer stays until it is closed.
            video: MP4 or GIF file to write instead of opening the viewer.
            bank: context bank for a policy that sees contexts; the shipped one by default.
            seed: of the start and the commands.
        """
        if video is not None:
            from sim.gl import choose_offscreen

            choose_offscreen()
        from policy.play import PlayConfig, frames, show

        config = PlayConfig(agent, robot, terrain, level, payload, kp_scale, bank, seed)
        if video is None:
            show(config)
            return
        from sim.render import write_video

        write_video(video, frames(config, seconds))
        print(f"wrote {video}")

    tyro.cli(play, prog="dmcm play", args=arguments)
