"""The ROS 2 messages of the log in CDR, without ROS: laid out once, then only their numbers are replaced."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

_TIME = "builtin_interfaces/Time", "int32 sec\nuint32 nanosec"
_HEADER = "std_msgs/Header", "builtin_interfaces/Time stamp\nstring frame_id"
_VECTOR = "geometry_msgs/Vector3", "float64 x\nfloat64 y\nfloat64 z"
_QUATERNION = "geometry_msgs/Quaternion", "float64 x\nfloat64 y\nfloat64 z\nfloat64 w"
_TWIST = "geometry_msgs/Twist", "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular"
_DIMENSION = "std_msgs/MultiArrayDimension", "string label\nuint32 size\nuint32 stride"
_LAYOUT = "std_msgs/MultiArrayLayout", "std_msgs/MultiArrayDimension[] dim\nuint32 data_offset"


def _definition(fields: str, *parts: tuple[str, str]) -> str:
    """Return a type's fields followed by those of the types it is made of, as rosbag2 stores them."""
    sections = [fields, *(f"{'=' * 80}\nMSG: {name}\n{text}" for name, text in parts)]
    return "\n".join(sections) + "\n"


DEFINITIONS = {
    "sensor_msgs/msg/Imu": _definition(
        "std_msgs/Header header\ngeometry_msgs/Quaternion orientation\nfloat64[9] orientation_covariance\n"
        "geometry_msgs/Vector3 angular_velocity\nfloat64[9] angular_velocity_covariance\n"
        "geometry_msgs/Vector3 linear_acceleration\nfloat64[9] linear_acceleration_covariance",
        *(_HEADER, _TIME, _QUATERNION, _VECTOR),
    ),
    "sensor_msgs/msg/JointState": _definition(
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort",
        *(_HEADER, _TIME),
    ),
    "geometry_msgs/msg/TwistStamped": _definition(
        "std_msgs/Header header\ngeometry_msgs/Twist twist", *(_HEADER, _TIME, _TWIST, _VECTOR)
    ),
    "std_msgs/msg/Float64MultiArray": _definition(
        "std_msgs/MultiArrayLayout layout\nfloat64[] data", *(_LAYOUT, _DIMENSION)
    ),
    "std_msgs/msg/String": _definition("string data"),
}


class _Layout:
    """A CDR message under construction: little endian, each value aligned to its size after the 4 byte head."""

    def __init__(self) -> None:
        self.data = bytearray(b"\x00\x01\x00\x00")

    def _align(self, size: int) -> int:
        self.data += bytes(-(len(self.data) - 4) % size)
        return len(self.data)

    def integer(self, value: int) -> int:
        """Add a 32 bit integer and return its offset."""
        offset = self._align(4)
        self.data += struct.pack("<I", value)
        return offset

    def text(self, value: str) -> None:
        """Add a string."""
        content = value.encode() + b"\x00"
        self.integer(len(content))
        self.data += content

    def numbers(self, count: int, sequence: bool = False) -> int:
        """Add float64 values, as a sequence with its length or as an array, and return their offset."""
        if sequence:
            self.integer(count)
        offset = self._align(8)
        self.data += bytes(8 * count)
        return offset

    def header(self, frame: str) -> int:
        """Add a std_msgs/Header and return the offset of its stamp."""
        offset = self.integer(0)
        self.integer(0)
        self.text(frame)
        return offset


class Message:
    """A message whose numbers change and whose length does not.

    Args:
        kind: ROS 2 type.
        layout: the message laid out.
        stamp: offset of the stamp, None for a type without.
        numbers: (offset, count) of each group of float64 values, in the order in which `pack` takes them.
    """

    def __init__(self, kind: str, layout: _Layout, stamp: int | None, numbers: Sequence[tuple[int, int]]) -> None:
        self.kind = kind
        self._data, self._stamp = layout.data, stamp
        self._views = [np.ndarray((count,), "<f8", self._data, offset) for offset, count in numbers]

    def pack(self, time: int, *numbers: np.ndarray | Sequence[float]) -> bytes:
        """Return the message with a stamp in ns and these numbers."""
        if self._stamp is not None:
            struct.pack_into("<iI", self._data, self._stamp, *divmod(time, 1_000_000_000))
        for view, values in zip(self._views, numbers, strict=True):
            view[:] = values
        return bytes(self._data)


def joint_state(names: Sequence[str]) -> Message:
    """Return a sensor_msgs/JointState; packs position, velocity, effort."""
    layout = _Layout()
    stamp = layout.header("")
    layout.integer(len(names))
    for name in names:
        layout.text(name)
    places = [(layout.numbers(len(names), sequence=True), len(names)) for _ in range(3)]
    return Message("sensor_msgs/msg/JointState", layout, stamp, places)


def imu() -> Message:
    """Return a sensor_msgs/Imu; packs quaternion (x, y, z, w), angular velocity, acceleration, its covariance (9)."""
    layout = _Layout()
    stamp = layout.header("imu")
    places = [(layout.numbers(count), count) for count in (4, 9, 3, 9, 3, 9)]
    return Message("sensor_msgs/msg/Imu", layout, stamp, [places[i] for i in (0, 2, 4, 5)])


def twist(frame: str = "base") -> Message:
    """Return a geometry_msgs/TwistStamped; packs linear, angular."""
    layout = _Layout()
    stamp = layout.header(frame)
    places = [(layout.numbers(3), 3) for _ in range(2)]
    return Message("geometry_msgs/msg/TwistStamped", layout, stamp, places)


def table(rows: str, columns: str, shape: tuple[int, int]) -> Message:
    """Return a std_msgs/Float64MultiArray of two dimensions with these labels; packs its values, row by row."""
    layout = _Layout()
    layout.integer(2)
    for label, size, stride in ((rows, shape[0], shape[0] * shape[1]), (columns, shape[1], shape[1])):
        layout.text(label)
        layout.integer(size)
        layout.integer(stride)
    layout.integer(0)
    count = shape[0] * shape[1]
    return Message("std_msgs/msg/Float64MultiArray", layout, None, [(layout.numbers(count, sequence=True), count)])


def text(value: str) -> bytes:
    """Return a std_msgs/String."""
    layout = _Layout()
    layout.text(value)
    return bytes(layout.data)
