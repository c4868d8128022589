"""A robot of twelve independent joints that hang in the air: enough dynamics to see kicks, torques and speeds."""

from __future__ import annotations

import numpy as np

from deploy.driver import JointCommand, Operator, RobotState
from robots.spec import RobotSpec

LYING = np.tile([0.0, 1.2, -2.6], 4)  # rad
INERTIA, FRICTION = 0.03, 0.1  # kg m^2, N m s/rad


class FakeRobot:
    """A `RobotDriver` that steps its joints by explicit Euler and keeps every command and torque.

    Attributes:
        state: the next measurement; tests may spoil it.
        commands: what was written.
        torques: what that gave, N m, each (12,).
        problem: what the driver says is wrong.
        asked: what the remote asks for.
    """

    def __init__(self, spec: RobotSpec, command_dt: float = 0.004, position: np.ndarray = LYING) -> None:
        self.robot, self.joint_names, self.command_dt = spec.name, spec.joint_names, command_dt
        self.commands: list[JointCommand] = []
        self.torques: list[np.ndarray] = []
        self.state = RobotState(
            stamp=0.0,
            angular_velocity=np.zeros(3),
            quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
            joint_position=np.array(position, dtype=float),
            joint_velocity=np.zeros(12),
            joint_torque=np.zeros(12),
            foot_force=np.full(4, 30.0),
            linear_acceleration=np.array([0.0, 0.0, 9.81]),
        )
        self.closed = False
        self.serial, self.problem, self.asked = "0", None, None

    def read(self) -> RobotState:
        return self.state

    def write(self, command: JointCommand) -> None:
        self.commands.append(command)

    def remote(self) -> Operator | None:
        return self.asked

    def wait(self) -> None:
        s, c = self.state, self.commands[-1]
        torque = c.kp * (c.position - s.joint_position) + c.kd * (c.velocity - s.joint_velocity) + c.torque
        dt = self.command_dt / 4
        for _ in range(4):
            s.joint_torque = c.kp * (c.position - s.joint_position) + c.kd * (c.velocity - s.joint_velocity) + c.torque
            s.joint_velocity = s.joint_velocity + dt * (s.joint_torque - FRICTION * s.joint_velocity) / INERTIA
            s.joint_position = s.joint_position + dt * s.joint_velocity
        self.torques.append(torque)
        s.stamp += self.command_dt
        s.angular_velocity = 1e-3 * np.sin(s.stamp * np.array([40.0, 50.0, 60.0]))  # no real gyro is ever still

    def close(self) -> None:
        self.closed = True
