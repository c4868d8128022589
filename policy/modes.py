"""The modes of a policy: what it sees besides one frame of proprioception."""

from __future__ import annotations

from typing import Literal

from robots import observation
from sim import truth

Mode = Literal["vanilla", "history", "single", "multi", "oracle"]
NEEDS_BANK = ("single", "multi")
FRAME = observation.size(observation.PROPRIOCEPTION)
# Groups of the environment's observations that the actor sees. In "single" the robot's context is the one for both.
ACTOR_GROUPS: dict[str, list[str]] = {
    "vanilla": ["proprioception"],
    "history": ["history"],
    "single": ["proprioception", "robot_context"],
    "multi": ["proprioception", "robot_context", "terrain_context"],
    "oracle": ["proprioception", "robot_context", "terrain_context"],
}
SEES_CONTEXTS = tuple(mode for mode, groups in ACTOR_GROUPS.items() if "robot_context" in groups)


def inputs(mode: Mode, width: int, contexts: tuple[int, int] | None) -> dict[str, int] | None:
    """Return names and sizes of an exported policy's inputs, or None if an actor of `width` inputs is not of the mode.

    Args:
        mode: which.
        width: inputs of the actor.
        contexts: sizes of the bank's robot and terrain contexts, for the modes that need one.
    """
    if mode in ("vanilla", "history"):
        frames, rest = divmod(width, FRAME)
        fits = not rest and (frames == 1) == (mode == "vanilla")
        return {"observation": width} if fits else None
    robot, terrain = (len(truth.SPREAD), truth.TERRAIN_SIZE) if mode == "oracle" else contexts or (0, 0)
    seen = robot if mode == "single" else robot + terrain
    made = {"observation": FRAME, "robot_context": robot, "terrain_context": terrain}
    return made if width == FRAME + seen else None
