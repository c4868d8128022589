"""Messages that keep rclpy's contracts: fixed fields, and each takes only the type that the definition gives it.

Definitions are the package's own .msg files, and the standard ones written out here.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import Any

MESSAGES = Path(__file__).parents[2] / "ros2_ws" / "src" / "deploy_msgs" / "msg"

STANDARD = {
    "Time": "int32 sec\nuint32 nanosec",
    "Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular",
    "Transform": "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation",
    "TransformStamped": "std_msgs/Header header\nstring child_frame_id\ngeometry_msgs/Transform transform",
    "TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "JointState": ("std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort"),
    "Imu": (
        "std_msgs/Header header\ngeometry_msgs/Quaternion orientation\nfloat64[9] orientation_covariance\n"
        "geometry_msgs/Vector3 angular_velocity\nfloat64[9] angular_velocity_covariance\n"
        "geometry_msgs/Vector3 linear_acceleration\nfloat64[9] linear_acceleration_covariance"
    ),
    "Joy": "std_msgs/Header header\nfloat32[] axes\nint32[] buttons",
}
PLAIN = {"string": str, "bool": bool, "float64": float, "float32": float, "int32": int, "uint32": int}


def fields(kind: str) -> dict[str, str]:
    """Return the fields of a message by name, with their types."""
    name = kind.rsplit("/", 1)[-1]
    text = STANDARD[name] if name in STANDARD else (MESSAGES / f"{name}.msg").read_text(encoding="utf-8")
    lines = (line.split("#")[0].split() for line in text.splitlines())
    return {words[1]: words[0] for words in lines if words}


def _empty(kind: str) -> Any:
    if kind.endswith("]"):
        inner, size = re.fullmatch(r"(.*)\[(\d*)\]", kind).groups()
        return array("d", [0.0] * int(size or 0)) if inner.startswith("float64") else []
    return PLAIN[kind]() if kind in PLAIN else Message(kind)


class Message:
    """An empty message of a ROS 2 type such as `sensor_msgs/msg/Imu`."""

    def __init__(self, kind: str) -> None:
        object.__setattr__(self, "_fields", fields(kind))
        for name, its in self._fields.items():
            object.__setattr__(self, name, _empty(its))

    def __setattr__(self, name: str, value: Any) -> None:
        """Take a value as rclpy's setters do: of the field's own type, and no other field."""
        if name not in self._fields:
            raise AttributeError(name)
        wanted = getattr(self, name)
        assert isinstance(value, type(wanted)) and isinstance(value, bool) == isinstance(wanted, bool), (
            f"{name} must be {type(wanted)}, not {type(value)}"
        )
        if self._fields[name] == "uint32":
            assert 0 <= value < 2**32
        object.__setattr__(self, name, value)
