"""legged_gym's rewards, by its names; each takes the environment and returns (n,), before weight and time step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from sim.env import QuadrupedEnv

TRACKING_SIGMA = 0.25  # (m/s)^2 and (rad/s)^2
AIR_TIME = 0.2  # s, a swing that earns nothing
SOFT_LIMIT = 0.8  # share of the velocity limit from which it costs
STEP_HEIGHT = 0.07  # m, over the ground under the foot
UNDER_WAY = 0.5  # share of the commanded speed from which going on earns nothing more


def _reward_tracking_lin_vel(env: QuadrupedEnv) -> torch.Tensor:
    error = (env.command[:, :2] - env.base_linear_velocity[:, :2]).square().sum(dim=1)
    return torch.exp(-error / TRACKING_SIGMA)


def _reward_progress(env: QuadrupedEnv) -> torch.Tensor:
    speed = env.command[:, :2].norm(dim=1)
    along = (env.command[:, :2] * env.base_linear_velocity[:, :2]).sum(dim=1) / speed.clamp(min=1e-6)
    return torch.minimum(along, UNDER_WAY * speed)


def _reward_tracking_ang_vel(env: QuadrupedEnv) -> torch.Tensor:
    return torch.exp(-(env.command[:, 2] - env.sim.root_angular_velocity[:, 2]).square() / TRACKING_SIGMA)


def _reward_lin_vel_z(env: QuadrupedEnv) -> torch.Tensor:
    return env.base_linear_velocity[:, 2].square()


def _reward_ang_vel_xy(env: QuadrupedEnv) -> torch.Tensor:
    return env.sim.root_angular_velocity[:, :2].square().sum(dim=1)


def _reward_orientation(env: QuadrupedEnv) -> torch.Tensor:
    return env.gravity[:, 1].square()


def _reward_base_height(env: QuadrupedEnv) -> torch.Tensor:
    feet = env.sim.foot_position[:, :, 2].mean(dim=1)
    return (env.sim.root_position[:, 2] - feet - env.target_height).square()


def _reward_torques(env: QuadrupedEnv) -> torch.Tensor:
    return env.sim.joint_torque.square().sum(dim=1)


def _reward_dof_acc(env: QuadrupedEnv) -> torch.Tensor:
    return ((env.sim.joint_velocity - env.last_joint_velocity) / env.sim.control_dt).square().sum(dim=1)


def _reward_action_rate(env: QuadrupedEnv) -> torch.Tensor:
    return (env.action - env.last_action).square().sum(dim=1)


def _reward_collision(env: QuadrupedEnv) -> torch.Tensor:
    return (env.sim.leg_force > 1.0).float().sum(dim=1)


def _reward_termination(env: QuadrupedEnv) -> torch.Tensor:
    return env.fallen.float()


def _reward_dof_pos_limits(env: QuadrupedEnv) -> torch.Tensor:
    position = env.sim.joint_position
    return ((env.lower - position).clamp(min=0.0) + (position - env.upper).clamp(min=0.0)).sum(dim=1)


def _reward_dof_vel_limits(env: QuadrupedEnv) -> torch.Tensor:
    return (env.sim.joint_velocity.abs() - SOFT_LIMIT * env.velocity_limit).clamp(0.0, 5.0).sum(dim=1)


def _reward_hip_pos(env: QuadrupedEnv) -> torch.Tensor:
    return env.joint_offset[:, ::3].square().sum(dim=1)


def _reward_feet_air_time(env: QuadrupedEnv) -> torch.Tensor:
    swing = (env.air_time - AIR_TIME).clamp(max=0.3)
    return (swing * env.touchdown).sum(dim=1) * env.moving


def _reward_feet_clearance(env: QuadrupedEnv) -> torch.Tensor:
    height = env.sim.foot_position[:, :, 2] - env.foot_ground
    missing = (STEP_HEIGHT - height).clamp(min=0.0)
    return (missing.square() * env.foot_speed).sum(dim=1) * env.moving


def _reward_feet_slip(env: QuadrupedEnv) -> torch.Tensor:
    return (env.foot_speed.square() * env.contact).sum(dim=1)


def _reward_stand_still(env: QuadrupedEnv) -> torch.Tensor:
    return env.joint_offset.abs().sum(dim=1) * (1.0 - env.moving)


FUNCTIONS = {
    name.removeprefix("_reward_"): function for name, function in globals().items() if name.startswith("_reward_")
}
