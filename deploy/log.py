"""The log of a run: a rosbag2 folder with one MCAP file, which ROS 2, Foxglove and `dmcm adapt` read.

A thread of its own writes, so that a slow disk never delays a command, and the folder is complete once a second, so
that a process that is killed loses no more than that; after a transition or a refusal it is complete at once. A disk
that fails ends the log, not the run; a folder that somebody removed is made anew, once.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from deploy import ros_messages
from deploy.driver import JointCommand, StateLike
from deploy.mcap import McapWriter
from robots.spec import RobotSpec

METADATA = "dmcm"  # name of the MCAP metadata record
STATUS = "/controller_state"
EVENTS = "/events"
FLUSH = 1.0  # s between two times at which the folder is complete

_UNKNOWN = (-1.0,) + (0.0,) * 8  # covariance of a measurement that there is not
_KNOWN = (0.0,) * 9
_ZEROS = np.zeros(12)


class LogError(ValueError):
    """A log that cannot be written, and why."""


class LogWriter:
    """Writes what the robot measured and was told.

    Args:
        folder: rosbag2 folder to make.
        spec: the robot.
        provenance: texts for the file's metadata record "dmcm" (`Controller.provenance`).
        epoch: time of the first record, s since 1970; None is now. The robot's clock counts from there.

    Attributes:
        folder: as given.
        file: the MCAP file in it.
        records: how many records were taken.
        skipped: how many were not, because the driver gave arrays of other sizes.
        error: why writing stopped, "" while it goes well.

    Raises:
        LogError: if the folder exists or cannot be made.
    """

    def __init__(
        self, folder: str | Path, spec: RobotSpec, provenance: Mapping[str, str], epoch: float | None = None
    ) -> None:
        self.folder = Path(folder)
        self.file = self.folder / f"{self.folder.name}_0.mcap"
        self.records, self.skipped, self.error = 0, 0, ""
        self._epoch, self._first, self._last = epoch, None, 0
        self._messages = {
            "/imu/data": ros_messages.imu(),
            "/joint_states": ros_messages.joint_state(spec.joint_names),
            "/joint_commands": ros_messages.joint_state(spec.joint_names),
            "/cmd_vel": ros_messages.twist(),
            "/motor_commands": ros_messages.table("field", "joint", (5, 12)),
            "/foot_force": ros_messages.table("row", "foot", (1, 4)),
        }
        kinds = {topic: message.kind for topic, message in self._messages.items()}
        self._kinds = {**kinds, STATUS: "std_msgs/msg/String", EVENTS: "std_msgs/msg/String"}
        self._provenance = dict(provenance)
        try:
            self._begin()
        except FileExistsError:
            raise LogError(f"log folder {self.folder} exists already; choose another name") from None
        except OSError as problem:
            raise LogError(f"cannot write the log to {self.folder}: {problem.strerror}") from None
        self._queue: queue.SimpleQueue[tuple[int, dict[str, bytes]] | None] = queue.SimpleQueue()
        self._complete = False
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def _begin(self) -> None:
        """Make the folder and the file in it."""
        self.folder.mkdir(parents=True)
        self._writer = McapWriter(self.file, {METADATA: self._provenance})
        self._channels = {
            topic: self._writer.add_channel(topic, kind, ros_messages.DEFINITIONS[kind])
            for topic, kind in self._kinds.items()
        }

    def record(
        self, state: StateLike, target: np.ndarray, velocity: np.ndarray, command: JointCommand, status: str
    ) -> None:
        """Take one record; call it at the policy's rate.

        Args:
            state: what was measured.
            target: joint target before the torque limit, rad, (12,): default position + action scale x action.
            velocity: velocity command in effect: m/s, m/s, rad/s.
            command: what was sent.
            status: state of the controller, JSON.
        """
        if self.error:
            return
        try:
            stamp = self._time(state.stamp)
            packed = self._pack(stamp, state, target, velocity, command)
        except (AttributeError, TypeError, ValueError):
            self.skipped += 1
            return
        packed[STATUS] = ros_messages.text(status)
        self.records += 1
        self._queue.put((stamp, packed))

    def event(self, stamp: float, event: Mapping[str, str]) -> None:
        """Note what happened at a time of the robot's clock, s, and see to it that it is on the disk.

        Args:
            stamp: s.
            event: a transition (from, to, cause), or an operator's wish that was refused (refused).
        """
        if not self.error:
            text = json.dumps({"stamp": stamp if np.isfinite(stamp) else None, **event})
            self._queue.put((self._time(stamp), {EVENTS: ros_messages.text(text)}))

    def _pack(
        self, stamp: int, state: StateLike, target: np.ndarray, velocity: np.ndarray, command: JointCommand
    ) -> dict[str, bytes]:
        w, x, y, z = state.quaternion
        acceleration, covariance = state.linear_acceleration, _KNOWN
        if acceleration is None:
            acceleration, covariance = _ZEROS[:3], _UNKNOWN
        sent = np.concatenate([command.position, command.velocity, command.torque, command.kp, command.kd])
        numbers = {
            "/imu/data": ((x, y, z, w), state.angular_velocity, acceleration, covariance),
            "/joint_states": (state.joint_position, state.joint_velocity, state.joint_torque),
            "/joint_commands": (target, _ZEROS, command.torque),
            "/cmd_vel": ((velocity[0], velocity[1], 0.0), (0.0, 0.0, velocity[2])),
            "/motor_commands": (sent,),
        }
        if state.foot_force is not None:
            numbers["/foot_force"] = (state.foot_force,)
        return {topic: self._messages[topic].pack(stamp, *values) for topic, values in numbers.items()}

    def close(self) -> None:
        """Write what is left and complete the folder; harmless when repeated."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def __enter__(self) -> LogWriter:
        """Return the log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the folder, whatever happened."""
        self.close()

    def _time(self, stamp: float) -> int:
        """Return the robot's time as ns since 1970; a stamp that is not finite or absurd repeats the last."""
        if self._first is None and np.isfinite(stamp):
            self._epoch = time.time() if self._epoch is None else self._epoch
            self._first = stamp
        if self._first is not None and abs(stamp - self._first) < 1e8:
            assert self._epoch is not None
            self._last = max(0, round(self._epoch * 1e9) + round((stamp - self._first) * 1e9))
        return self._last

    def _work(self) -> None:
        """Write until told to close; runs in the thread."""
        try:
            self._write_all()
        except FileNotFoundError:
            self._begin_again()
        except OSError as problem:
            self._end(problem)
        with suppress(OSError):
            self._writer.close()

    def _write_all(self) -> None:
        self._write_metadata()
        self._drain()
        self._writer.flush()
        self._write_metadata()

    def _begin_again(self) -> None:
        """Go on in a new folder of the same name: what had been written is gone with the old one."""
        with suppress(OSError):
            self._writer.close()
        try:
            self._begin()
            self._write_all()
        except OSError as problem:
            self._end(problem)

    def _end(self, problem: OSError) -> None:
        self.error = f"the log {self.folder} ends early: {problem.strerror}"

    def _drain(self) -> None:
        flushed = time.monotonic()
        while not self._complete:
            hurry = False
            with suppress(queue.Empty):
                item = self._queue.get(timeout=FLUSH)
                if item is None:
                    self._complete = True
                    return
                for topic, data in item[1].items():
                    self._writer.add_message(self._channels[topic], item[0], data)
                hurry = EVENTS in item[1]
            if hurry or time.monotonic() - flushed >= FLUSH:
                self._writer.flush()
                self._write_metadata()
                flushed = time.monotonic()

    def _write_metadata(self) -> None:
        """Write rosbag2's metadata.yaml (JSON is YAML) in version 5, which Humble and everything later reads."""
        counts = self._writer.counts
        span = {
            "starting_time": {"nanoseconds_since_epoch": self._writer.start},
            "duration": {"nanoseconds": self._writer.end - self._writer.start},
            "message_count": sum(counts.values()),
        }
        topics = [
            {
                "topic_metadata": {
                    "name": topic,
                    "type": kind,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": "",
                },
                "message_count": counts[self._channels[topic]],
            }
            for topic, kind in self._kinds.items()
        ]
        information = {
            "version": 5,
            "storage_identifier": "mcap",
            "relative_file_paths": [self.file.name],
            **span,
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
            "files": [{"path": self.file.name, **span}],
        }
        partial = self.folder / "metadata.yaml.tmp"
        partial.write_text(json.dumps({"rosbag2_bagfile_information": information}, indent=1), encoding="utf-8")
        os.replace(partial, self.folder / "metadata.yaml")
