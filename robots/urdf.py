"""Writes a robot as URDF from its specification: primitives only, no meshes; links and joints named as in the MJCF.

Two forms: for robot_state_publisher and RViz the root `base` has no mass, as kdl wants it, and `trunk` and `imu` sit on
it; for a simulator the trunk is the root and carries a payload, and every link has a mass.
"""

from __future__ import annotations

from robots.joints import LEGS
from robots.mjcf import PAYLOAD_BODY
from robots.spec import Joint, Link, RobotSpec

BASE = "base"
LIGHT, LIGHT_INERTIA = 1e-3, 1e-6  # kg and kg m^2, of a payload that is not there


def _numbers(*values: float) -> str:
    return " ".join(f"{v:.9g}" for v in values)


def _inertial(link: Link, fore: float = 1.0, side: float = 1.0) -> str:
    x, y, z = link.com
    ixx, iyy, izz = (f"{v:.9g}" for v in link.inertia)
    return (
        f'<inertial><origin xyz="{_numbers(fore * x, side * y, z)}"/><mass value="{link.mass:.9g}"/>'
        f'<inertia ixx="{ixx}" ixy="0" ixz="0" iyy="{iyy}" iyz="0" izz="{izz}"/></inertial>'
    )


def _shape(geometry: str, xyz: str = "0 0 0", rpy: str = "0 0 0", solid: bool = True) -> str:
    """Return a visual, and the same as collision where it is solid."""
    body = f'<origin xyz="{xyz}" rpy="{rpy}"/><geometry>{geometry}</geometry>'
    return f"<visual>{body}</visual>" + (f"<collision>{body}</collision>" if solid else "")


def _rod(radius: float, length: float, end: float) -> str:
    """Return a cylinder along z from the origin down, `end` m short of `length`."""
    size = length - end
    return _shape(f'<cylinder radius="{radius:.9g}" length="{size:.9g}"/>', f"0 0 {-size / 2:.9g}")


def _link(name: str, *parts: str) -> str:
    return f'<link name="{name}">{"".join(parts)}</link>\n'


def _fixed(parent: str, child: str, xyz: str = "0 0 0") -> str:
    return (
        f'<joint name="{child}_fixed" type="fixed"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{xyz}"/></joint>\n'
    )


def _revolute(name: str, parent: str, child: str, xyz: str, axis: str, joint: Joint, front: bool) -> str:
    lower, upper = (joint.lower_front, joint.upper_front) if front else (joint.lower_rear, joint.upper_rear)
    return (
        f'<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}"/>'
        f'<axis xyz="{axis}"/><limit lower="{lower:.9g}" upper="{upper:.9g}" effort="{joint.effort:.9g}" '
        f'velocity="{joint.velocity:.9g}"/></joint>\n'
    )


def _leg(spec: RobotSpec, leg: str) -> str:
    front, side = leg[0] == "F", 1.0 if leg[1] == "L" else -1.0
    fore = 1.0 if front else -1.0
    hip_at = _numbers(fore * spec.hip_offset[0], side * spec.hip_offset[1], 0.0)
    thigh_at = _numbers(0.0, side * spec.abduction_offset, 0.0)
    housing = _shape('<cylinder radius="0.046" length="0.04"/>', rpy="1.57079633 0 0", solid=False)
    sole = _shape(f'<sphere radius="{spec.foot_radius:.9g}"/>')
    return (
        _link(f"{leg}_hip", _inertial(spec.hip, fore, side), housing)
        + _link(f"{leg}_thigh", _inertial(spec.thigh, 1.0, side), _rod(0.02, spec.thigh_length, 0.02))
        + _link(f"{leg}_calf", _inertial(spec.calf, 1.0, side), _rod(0.012, spec.calf_length, 0.05))
        + _link(f"{leg}_foot", _inertial(spec.foot), sole)
        + _revolute(f"{leg}_hip_joint", "trunk", f"{leg}_hip", hip_at, "1 0 0", spec.hip_joint, front)
        + _revolute(f"{leg}_thigh_joint", f"{leg}_hip", f"{leg}_thigh", thigh_at, "0 1 0", spec.thigh_joint, front)
        + _revolute(
            f"{leg}_calf_joint",
            f"{leg}_thigh",
            f"{leg}_calf",
            _numbers(0.0, 0.0, -spec.thigh_length),
            "0 1 0",
            spec.calf_joint,
            front,
        )
        + _fixed(f"{leg}_calf", f"{leg}_foot", _numbers(0.0, 0.0, -spec.calf_length))
    )


def robot(spec: RobotSpec) -> str:
    """Return the URDF of the robot for robot_state_publisher and RViz."""
    return _whole(spec, _link(BASE), _trunk(spec), _link("imu"), _fixed(BASE, "trunk"), _fixed(BASE, "imu"))


def simulated(spec: RobotSpec) -> str:
    """Return the URDF of the robot for a simulator; the payload weighs next to nothing until it is given a mass."""
    payload = _inertial(Link(LIGHT, spec.payload_mount, (LIGHT_INERTIA, LIGHT_INERTIA, LIGHT_INERTIA)))
    return _whole(spec, _trunk(spec), _link(PAYLOAD_BODY, payload), _fixed("trunk", PAYLOAD_BODY))


def _trunk(spec: RobotSpec) -> str:
    trunk = _shape(f'<box size="{_numbers(*(2 * half for half in spec.trunk_size))}"/>')
    head = _shape('<box size="0.06 0.1 0.08"/>', _numbers(spec.trunk_size[0] + 0.03, 0.0, 0.01), solid=False)
    return _link("trunk", _inertial(spec.trunk), trunk, head)


def _whole(spec: RobotSpec, *parts: str) -> str:
    legs = "".join(_leg(spec, leg) for leg in LEGS)
    return f'<?xml version="1.0"?>\n<robot name="{spec.name}">\n{"".join(parts)}{legs}</robot>\n'
