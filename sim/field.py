"""The simulated field robot: what stands in for the real one, and is not the training simulator.

Beyond the robot factors it has what training never sees: 1 ms steps, motors that lag and weaken with speed, stiction
and viscous friction, a delay of its own, link masses that are off, and sensors with noise and bias;
and elliptic friction, which only data for the dynamics model has as well.
It satisfies `deploy`'s `RobotDriver` without importing it.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from robots.joints import JOINT_NAMES, LEGS
from robots.mjcf import PAYLOAD_BODY
from robots.spec import RobotSpec
from sim import scene
from sim.factors import WEAK_LEGS, RobotFactors
from sim.shapes import Box, box_heights

LYING = (0.0, 1.35, -2.65)  # hip, thigh, calf of a robot that lies on its belly, rad
PHYSICS_DT = 0.001  # s


@dataclass(frozen=True)
class FieldGap:
    """How the field differs from training, robot factors aside.

    Attributes:
        motor_lag: time constant of a motor's torque, s.
        speed_knee: share of the no-load speed from which a motor's torque falls off, linearly to zero.
        stiction: dry friction of every joint, N m; comes on top of the factors' joint friction.
        viscosity: viscous friction of every joint, N m s/rad.
        delay: from a command to the motor, s; comes on top of the factors' latency.
        mass_error: spread (std) of each link's mass, as a share.
        foot_friction: sliding friction of the feet.
        foot_softness: time constant of the foot contact, s.
        gyro_noise, gravity_noise, position_noise, velocity_noise: std of white sensor noise: rad/s, -, rad, rad/s.
        gyro_bias, tilt_bias, position_bias: std of what is constant over a run: rad/s, rad, rad.
    """

    motor_lag: float = 0.004
    speed_knee: float = 0.6
    stiction: float = 0.15
    viscosity: float = 0.02
    delay: float = 0.004
    mass_error: float = 0.02
    foot_friction: float = 0.7
    foot_softness: float = 0.012
    gyro_noise: float = 0.02
    gravity_noise: float = 0.003
    position_noise: float = 0.001
    velocity_noise: float = 0.08
    gyro_bias: float = 0.005
    tilt_bias: float = 0.005
    position_bias: float = 0.005


@dataclass
class FieldState:
    """What the robot's sensors report at one instant; arrays in internal joint order.

    Attributes:
        stamp: robot clock, s.
        quaternion: base attitude w x y z, (4,).
        angular_velocity: base frame, rad/s, (3,).
        linear_acceleration: base frame, gravity included as a real IMU has it, m/s^2, (3,).
        joint_position, joint_velocity, joint_torque: (12,), rad, rad/s, N m.
        foot_force: (4,), N.
        motor_temperature, battery: not simulated.
    """

    stamp: float
    quaternion: np.ndarray
    angular_velocity: np.ndarray
    linear_acceleration: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    foot_force: np.ndarray
    motor_temperature: np.ndarray | None = None
    battery: float | None = None


class FieldRobot:
    """One simulated robot behind the driver protocol; `wait` advances the simulation by one command period.

    Args:
        spec: the robot.
        factors: its condition.
        boxes: what stands on the flat ground, world frame.
        seed: of the robot: its biases and mass errors.
        noise_seed: of the sensor noise; `seed` by default.
        gap: what training never sees.
        lying: start on the belly instead of standing in the default pose.
        heading: yaw at the start, rad.
        command_dt: time between commands, s.
    """

    joint_names = JOINT_NAMES
    problem: str | None = None

    def __init__(
        self,
        spec: RobotSpec,
        factors: RobotFactors | None = None,
        boxes: list[Box] | None = None,
        seed: int = 0,
        noise_seed: int | None = None,
        gap: FieldGap | None = None,
        lying: bool = True,
        heading: float = 0.0,
        command_dt: float = 0.005,
    ) -> None:
        self.spec, self.robot, self.command_dt, self.serial = spec, spec.name, command_dt, f"sim-{seed}"
        self.factors, self.gap = factors or RobotFactors(), gap or FieldGap()
        self.boxes = boxes or []
        self.rng = np.random.default_rng(seed)
        self.model = scene.field_model(spec, self.boxes, PHYSICS_DT)
        self._apply_factors()
        self.data = mujoco.MjData(self.model)
        self._strength = np.repeat(self.factors.as_array()[list(WEAK_LEGS)], 3)
        self._limit = spec.torque_limit * self.factors.torque_limit_scale
        self._no_load, self._falling = spec.velocity_limit, spec.velocity_limit * (1.0 - self.gap.speed_knee)
        self._joints, self._rates = self.data.qpos[7:], self.data.qvel[6:]  # views
        self._draw_biases()
        self.rng = np.random.default_rng([seed, seed if noise_seed is None else noise_seed])
        self._place(lying, heading)
        self._torque = np.zeros(12)
        self._command = (self.data.qpos[7:].copy(), np.zeros(12), np.zeros(12), np.zeros(12), np.zeros(12))
        self._pending = [self._command] * (1 + round((self.gap.delay + self.factors.latency) / PHYSICS_DT))

    def _apply_factors(self) -> None:
        model, gap = self.model, self.gap
        scale = 1.0 + gap.mass_error * self.rng.standard_normal(model.nbody)
        model.body_mass[:] *= scale
        model.body_inertia[:] *= scale[:, None]
        payload, mass = model.body(PAYLOAD_BODY).id, max(self.factors.payload, 1e-4)
        model.body_mass[payload] = mass
        model.body_inertia[payload] = mass * 0.1**2 / 6.0
        shift = np.array([self.factors.payload_x, self.factors.payload_y, 0.0])
        model.body_ipos[payload] = np.array(self.spec.payload_mount) + shift
        model.dof_frictionloss[6:] = gap.stiction + self.factors.joint_friction
        model.dof_damping[6:] = gap.viscosity
        for leg in LEGS:
            foot = model.geom(f"{leg}_foot")
            foot.friction[0] = gap.foot_friction
            foot.solref[0] = gap.foot_softness
        mujoco.mj_setConst(model, mujoco.MjData(model))

    def _draw_biases(self) -> None:
        gap, rng = self.gap, self.rng
        self._gyro_bias = gap.gyro_bias * rng.standard_normal(3)
        self._position_bias = gap.position_bias * rng.standard_normal(12)
        half = 0.5 * gap.tilt_bias * rng.standard_normal(2)
        self._tilt = np.array([1.0, half[0], half[1], 0.0])

    def _place(self, lying: bool, heading: float) -> None:
        joints = np.tile(LYING, 4) if lying else self.spec.default_position
        self.place(joints, 0.1 if lying else self.spec.standing_height, (0.0, 0.0, heading))

    def place(self, joints: np.ndarray, height: float, attitude: tuple[float, float, float]) -> None:
        """Put the robot at rest at the origin: joints, rad, (12,); height over ground, m; roll, pitch and yaw, rad."""
        self.data.qvel[:] = 0.0
        self.data.qpos[:3] = [0.0, 0.0, self.ground(0.0, 0.0) + height]
        self.data.qpos[3:7] = _quaternion(*attitude)
        self.data.qpos[7:] = joints
        mujoco.mj_forward(self.model, self.data)

    def ground(self, x: float, y: float) -> float:
        """Return the true height of the ground at a point, m."""
        return float(box_heights(self.boxes, np.array(x), np.array(y)))

    @property
    def position(self) -> np.ndarray:
        """The trunk's true position, world, m, (3,); for judges, not for controllers."""
        return self.data.qpos[:3].copy()

    @property
    def velocity(self) -> np.ndarray:
        """The trunk's true velocity ahead and to the left, m/s, (2,); for judges, not for controllers."""
        w, x, y, z = self.data.qpos[3:7]
        heading = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        cos, sin = np.cos(heading), np.sin(heading)
        return np.array([[cos, sin], [-sin, cos]]) @ self.data.qvel[:2]

    @property
    def torque(self) -> np.ndarray:
        """What the motors give now, N m, (12,)."""
        return self._torque.copy()

    def read(self) -> FieldState:
        """Return what the sensors report now."""
        gap, rng, data = self.gap, self.rng, self.data
        noise = rng.standard_normal(31)
        tilt = self._tilt.copy()
        tilt[1:3] += 0.5 * gap.gravity_noise * noise[:2]
        quaternion = np.zeros(4)
        mujoco.mju_mulQuat(quaternion, data.qpos[3:7], tilt)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, data.qpos[3:7])
        specific_force = rotation.reshape(3, 3).T @ (data.qacc[:3] + np.array([0.0, 0.0, 9.81]))
        return FieldState(
            stamp=float(data.time),
            quaternion=quaternion / np.linalg.norm(quaternion),
            angular_velocity=data.qvel[3:6] + self._gyro_bias + gap.gyro_noise * noise[2:5],
            linear_acceleration=specific_force,
            joint_position=data.qpos[7:] + self._position_bias + gap.position_noise * noise[5:17],
            joint_velocity=data.qvel[6:] + gap.velocity_noise * noise[17:29],
            joint_torque=self._torque.copy(),
            foot_force=data.sensordata[:4].copy(),
        )

    def write(self, command: object) -> None:
        """Take a joint command (`deploy.driver.JointCommand`); it reaches the motors after the delay."""
        self._command = tuple(
            np.asarray(getattr(command, field), dtype=float).copy()
            for field in ("position", "velocity", "torque", "kp", "kd")
        )

    def remote(self) -> None:
        """Return None: nobody holds a remote."""

    def wait(self) -> None:
        """Advance the simulation by one command period."""
        for _ in range(round(self.command_dt / PHYSICS_DT)):
            self._pending.append(self._command)
            self._drive(self._pending.pop(0))
            mujoco.mj_step(self.model, self.data)

    def _drive(self, command: tuple[np.ndarray, ...]) -> None:
        """Let the motors follow a command, through the factors, the torque-speed curve and their lag."""
        position, velocity, feedforward, kp, kd = command
        q, dq, factors = self._joints + self._position_bias, self._rates, self.factors
        wanted = factors.kp_scale * kp * (position - q) + factors.kd_scale * kd * (velocity - dq) + feedforward
        headroom = np.minimum(np.maximum((self._no_load - np.abs(dq)) / self._falling, 0.0), 1.0)
        limit = np.where(wanted * dq > 0.0, self._limit * headroom, self._limit)
        wanted = self._strength * np.minimum(np.maximum(wanted, -limit), limit)
        self._torque += (wanted - self._torque) * (PHYSICS_DT / (PHYSICS_DT + self.gap.motor_lag))
        self.data.ctrl[:] = self._torque

    def close(self) -> None:
        """Do nothing; a simulation holds no resources."""


def _quaternion(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Return the attitude after yaw, then pitch, then roll, each about the turned axis: w x y z, (4,)."""
    turned = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        turn = np.array([np.cos(angle / 2), 0.0, 0.0, 0.0])
        turn[1 + axis] = np.sin(angle / 2)
        product = np.zeros(4)
        mujoco.mju_mulQuat(product, turned, turn)
        turned = product
    return turned
