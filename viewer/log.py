"""Reads a log for the viewer: rows, states, and what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import robots
from calibration.read import RawLog, Series, read
from deploy.log import EVENTS
from deploy.states import FAULT, STATES
from robots.joints import JOINT_NAMES
from robots.spec import RobotSpec
from viewer.reckon import Measured, Reckoner
from viewer.track import Track

FEET = "/foot_force"


@dataclass(frozen=True)
class Span:
    """A state of the controller: its name, from when to when, s."""

    state: str
    begin: float
    end: float


@dataclass(frozen=True)
class Event:
    """What happened: when, s, whether it was a fault, and in a few words what."""

    time: float
    fault: bool
    text: str


@dataclass(frozen=True)
class Recording:
    """A log.

    Attributes:
        path: where it is.
        spec: its robot.
        track: its rows, their time from 0.
        spans: the controller's states; none where the log does not tell.
        events: transitions, refusals and faults.
        metadata: what the writer said of robot and policies.
        warning: what is doubtful about it, "" if nothing is.
    """

    path: Path
    spec: RobotSpec
    track: Track
    spans: tuple[Span, ...]
    events: tuple[Event, ...]
    metadata: dict[str, str]
    warning: str

    def state(self, time: float) -> str:
        """Return the controller's state at a time, "" if the log does not tell."""
        return next((span.state for span in reversed(self.spans) if span.begin <= time), "")


def load(path: Path, robot: str | None = None) -> Recording:
    """Return the recording in a rosbag2 folder or file.

    Args:
        path: of the log.
        robot: its name; None takes the one that the log names.

    Raises:
        FileNotFoundError: if there is no log.
        ValueError: if it cannot be read, or is of another robot, or of one that is not known.
    """
    raw = read(path, JOINT_NAMES)
    spec = _robot(path, raw.metadata.get("robot"), robot)
    digest = raw.metadata.get("robot_digest", spec.digest())
    warning = "" if digest == spec.digest() else f"written when {spec.name} had other constants"
    feet, told = _feet_and_events(path)
    measured = _measured(raw, feet)
    origin = float(measured.time[0])
    measured.time = measured.time - origin
    track = Track(Reckoner(spec).rows(measured))
    spans = _spans(raw.controller, origin, float(measured.time[-1]))
    events = tuple(_event(time - origin, event) for time, event in told) or _faults(spans)
    return Recording(path, spec, track, spans, events, raw.metadata, warning)


def _robot(path: Path, written: str | None, wanted: str | None) -> RobotSpec:
    if wanted and written and wanted != written:
        raise ValueError(f"log {path} is of robot '{written}', not '{wanted}': leave --robot out, the log names it")
    name = wanted or written
    if name is None:
        raise ValueError(f"log {path} does not say which robot it is of: give --robot {' or '.join(robots.NAMES)}")
    if name not in robots.NAMES:
        raise ValueError(f"log {path} is of robot '{name}', which is not known here: {', '.join(robots.NAMES)} are")
    return robots.load(name)


def _measured(raw: RawLog, feet: tuple[np.ndarray, np.ndarray]) -> Measured:
    """Return everything on the joints' times, each from the newest message of its topic."""
    time, joints = raw.joints.log_time, raw.joints.values
    imu, target = raw.imu.values, _latest(raw.commands, time)
    command = raw.velocity_command
    state = raw.controller
    moved = ["none"] * len(time) if state is None else [state.values["state"][i] for i in _newest(state.log_time, time)]
    walking = [name in STATES and STATES[name].motion == "policy" for name in moved]
    at = _newest(raw.imu.log_time, time)
    return Measured(
        time=time,
        quaternion=imu["quaternion"][at],
        angular_velocity=imu["angular_velocity"][at],
        joint_position=joints["position"],
        joint_velocity=joints["velocity"],
        joint_torque=joints["effort"],
        target=raw.commands.values["position"][target],
        command=np.zeros((len(time), 3)) if command is None else command.values["command"][_latest(command, time)],
        foot_force=feet[1][_newest(feet[0], time)] if len(feet[0]) else np.full((len(time), 4), np.nan),
        walking=np.array(walking, dtype=float) if state is not None else np.ones(len(time)),
        milliseconds=1e3 * np.diff(time, prepend=time[0]),
    )


def _newest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return for each wanted time the index of the last that is not later, or the first."""
    return np.maximum(np.searchsorted(times, wanted + 1e-6, side="right") - 1, 0)


def _latest(series: Series, wanted: np.ndarray) -> np.ndarray:
    return _newest(series.log_time, wanted)


def _feet_and_events(path: Path) -> tuple[tuple[np.ndarray, np.ndarray], list[tuple[float, dict[str, Any]]]]:
    """Return times and loads of the feet, (t,) and (t, 4), and times and contents of the events; s from the start."""
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    store, times, loads, events = get_typestore(Stores.ROS2_HUMBLE), [], [], []
    with Reader(path) as reader:
        wanted = [c for c in reader.connections if c.topic in (FEET, EVENTS)]
        for connection, nanoseconds, raw in reader.messages(wanted) if wanted else ():
            message: Any = store.deserialize_cdr(raw, connection.msgtype)
            time = 1e-9 * (nanoseconds - reader.start_time)
            if connection.topic == EVENTS:
                events.append((time, json.loads(message.data)))
            elif len(message.data) == 4:
                times.append(time)
                loads.append(message.data)
    return (np.array(times), np.array(loads)), events


def _spans(controller: Series | None, origin: float, end: float) -> tuple[Span, ...]:
    if controller is None:
        return ()
    names, times = controller.values["state"], controller.log_time - origin
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    ends = [float(times[i]) for i in starts[1:]] + [end]
    return tuple(Span(names[i], max(0.0, float(times[i])), last) for i, last in zip(starts, ends, strict=True))


def _event(time: float, told: dict[str, Any]) -> Event:
    if "refused" in told:
        return Event(time, False, f"refused: {told['refused']}")
    return Event(time, told.get("to") == FAULT, f"{told.get('from')} → {told.get('to')}: {told.get('cause')}")


def _faults(spans: tuple[Span, ...]) -> tuple[Event, ...]:
    """Return the faults of a log that has states but no events, such as a bag of the ROS node."""
    return tuple(Event(span.begin, True, "fault") for span in spans if span.state == FAULT)
