"""The typed description of a quadruped: geometry, masses, joints, actuators, gains and rates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np

from robots.joints import JOINT_NAMES, LEGS


@dataclass(frozen=True)
class Link:
    """A rigid link; its inertia is diagonal in the link's own axes.

    Attributes:
        mass: kg, rotors of the joints that the link carries included.
        com: centre of mass in the link frame, m; y is given for a left leg and mirrored for a right one.
        inertia: (ixx, iyy, izz) about the centre of mass, kg m^2.
    """

    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float]


@dataclass(frozen=True)
class Joint:
    """What the four legs' joints of one kind (hip, thigh or calf) share.

    Attributes:
        lower_front, upper_front, lower_rear, upper_rear: position limits, rad.
        effort: torque limit, N m.
        velocity: velocity limit, rad/s.
        armature: rotor inertia seen at the joint, kg m^2.
    """

    lower_front: float
    upper_front: float
    lower_rear: float
    upper_rear: float
    effort: float
    velocity: float
    armature: float


@dataclass(frozen=True)
class RobotSpec:
    """A quadruped with three joints a leg; arrays are in the order of `joint_names`, (12,).

    Attributes:
        name: the folder's name, also in every file made for the robot.
        trunk, hip, thigh, calf, foot: links; the foot is a sphere at the calf's end.
        hip_offset: hip joint from the trunk's origin, front left, (x, y), m.
        abduction_offset: thigh joint from the hip joint, sideways, m.
        thigh_length, calf_length, foot_radius: m.
        trunk_size: half extents of the trunk's box, m.
        hip_joint, thigh_joint, calf_joint: limits and armature.
        default_hip, default_thigh_front, default_thigh_rear, default_calf: the default pose, rad; the hip's sign is
            a left leg's.
        kp, kd: nominal joint gains, N m/rad and N m s/rad.
        action_scale: rad of joint target per unit of policy output.
        control_dt: policy period, s.
        payload_mount: where a payload's centre of mass sits by default, trunk frame, m.
    """

    name: str
    trunk: Link
    hip: Link
    thigh: Link
    calf: Link
    foot: Link
    hip_offset: tuple[float, float]
    abduction_offset: float
    thigh_length: float
    calf_length: float
    foot_radius: float
    trunk_size: tuple[float, float, float]
    hip_joint: Joint
    thigh_joint: Joint
    calf_joint: Joint
    default_hip: float
    default_thigh_front: float
    default_thigh_rear: float
    default_calf: float
    kp: float
    kd: float
    action_scale: float
    control_dt: float
    payload_mount: tuple[float, float, float]

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the 12 joints: FL FR RL RR x hip thigh calf."""
        return JOINT_NAMES

    @property
    def mass(self) -> float:
        """Total mass, kg."""
        return self.trunk.mass + 4 * (self.hip.mass + self.thigh.mass + self.calf.mass + self.foot.mass)

    @property
    def default_position(self) -> np.ndarray:
        """Joint positions of the default pose, rad."""
        pose = []
        for leg in LEGS:
            side = 1.0 if leg[1] == "L" else -1.0
            thigh = self.default_thigh_front if leg[0] == "F" else self.default_thigh_rear
            pose += [side * self.default_hip, thigh, self.default_calf]
        return np.array(pose)

    @property
    def position_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper joint limits, rad."""
        lower, upper = [], []
        for leg in LEGS:
            for joint in (self.hip_joint, self.thigh_joint, self.calf_joint):
                front = leg[0] == "F"
                lower.append(joint.lower_front if front else joint.lower_rear)
                upper.append(joint.upper_front if front else joint.upper_rear)
        return np.array(lower), np.array(upper)

    @property
    def torque_limit(self) -> np.ndarray:
        """Joint torque limits, N m."""
        return np.tile([self.hip_joint.effort, self.thigh_joint.effort, self.calf_joint.effort], 4)

    @property
    def velocity_limit(self) -> np.ndarray:
        """Joint velocity limits, rad/s."""
        return np.tile([self.hip_joint.velocity, self.thigh_joint.velocity, self.calf_joint.velocity], 4)

    @property
    def armature(self) -> np.ndarray:
        """Rotor inertia at the joints, kg m^2."""
        return np.tile([self.hip_joint.armature, self.thigh_joint.armature, self.calf_joint.armature], 4)

    @property
    def standing_height(self) -> float:
        """Height of the trunk's origin over flat ground in the default pose, m."""
        from robots.kinematics import foot_positions

        return float(-foot_positions(self, self.default_position)[:, 2].mean() + self.foot_radius)

    def digest(self) -> str:
        """Return a short hash of every constant, by which artifacts recognise their robot."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
