"""The controller's states as data: what the motors do in each, and where the operator may go from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

EVENTS = ("stand_up", "stand", "walk", "calibrate", "lie_down", "damping", "reset")


# A way point: the name of a pose ("measured" when the state is entered, "folded", "default"), the seconds to it, and
# the share of the torque limits that may be used on the way. Legs that fold with half of it tip some robots over. No
# way up ends before the gains are whole: soft motors would still be far from where they were sent. The way down begins
# with a stand: from a policy's own stance legs fold unevenly, and the robot rolls over.
Path = tuple[tuple[str, float, float], ...]
STAND_UP: Path = (("measured", 0.5, 0.35), ("folded", 1.0, 0.35), ("default", 1.5, 0.56))
STAND_UP_NEAR: Path = (("measured", 0.5, 0.5), ("default", 1.5, 0.56))
JOINT_SPEED = 1.0  # rad/s: a way that is too far for its seconds takes longer, so that no joint is faster on average
STAND: Path = (("default", 0.5, 0.55),)
LIE_DOWN: Path = (*STAND, ("folded", 1.5, 0.5))

FOLDED_LEG = (0.0, 1.36, -2.65)  # rad: hip, thigh, calf of a leg folded under the trunk
NEAR_DEFAULT = 0.5  # rad: a robot whose every joint is this near the default pose takes the path for near


@dataclass(frozen=True)
class State:
    """A row of the table.

    Attributes:
        motion: where joint targets come from: "none" (no position control), "path" (way points), or "policy".
        kp, kd: joint gains, as multiples of the robot's nominal gains.
        powered: whether a guard that trips leads to "fault"; an unpowered robot may be carried about.
        on: operator's event -> next state; any other is refused. A motion with an end may begin anew.
        done: next state when the motion has ended, with motions that end.
        start: where a path starts: at the "measured" joints, or at the last "target", which keeps the torque.
        path: way points.
        path_near: way points from near the default pose; none are as `path`.
        gain_ramp: time over which kp rises from zero, s.
        reach: how near every joint must have come to a path's end, rad; else it is a fault.
        policy: which policy runs, "walk" or "calibration"; None keeps the one in use.
        velocity: where the velocity command comes from: "operator", "calibration" (the designed motion) or "zero".
        seconds: how long a policy motion lasts, s; None until an event, or until the calibration motion ends.
    """

    motion: str
    kp: float
    kd: float
    powered: bool
    on: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    done: str | None = None
    start: str = "target"
    path: Path = ()
    path_near: Path = ()
    gain_ramp: float = 0.0
    reach: float = float("inf")
    policy: str | None = None
    velocity: str = "zero"
    seconds: float | None = None


# Standing takes twice the gains of walking: with those, a weak robot under a payload would stand crouched and tilted.
_STIFF = 2.0
STATES: Mapping[str, State] = MappingProxyType(
    {
        "passive": State("none", kp=0, kd=0, powered=False, on={"stand_up": "stand_up", "damping": "damping"}),
        "stand_up": State(
            "path",
            kp=_STIFF,
            kd=_STIFF,
            powered=True,
            on={"lie_down": "lie_down", "damping": "damping"},
            done="stand",
            start="measured",
            path=STAND_UP,
            path_near=STAND_UP_NEAR,
            gain_ramp=2.0,
            reach=0.8,
        ),
        "stand": State(
            "path",
            kp=_STIFF,
            kd=_STIFF,
            powered=True,
            on={"walk": "walk", "calibrate": "calibrate", "lie_down": "lie_down", "damping": "damping"},
            path=STAND,
        ),
        "walk": State(
            "policy",
            kp=1,
            kd=1,
            powered=True,
            on={"stand": "stop", "damping": "damping"},
            policy="walk",
            velocity="operator",
        ),
        "calibrate": State(
            "policy",
            kp=1,
            kd=1,
            powered=True,
            on={"stand": "stop", "calibrate": "calibrate", "damping": "damping"},
            done="stop",
            policy="calibration",
            velocity="calibration",
        ),
        # The policy brings the robot to rest before its legs are held: between walking or calibrating and a stand.
        "stop": State(
            "policy", kp=1, kd=1, powered=True, on={"walk": "walk", "damping": "damping"}, done="stand", seconds=1.5
        ),
        "lie_down": State(
            "path",
            kp=_STIFF,
            kd=_STIFF,
            powered=True,
            on={"damping": "damping"},
            done="passive",
            path=LIE_DOWN,
            reach=0.8,
        ),
        # The operator's emergency stop, and a guard's: the motors brake, and hold nothing.
        "damping": State("none", kp=0, kd=3, powered=False, on={"reset": "passive", "damping": "damping"}),
        "fault": State("none", kp=0, kd=3, powered=False, on={"reset": "passive", "damping": "fault"}),
    }
)
INITIAL, FAULT = "passive", "fault"


def next_state(state: str, event: str) -> str:
    """Return where the operator's event leads.

    Raises:
        ValueError: with the reason, if the event is unknown or not allowed in that state.
    """
    if event not in EVENTS:
        raise ValueError(f"unknown event '{event}': choose one of {', '.join(EVENTS)}")
    allowed = STATES[state].on
    if event not in allowed:
        raise ValueError(f"'{event}' is not allowed in state '{state}': allowed are {', '.join(allowed) or 'none'}")
    return allowed[event]
