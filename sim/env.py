"""The vectorized environment: rsl_rl's `VecEnv` over any `Simulator`."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from robots import observation
from robots.spec import RobotSpec
from sim import rewards
from sim.config import EnvConfig
from sim.curriculum import Curriculum
from sim.factors import RANGES, RobotFactors
from sim.simulator import Simulator
from sim.terrain import KINDS

CONTEXT_SIZE = 8
FALL_TILT = 1.1  # rad
ACTION_LIMIT = 10.0
HEIGHT_X = (-0.6, -0.4, -0.2, -0.05, 0.1, 0.25, 0.4, 0.6, 0.8)  # m, points of the critic's height scan, heading frame
HEIGHT_Y = (-0.3, -0.15, 0.0, 0.15, 0.3)
log = logging.getLogger(__name__)


@dataclass
class ContextTable:
    """Frozen contexts that the policy sees: robots to draw from, and a terrain context for every kind and level.

    Attributes:
        robot_factors: (r, 12), see `sim.factors`.
        robot_contexts: (r, 8).
        terrain_contexts: (len(KINDS), LEVELS, 8).
    """

    robot_factors: np.ndarray
    robot_contexts: np.ndarray
    terrain_contexts: np.ndarray

    def nearest_robot(self, factors: np.ndarray) -> np.ndarray:
        """Return the contexts (n, 8) of the robots whose factors are nearest to the given ones, (n, 12)."""
        spread = self.robot_factors.std(axis=0) + 1e-6
        distance = np.square((factors[:, None] - self.robot_factors[None]) / spread).sum(axis=2)
        return self.robot_contexts[distance.argmin(axis=1)]


class QuadrupedEnv(VecEnv):
    """Walk with commanded velocity over terrain, each robot in a condition of its own.

    Observation groups: `proprioception` (45, noisy, `robots.observation`), `robot_context` (8), `terrain_context` (8),
    and for the critic `critic` (proprioception without noise, base velocity, heights, contacts, factors).

    Args:
        config: the environment's configuration.
        spec: the robot.
        sim: the physics, with `config.num_envs` robots.
        contexts: what the context groups hold; without it they are zero, and factors are drawn from `config.factors`.
    """

    def __init__(
        self, config: EnvConfig, spec: RobotSpec, sim: Simulator, contexts: ContextTable | None = None
    ) -> None:
        self.cfg, self.spec, self.sim, self.contexts = config, spec, sim, contexts
        self.num_envs, self.num_actions, self.device = sim.num_envs, 12, torch.device("cpu")
        self.max_episode_length = round(config.episode_length_s / sim.control_dt)
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.curriculum = Curriculum(config.terrain, self.num_envs, self.rng)
        self.default = torch.from_numpy(spec.default_position).float()
        self.lower, self.upper = (torch.from_numpy(limit).float() for limit in spec.position_limits)
        self.velocity_limit = torch.from_numpy(spec.velocity_limit).float()
        self.target_height = spec.standing_height - 0.03  # of the trunk over the feet, m; gains let it sag
        self.scale = torch.tensor(observation.scales(observation.PROPRIOCEPTION))
        self.noise = self._noise_widths()
        self.weights = {name: weight for name, weight in vars(config.rewards).items() if weight != 0.0}
        self.num_diverged = 0
        self.everyone = np.arange(self.num_envs)
        self.assigned = False
        self._allocate()
        self.restart()

    def _allocate(self) -> None:
        n = self.num_envs
        self.episode_length_buf = torch.zeros(n, dtype=torch.long)
        self.action, self.last_action = torch.zeros(n, 12), torch.zeros(n, 12)
        self.last_joint_velocity = torch.zeros(n, 12)
        self.command, self.heading = torch.zeros(n, 3), torch.zeros(n)
        self.moving, self.commanded = torch.zeros(n), torch.zeros(n)
        self.start_heading = torch.zeros(n)
        self.air_time, self.touchdown = torch.zeros(n, 4), torch.zeros(n, 4)
        self.contact, self.last_contact = torch.zeros(n, 4, dtype=torch.bool), torch.zeros(n, 4, dtype=torch.bool)
        self.last_foot_position = torch.zeros(n, 4, 3)
        self.foot_speed, self.foot_ground = torch.zeros(n, 4), torch.zeros(n, 4)
        self.fallen = torch.zeros(n, dtype=torch.bool)
        self.factors = np.tile(RobotFactors().as_array(), (n, 1))
        self.friction = np.ones(n)
        self.robot_context, self.terrain_context = torch.zeros(n, CONTEXT_SIZE), torch.zeros(n, CONTEXT_SIZE)
        self.reward_sums = {name: torch.zeros(n) for name in self.weights}
        x, y = torch.meshgrid(torch.tensor(HEIGHT_X), torch.tensor(HEIGHT_Y), indexing="ij")
        self.scan_x, self.scan_y = x.flatten(), y.flatten()

    def _noise_widths(self) -> torch.Tensor:
        widths = [
            torch.full((term.size,), getattr(self.cfg.noise, term.name, 0.0)) for term in observation.PROPRIOCEPTION
        ]
        return torch.cat(widths) * self.scale

    def assign(self, kind: np.ndarray, level: np.ndarray, factors: np.ndarray, friction: np.ndarray) -> None:
        """Fix every robot's terrain and condition from here on, instead of curriculum and random draws; start anew.

        Args:
            kind: index into `sim.terrain.KINDS`, (n,).
            level: difficulty, (n,).
            factors: robot factors, (n, 12), see `sim.factors`.
            friction: sliding friction of the feet, (n,).
        """
        self.assigned = True
        self.cfg.terrain.curriculum = False
        self.curriculum.kind[:], self.curriculum.level[:] = kind, level
        self.factors[:], self.friction[:] = factors, friction
        if self.contexts is not None:
            self.robot_context[:] = torch.from_numpy(self.contexts.nearest_robot(factors)).float()
            self.terrain_context[:] = torch.from_numpy(self.contexts.terrain_contexts[kind, level]).float()
        self.restart()

    def restart(self) -> None:
        """Begin an episode with every robot, where the curriculum stands; say so after changing its levels."""
        self.episode_length_buf[:] = 0
        self._reset(self.everyone)
        self._derive_body()
        self._steer()
        self._observe()

    def get_observations(self) -> TensorDict:
        """Return the current observations."""
        return self.observations

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Apply actions (n, 12) for one control period; see `VecEnv.step`."""
        self.last_joint_velocity, self.last_foot_position = self.sim.joint_velocity, self.sim.foot_position
        self.last_action, self.action = self.action, actions.clamp(-ACTION_LIMIT, ACTION_LIMIT)
        self.sim.step((self.default + self.spec.action_scale * self.action).clamp(self.lower, self.upper))
        self.episode_length_buf += 1
        self._derive_body()
        self._derive_feet()
        self.fallen = (self.sim.trunk_force > 1.0) | (self.gravity[:, 2] > -np.cos(FALL_TILT)) | self.sim.diverged
        reward = self._reward()
        left = torch.from_numpy(self.curriculum.outside(self.everyone, self.sim.root_position[:, :2].numpy()))
        time_outs = ((self.episode_length_buf >= self.max_episode_length) | left) & ~self.fallen
        done = self.fallen | time_outs
        extras: dict = {"time_outs": time_outs}
        ids = done.nonzero().flatten().numpy()
        if len(ids):
            extras["log"] = self._episode_log(ids, time_outs)
            self._reset(ids)
            self._derive_body()
        self._push()
        self._resample_commands()
        self._steer()
        self._observe()
        return self.observations, reward, done, extras

    def _derive_body(self) -> None:
        """Compute the trunk's attitude and velocity in its own frame."""
        w, x, y, z = self.sim.root_quaternion.unbind(dim=1)
        rotation = torch.stack(
            [
                torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=1),
                torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], dim=1),
                torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=1),
            ],
            dim=1,
        )
        self.gravity = -rotation[:, 2]
        self.yaw = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
        self.base_linear_velocity = torch.einsum("nij,ni->nj", rotation, self.sim.root_linear_velocity)
        self.joint_offset = self.sim.joint_position - self.default

    def _steer(self) -> None:
        """Turn towards the heading where one is set, and count the commanded metres."""
        error = torch.remainder(self.heading - self.yaw + torch.pi, 2 * torch.pi) - torch.pi
        turning = (self.cfg.commands.heading_gain * error).clamp(-1.0, 1.0) * self.moving
        self.command[:, 2] = torch.where(self.heading.isfinite(), turning, self.command[:, 2])
        self.commanded += self.command[:, :2].norm(dim=1) * self.sim.control_dt

    def _derive_feet(self) -> None:
        dt, feet = self.sim.control_dt, self.sim.foot_position
        touching = self.sim.foot_force > 1.0
        self.contact = touching | self.last_contact
        self.last_contact = touching
        self.touchdown = ((self.air_time > 0.0) & self.contact).float()
        self.air_time = torch.where(self.episode_length_buf[:, None] > 1, self.air_time + dt, 0.0)
        self.foot_speed = (feet - self.last_foot_position)[:, :, :2].norm(dim=2) / dt
        self.foot_speed *= (self.episode_length_buf > 1)[:, None]
        self.foot_ground = self.sim.heights(feet[:, :, 0], feet[:, :, 1]) + self.spec.foot_radius

    def _reward(self) -> torch.Tensor:
        """Sum the weighted rewards, kept positive as in legged_gym but for the price of a fall."""
        total, dt = torch.zeros(self.num_envs), self.sim.control_dt
        for name, weight in self.weights.items():
            value = torch.nan_to_num(rewards.FUNCTIONS[name](self)) * (weight * dt)
            value = torch.where(self.sim.diverged, 0.0, value)
            self.reward_sums[name] += value
            if name != "termination":
                total += value
        self.air_time *= ~self.contact
        return total.clamp(min=0.0) + self.fallen * (self.weights.get("termination", 0.0) * dt)

    def _episode_log(self, ids: np.ndarray, time_outs: torch.Tensor) -> dict:
        mine = torch.from_numpy(ids)
        log_ = {f"Reward/{k}": v[mine].mean() / self.cfg.episode_length_s for k, v in self.reward_sums.items()}
        log_["Episode/falls"] = self.fallen[mine].float().mean()
        log_["Episode/time_outs"] = time_outs[mine].float().mean()
        log_["Episode/diverged"] = torch.tensor(float(self.num_diverged))
        for kind in KINDS[1:]:
            log_[f"Terrain/{kind}"] = torch.tensor(self.curriculum.mean_level(kind))
        return log_

    def _reset(self, ids: np.ndarray) -> None:
        broken = int(self.sim.diverged[ids].sum())
        if broken:
            self.num_diverged += broken
            log.warning("reset %d diverged simulations (%d so far)", broken, self.num_diverged)
        mine = torch.from_numpy(ids)
        position = torch.nan_to_num(self.sim.root_position[mine, :2]).double().numpy()
        if bool((self.episode_length_buf[mine] > 0).any()):
            self.curriculum.update(ids, position, self.commanded[mine].numpy(), self.fallen[mine].numpy())
        self._draw_conditions(ids)
        self._place(ids)
        for buffer in (self.action, self.last_action, self.air_time, self.commanded, *self.reward_sums.values()):
            buffer[mine] = 0.0
        self.last_contact[mine] = False
        self.episode_length_buf[mine] = 0
        self._sample_commands(mine)

    def _draw_conditions(self, ids: np.ndarray) -> None:
        """Draw the robots' factors, the friction, and the contexts that belong to them, unless they are assigned."""
        table, count = self.contexts, len(ids)
        if self.assigned:
            self.sim.set_factors(ids, self.factors[ids], self.friction[ids])
            return
        self.friction[ids] = self.rng.uniform(*self.cfg.terrain.friction, count)
        if table is None:
            self.factors[ids] = RANGES[self.cfg.factors].sample(self.rng, count)
        else:
            rows = self.rng.integers(0, len(table.robot_factors), count)
            self.factors[ids] = table.robot_factors[rows]
            self.robot_context[ids] = self._blur(table.robot_contexts[rows], table.robot_contexts)
            terrain = table.terrain_contexts[self.curriculum.kind[ids], self.curriculum.level[ids]]
            self.terrain_context[ids] = self._blur(terrain, table.terrain_contexts.reshape(-1, CONTEXT_SIZE))
        self.sim.set_factors(ids, self.factors[ids], self.friction[ids])

    def _blur(self, values: np.ndarray, bank: np.ndarray) -> torch.Tensor:
        noise = self.rng.standard_normal(values.shape) * bank.std(axis=0) * self.cfg.context_noise
        return torch.from_numpy(values + noise).float()

    def _place(self, ids: np.ndarray) -> None:
        start, heading = self.curriculum.place(ids)
        self.start_heading[ids] = torch.from_numpy(heading).float()
        reach = np.array([[-0.25, -0.15], [-0.25, 0.15], [0.25, -0.15], [0.25, 0.15], [0.0, 0.0]])
        turn = np.stack([np.cos(heading), -np.sin(heading), np.sin(heading), np.cos(heading)], axis=1)
        points = torch.from_numpy(start[:, None, :] + np.einsum("nij,kj->nki", turn.reshape(-1, 2, 2), reach))
        ground = self.sim.heights(points[..., 0], points[..., 1]).max(dim=1).values.double().numpy()
        position = np.concatenate([start, (ground + self.spec.standing_height + 0.01)[:, None]], axis=1)
        zero = np.zeros(len(ids))
        quaternion = np.stack([np.cos(heading / 2), zero, zero, np.sin(heading / 2)], axis=1)
        joints = self.spec.default_position * self.rng.uniform(0.9, 1.1, (len(ids), 12))
        self.sim.reset(ids, position, quaternion, joints)

    def _resample_commands(self) -> None:
        period = round(self.cfg.commands.period / self.sim.control_dt)
        due = ((self.episode_length_buf % period == 0) & (self.episode_length_buf > 0)).nonzero().flatten()
        if len(due):
            self._sample_commands(due)

    def _sample_commands(self, ids: torch.Tensor) -> None:
        """Draw commands; the heading is NaN where the turning rate is commanded as such."""
        ranges, count = self.cfg.commands, len(ids)

        def uniform(low: float, high: float) -> torch.Tensor:
            return torch.rand(count, generator=self.generator) * (high - low) + low

        flat = torch.from_numpy(self.curriculum.kind[ids.numpy()] == KINDS.index("flat"))
        forward = torch.where(flat, uniform(*ranges.forward), uniform(*ranges.terrain_forward))
        sideways = torch.where(flat, uniform(*ranges.sideways), 0.0)
        spread = ranges.terrain_heading
        heading = self.start_heading[ids] + uniform(-spread, spread)
        moving = uniform(0.0, 1.0) > ranges.standing
        self.heading[ids] = torch.where(flat, torch.nan, heading)
        self.command[ids] = torch.stack([forward, sideways, uniform(*ranges.turning)], dim=1) * moving[:, None]
        self.moving[ids] = moving.float()

    def _push(self) -> None:
        period = round(self.cfg.push_period_s / self.sim.control_dt)
        ids = (self.episode_length_buf % period == period - 1).nonzero().flatten().numpy()
        if len(ids) and self.cfg.push_speed > 0.0:
            velocity = self.rng.uniform(-self.cfg.push_speed, self.cfg.push_speed, (len(ids), 3))
            velocity[:, 2] = 0.0
            self.sim.push(ids, velocity)

    def _observe(self) -> None:
        clean = observation.assemble(observation.PROPRIOCEPTION, self._values(), self.scale, _concatenate)
        noisy = clean + (2 * torch.rand(clean.shape, generator=self.generator) - 1) * self.noise
        self.observations = TensorDict(
            {
                "proprioception": noisy,
                "robot_context": self.robot_context.clone(),
                "terrain_context": self.terrain_context.clone(),
                "critic": torch.cat([clean, self._privileged()], dim=1),
            },
            batch_size=[self.num_envs],
        )

    def _values(self) -> dict[str, torch.Tensor]:
        return {
            "angular_velocity": self.sim.root_angular_velocity,
            "projected_gravity": self.gravity,
            "command": self.command,
            "joint_position": self.joint_offset,
            "joint_velocity": self.sim.joint_velocity,
            "last_action": self.action,
        }

    def _privileged(self) -> torch.Tensor:
        cos, sin = torch.cos(self.yaw)[:, None], torch.sin(self.yaw)[:, None]
        x = self.sim.root_position[:, :1] + cos * self.scan_x - sin * self.scan_y
        y = self.sim.root_position[:, 1:2] + sin * self.scan_x + cos * self.scan_y
        heights = self.sim.root_position[:, 2:3] - self.target_height - self.sim.heights(x, y)
        factors = torch.from_numpy(self.factors - RobotFactors().as_array()).float()
        friction = torch.from_numpy(self.friction).float()[:, None]
        return torch.cat(
            [
                2.0 * self.base_linear_velocity,
                5.0 * heights.clamp(-1.0, 1.0),
                self.last_contact.float(),
                factors,
                friction,
            ],
            dim=1,
        )


def _concatenate(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(parts, dim=-1)
