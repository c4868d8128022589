"""Read a recorded walk from a rosbag2 folder or from a bare MCAP or sqlite3 file, as raw time series."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import RefusedError
from calibration.mcap_metadata import is_truncated, read_metadata
from deploy.gains import NOMINAL, Gains
from robots.joints import permutation

STORAGES = (".mcap", ".db3")
# A bag of the ROS 2 node has the joint targets here; its commands are a type of its own, and limited by the torque.
TARGETS, JOINT_COMMAND = "/joint_targets", "deploy_msgs/msg/JointCommand"
STATE = "deploy_msgs/msg/ControllerState"
AGAIN = "record the walk again"
MOST = 160  # characters of another library's complaint that are passed on


@dataclass(frozen=True)
class Topics:
    """Where a log holds what calibration needs; the last two may be absent."""

    imu: str = "/imu/data"
    joints: str = "/joint_states"
    commands: str = "/joint_commands"
    velocity_command: str = "/cmd_vel"
    controller: str = "/controller_state"


@dataclass(frozen=True)
class Series:
    """Messages of one topic in the log's order.

    Attributes:
        log_time: when each was recorded, s from the log's first message, (n,).
        stamp: the header's time, s from the log's first header; NaN without one, (n,).
        values: named arrays, (n, size), or a list of n strings.
    """

    log_time: np.ndarray
    stamp: np.ndarray
    values: dict[str, Any]

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.log_time)


@dataclass(frozen=True)
class RawLog:
    """What a log holds, not yet judged; joints are in the robot's order.

    Attributes:
        path: the file or folder.
        imu: `angular_velocity` (n, 3) rad/s, `quaternion` (n, 4) wxyz, `linear_acceleration` (n, 3) m/s^2.
        joints: `position` rad, `velocity` rad/s, `effort` N m (NaN where absent), all (n, 12).
        commands: `position`, joint targets (n, 12) rad.
        velocity_command: `command` (n, 3) m/s, m/s, rad/s, or None.
        controller: `state`, n names, and `gains`, rows of `deploy.gains.Gains` (n, 6), or None.
        metadata: the writer's own record `dmcm`: robot, robot_digest, ...
    """

    path: Path
    imu: Series
    joints: Series
    commands: Series
    velocity_command: Series | None = None
    controller: Series | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def read(path: str | Path, joint_names: Sequence[str], topics: Topics | None = None) -> RawLog:
    """Return the raw time series of a log.

    Args:
        path: a rosbag2 folder (MCAP or sqlite3, compressed or not) or a bare .mcap or .db3 file.
        joint_names: the robot's joints in the order wanted.
        topics: names of the topics, if they are not the usual ones.

    Raises:
        FileNotFoundError: if nothing is there.
        RefusedError: if it is no log, is truncated or damaged, is empty, or lacks topics or joints.
    """
    path, topics = Path(path), topics or Topics()
    source = _source(path)
    messages, custom = _messages(path, source, topics)
    origin = min(times[0][0] for times in messages.values())
    stamps = [s for rows in messages.values() for _, m in rows[:1] if (s := _stamp(m)) is not None]
    clock = _Clock(origin, min(stamps, default=0))

    def joints(topic: str, *names: str) -> Series:
        return _joint_series(messages[topic], joint_names, topic, names, path, clock)

    return RawLog(
        path=path,
        imu=_series(messages[topics.imu], _imu, clock),
        joints=joints(topics.joints, "position", "velocity", "effort"),
        commands=joints(topics.commands, "position"),
        velocity_command=_optional(messages, topics.velocity_command, _twist, clock),
        controller=_optional(messages, topics.controller, _state, clock),
        metadata=_metadata(path, source, custom),
    )


def _source(path: Path) -> Path:
    """Return what rosbags is to open, after the checks that give a better sentence than its own."""
    if not path.exists():
        raise FileNotFoundError(f"log {path} does not exist: give a rosbag2 folder or a .mcap or .db3 file")
    files, whole = [path], path.is_file()
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in STORAGES)
        whole = (path / "metadata.yaml").exists()
        if not whole and len(files) != 1:
            raise RefusedError(
                f"folder {path} has no metadata.yaml, so it is no finished rosbag2 log: run "
                f"`ros2 bag reindex {path}` or give one of its files"
            )
    elif path.suffix not in STORAGES:
        raise RefusedError(f"log {path} is no .mcap or .db3 file: give one, or the rosbag2 folder")
    for file in files:
        if file.stat().st_size == 0:
            raise RefusedError(f"log {file} is empty (0 bytes): {AGAIN}")
        if file.suffix == ".mcap" and is_truncated(file):
            raise RefusedError(
                f"log {file} is truncated (recording or copying was cut short): copy it again, recover it with "
                f"`mcap recover {file.name} -o whole.mcap`, or {AGAIN}"
            )
    return path if whole else files[0]


def _messages(path: Path, source: Path, topics: Topics) -> tuple[dict[str, list[tuple[int, Any]]], dict[str, str]]:
    """Return (log time in ns, decoded message) for every topic that is there, and a folder's custom data."""
    from rosbags.rosbag2 import Reader

    kinds = {
        topics.imu: ("sensor_msgs/msg/Imu",),
        topics.joints: ("sensor_msgs/msg/JointState",),
        topics.commands: ("sensor_msgs/msg/JointState",),
        topics.velocity_command: ("geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/Twist"),
        topics.controller: ("std_msgs/msg/String", STATE),
    }
    required = (topics.imu, topics.joints, topics.commands)
    found: dict[str, list[tuple[int, Any]]] = {}
    try:
        with Reader(source) as reader:
            there = {c.topic: c.msgtype for c in reader.connections}
            alias = {}
            if there.get(topics.commands) == JOINT_COMMAND and TARGETS in there:
                alias, there[topics.commands] = {TARGETS: topics.commands}, there[TARGETS]
            _require(path, reader.message_count, there, kinds, required)
            custom = dict(getattr(reader.storage.metadata, "custom", None) or {})
            wanted = [c for c in reader.connections if c.msgtype in kinds.get(alias.get(c.topic, c.topic), ())]
            store = _message_types(next((c.msgdef.data for c in wanted if c.msgtype == STATE), ""))
            wanted = [c for c in wanted if c.msgtype in store.types]
            for connection, time, raw in reader.messages(wanted):
                message = store.deserialize_cdr(raw, connection.msgtype)
                found.setdefault(alias.get(connection.topic, connection.topic), []).append((time, message))
    except RefusedError:
        raise
    except Exception as error:  # a damaged file makes rosbags and its decompressors raise nearly anything
        if "timestamp order" in str(error):
            raise RefusedError(f"log {path}: its clock goes backward: {AGAIN} with a steady clock") from error
        raise _damaged(path, error) from error
    silent = [topic for topic in required if topic not in found]
    if silent:
        raise RefusedError(f"log {path} holds no message on {', '.join(silent)}: {AGAIN} with these topics alive")
    return found, custom


@lru_cache(maxsize=2)
def _message_types(state: str) -> Any:
    """Return the types of a bag, with our own message if the bag defines it, as MCAP does."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    if state:
        store.register({STATE: get_types_from_msg(state, STATE)[STATE]})
    return store


def _damaged(path: Path, error: Exception) -> RefusedError:
    reason = " ".join(str(error).split())[:MOST].rstrip(".") or type(error).__name__
    return RefusedError(f"log {path} is damaged ({reason}): copy it again or {AGAIN}")


def _require(
    path: Path, count: int, there: dict[str, str], kinds: dict[str, tuple[str, ...]], required: Sequence[str]
) -> None:
    if count == 0:
        raise RefusedError(f"log {path} is empty (no message in it): {AGAIN} while the robot's topics are alive")
    missing = [topic for topic in required if topic not in there]
    if missing:
        raise RefusedError(
            f"log {path} lacks topic {', '.join(missing)} (it has {', '.join(sorted(there))}): "
            f"{AGAIN} with `ros2 bag record {' '.join(required)}`"
        )
    for topic in required:
        if there[topic] not in kinds[topic]:
            raise RefusedError(f"log {path}: topic {topic} is of type {there[topic]}: publish {kinds[topic][0]}")


class _Clock:
    """Turns times of the log and of headers, ns, into s from the first ones."""

    def __init__(self, log_origin: int, stamp_origin: int) -> None:
        self._log, self._stamp = log_origin, stamp_origin

    def log(self, times: Sequence[int]) -> np.ndarray:
        return (np.array(times, dtype=np.int64) - self._log) * 1e-9

    def stamp(self, times: Sequence[int | None]) -> np.ndarray:
        return np.array([np.nan if t is None else (t - self._stamp) * 1e-9 for t in times])


def _stamp(message: Any) -> int | None:
    """Return the header's time, ns, or None without a header or where nobody filled it in."""
    header = getattr(message, "header", None)
    return None if header is None else (header.stamp.sec * 10**9 + header.stamp.nanosec) or None


def _series(
    rows: Sequence[tuple[int, Any]], values: Callable[[Sequence[Any]], dict[str, Any]], clock: _Clock
) -> Series:
    messages = [message for _, message in rows]
    return Series(clock.log([t for t, _ in rows]), clock.stamp([_stamp(m) for m in messages]), values(messages))


def _optional(
    messages: dict[str, list[tuple[int, Any]]],
    topic: str,
    values: Callable[[Sequence[Any]], dict[str, Any]],
    clock: _Clock,
) -> Series | None:
    return _series(messages[topic], values, clock) if topic in messages else None


def _imu(messages: Sequence[Any]) -> dict[str, Any]:
    def vectors(name: str) -> np.ndarray:
        return np.array([[v.x, v.y, v.z] for v in (getattr(m, name) for m in messages)])

    quaternion = np.array([[q.w, q.x, q.y, q.z] for q in (m.orientation for m in messages)])
    return {
        "angular_velocity": vectors("angular_velocity"),
        "quaternion": quaternion,
        "linear_acceleration": vectors("linear_acceleration"),
    }


def _twist(messages: Sequence[Any]) -> dict[str, Any]:
    twists = [getattr(m, "twist", m) for m in messages]
    return {"command": np.array([[t.linear.x, t.linear.y, t.angular.z] for t in twists])}


def _state(messages: Sequence[Any]) -> dict[str, Any]:
    def told(text: str) -> tuple[str, Gains]:
        try:
            status = json.loads(text)
            return str(status["state"]), Gains.from_row(status.get("gains", NOMINAL.row()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return text, NOMINAL

    def factors(message: Any) -> Gains:
        both = getattr(message, "kp_factor", 1.0), getattr(message, "kd_factor", 1.0)
        return Gains.from_row([*both, *getattr(message, "leg_factors", ())])

    states = [told(m.data) if hasattr(m, "data") else (m.state, factors(m)) for m in messages]
    return {"state": [state for state, _ in states], "gains": np.array([gains.row() for _, gains in states])}


def _joint_series(
    rows: Sequence[tuple[int, Any]],
    joint_names: Sequence[str],
    topic: str,
    names: Sequence[str],
    path: Path,
    clock: _Clock,
) -> Series:
    """Return the messages that name all our joints, in our order; other publishers' joints are passed over."""
    orders = {tuple(m.name): None for _, m in rows}
    ours = {order: _indices(order, joint_names) for order in orders}
    if all(index is None for index in ours.values()):
        seen = sorted({name for order in orders for name in order})
        missing = [name for name in joint_names if name not in seen]
        raise RefusedError(
            f"log {path}: {topic} lacks joints {', '.join(missing) or 'in any one message'} (it has "
            f"{', '.join(seen) or 'no names'}): is this a log of another robot?"
        )
    kept = [(t, m) for t, m in rows if ours[tuple(m.name)] is not None]

    def column(name: str) -> np.ndarray:
        absent, out = np.full(len(joint_names), np.nan), []
        for _, message in kept:
            data = getattr(message, name)
            if len(data) == len(message.name):
                out.append(np.asarray(data)[ours[tuple(message.name)]])
            elif name == "effort" and len(data) == 0:
                out.append(absent)
            else:
                raise RefusedError(
                    f"log {path}: {topic} has {len(data)} values of {name} for {len(message.name)} names: "
                    f"publish one for every joint"
                )
        return np.array(out, dtype=float)

    return _series(kept, lambda _: {name: column(name) for name in names}, clock)


def _indices(order: Sequence[str], joint_names: Sequence[str]) -> np.ndarray | None:
    if not set(joint_names) <= set(order):
        return None
    index = [i for i, name in enumerate(order) if name in joint_names]
    return np.array(index)[permutation([order[i] for i in index], joint_names)]


def _metadata(path: Path, source: Path, custom: dict[str, str]) -> dict[str, str]:
    """Return what the log says of itself: the MCAP files' `dmcm` records and the rosbag2 folder's custom data."""
    files = sorted(source.glob("*.mcap")) if source.is_dir() else [source]
    found: dict[str, str] = {}
    try:
        for file in files:
            found.update(read_metadata(file, "dmcm") if file.suffix == ".mcap" else {})
    except (struct.error, ValueError, OSError, MemoryError, OverflowError) as error:
        raise _damaged(path, error) from error
    return {**found, **custom}
