"""Writes a robot as MJCF from its specification: primitives only, no meshes."""

from __future__ import annotations

from robots.joints import LEGS
from robots.spec import Joint, Link, RobotSpec

PAYLOAD_BODY = "payload"


def _numbers(*values: float) -> str:
    return " ".join(f"{v:.9g}" for v in values)


def _inertial(link: Link, side: float = 1.0) -> str:
    x, y, z = link.com
    return (
        f'<inertial pos="{_numbers(x, side * y, z)}" mass="{link.mass:.9g}" diaginertia="{_numbers(*link.inertia)}"/>'
    )


def _joint(name: str, axis: str, joint: Joint, front: bool) -> str:
    limits = (joint.lower_front, joint.upper_front) if front else (joint.lower_rear, joint.upper_rear)
    return f'<joint name="{name}" axis="{axis}" range="{_numbers(*limits)}" armature="{joint.armature:.9g}"/>'


def _leg(spec: RobotSpec, leg: str) -> str:
    front, side = leg[0] == "F", 1.0 if leg[1] == "L" else -1.0
    fore = 1.0 if front else -1.0
    hip_link = Link(spec.hip.mass, (fore * spec.hip.com[0], *spec.hip.com[1:]), spec.hip.inertia)
    hip = (fore * spec.hip_offset[0], side * spec.hip_offset[1], 0.0)
    length, reach = spec.thigh_length, spec.calf_length
    radius = spec.foot_radius
    return f"""
      <body name="{leg}_hip" pos="{_numbers(*hip)}">
        {_inertial(hip_link, side)}
        {_joint(f"{leg}_hip_joint", "1 0 0", spec.hip_joint, front)}
        <geom class="visual" type="cylinder" size="0.046 0.02" zaxis="0 1 0"/>
        <body name="{leg}_thigh" pos="0 {side * spec.abduction_offset:.9g} 0">
          {_inertial(spec.thigh, side)}
          {_joint(f"{leg}_thigh_joint", "0 1 0", spec.thigh_joint, front)}
          <geom name="{leg}_thigh" class="body" type="capsule" size="0.02" fromto="0 0 0 0 0 {-length + 0.02:.9g}"/>
          <site name="{leg}_thigh" class="touch" type="capsule" size="0.03" fromto="0 0 0 0 0 {-length + 0.01:.9g}"/>
          <body name="{leg}_calf" pos="0 0 {-length:.9g}">
            {_inertial(spec.calf, side)}
            {_joint(f"{leg}_calf_joint", "0 1 0", spec.calf_joint, front)}
            <geom name="{leg}_calf" class="body" type="capsule" size="0.012" fromto="0 0 0 0 0 {-reach + 0.05:.9g}"/>
            <site name="{leg}_calf" class="touch" type="capsule" size="0.02" fromto="0 0 0 0 0 {-reach + 0.06:.9g}"/>
            <body name="{leg}_foot" pos="0 0 {-reach:.9g}">
              {_inertial(spec.foot)}
              <geom name="{leg}_foot" class="foot" type="sphere" size="{radius:.9g}"/>
              <site name="{leg}_foot" class="touch" type="sphere" size="{radius * 1.5:.9g}"/>
            </body>
          </body>
        </body>
      </body>"""


def robot_body(spec: RobotSpec) -> str:
    """Return the `<body>` element of the robot, its trunk's origin at the default standing height.

    The payload is a body of its own without a geom, so that a simulation can change its mass and place.
    """
    legs = "".join(_leg(spec, leg) for leg in LEGS)
    return f"""
    <body name="trunk" pos="0 0 {spec.standing_height:.9g}">
      {_inertial(spec.trunk)}
      <freejoint name="root"/>
      <geom name="trunk" class="body" type="box" size="{_numbers(*spec.trunk_size)}"/>
      <geom class="visual" type="box" size="0.03 0.05 0.04" pos="{spec.trunk_size[0] + 0.03:.9g} 0 0.01"/>
      <site name="imu"/>
      <site name="trunk" class="touch" type="box" size="{_numbers(*(s + 0.01 for s in spec.trunk_size))}"/>
      <body name="{PAYLOAD_BODY}">
        <inertial pos="{_numbers(*spec.payload_mount)}" mass="1e-4" diaginertia="1e-7 1e-7 1e-7"/>
      </body>{legs}
    </body>"""


def header() -> str:
    """Return the compiler line and the default classes: `ground` for a terrain, the others for `robot_body`.

    Robot geoms touch the terrain, never each other. Joints have a trace of dry friction, so that it can be varied.
    """
    return """
  <compiler angle="radian"/>
  <default>
    <joint frictionloss="0.01"/>
    <default class="ground"><geom contype="1" conaffinity="0" condim="3" rgba="0.7 0.72 0.75 1"/></default>
    <default class="visual"><geom contype="0" conaffinity="0" mass="0" group="2" rgba="0.25 0.27 0.3 1"/></default>
    <default class="body"><geom contype="0" conaffinity="1" group="1" rgba="0.72 0.74 0.77 1"/></default>
    <default class="foot">
      <geom contype="0" conaffinity="1" priority="1" group="1" rgba="0.1 0.1 0.1 1"/>
    </default>
    <default class="touch"><site rgba="0 0 0 0" group="5"/></default>
  </default>"""


def touch_sensors() -> str:
    """Return touch sensors: 4 feet, the trunk, 4 thighs, 4 calves, each a force in N."""
    names = [f"{leg}_foot" for leg in LEGS] + ["trunk"]
    names += [f"{leg}_{part}" for part in ("thigh", "calf") for leg in LEGS]
    return "\n".join(f'    <touch name="{name}" site="{name}"/>' for name in names)
