"""The vectorized environment: rsl_rl's `VecEnv` over any `Simulator`."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from robots import observation
from robots.spec import RobotSpec
from sim import rewards
from sim.batched import Draw, Part
from sim.config import EnvConfig
from sim.contexts import ContextTable, spread
from sim.curriculum import Curriculum
from sim.factors import NUISANCE_COLUMNS, NUISANCE_NOMINAL, RANGES, RobotFactors
from sim.simulator import Simulator
from sim.terrain import KINDS

CONTEXT_SIZE = 8
FALL_TILT = 1.1  # rad
STALL_DISTANCE, STALL_SPEED = 0.1, 0.2  # m that count as getting anywhere; m/s from which a command asks for that
ACTION_LIMIT = 10.0
HEIGHT_X = (-0.6, -0.4, -0.2, -0.05, 0.1, 0.25, 0.4, 0.6, 0.8)  # m, points of the critic's height scan, heading frame
HEIGHT_Y = (-0.3, -0.15, 0.0, 0.15, 0.3)
START_X, START_Y = (-0.25, -0.25, 0.25, 0.25, 0.0), (-0.15, 0.15, -0.15, 0.15, 0.0)  # m, ground under a placed robot
ROBOTS = 1 << 16  # robots and nuisances that are drawn once, so that a reset is a look-up on the device
LOG_PERIOD = 10  # steps between the log's entries
LOG_MEMORY = 0.99  # a step: the log's means are over the episodes that ended in the last seconds
REPORT_PERIOD = 50  # steps between the host's looks at a GPU's count of diverged simulations
log = logging.getLogger(__name__)


class QuadrupedEnv(VecEnv):
    """Walk with commanded velocity over terrain, each robot in a condition of its own.

    Observation groups: `proprioception` (45, noisy, `robots.observation`), `robot_context` (8), `terrain_context` (8),
    `history` (the last frames of proprioception, oldest first, if there are more than one), and for the critic
    `critic` (proprioception without noise, base velocity, heights, contacts, factors). All state is tensors on the
    simulator's device; on a GPU no step waits for it but to count diverged simulations, once a second.

    Args:
        config: the environment's configuration.
        spec: the robot.
        sim: the physics, with `config.num_envs` robots.
        contexts: what the context groups hold; without it they are zero, and factors are drawn from `config.factors`.
    """

    def __init__(
        self, config: EnvConfig, spec: RobotSpec, sim: Simulator, contexts: ContextTable | None = None
    ) -> None:
        config.check()
        self.cfg, self.spec, self.sim, self.contexts = config, spec, sim, contexts
        self.num_envs, self.num_actions, self.device = sim.num_envs, 12, sim.device
        self.max_episode_length = round(config.episode_length_s / sim.control_dt)
        self.draw = Draw(config.seed, self.device)
        self.curriculum = Curriculum(config.terrain, self.num_envs, self.draw)
        self.default = self._tensor(spec.default_position)
        self.lower, self.upper = (self._tensor(limit) for limit in spec.position_limits)
        self.velocity_limit = self._tensor(spec.velocity_limit)
        self.target_height = spec.standing_height - 0.03  # of the trunk over the feet, m; gains let it sag
        self.scale = self._tensor(observation.scales(observation.PROPRIOCEPTION))
        self.noise = self._noise_widths()
        self.weights = {name: weight for name, weight in vars(config.rewards).items() if weight != 0.0}
        self.assigned = False
        self._allocate()
        self.restart()

    def _tensor(self, values: object) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def _allocate(self) -> None:
        n, device = self.num_envs, self.device

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(n, *shape, device=device)

        self.num_steps, self._reported = 0, 0
        self.num_diverged = torch.zeros((), dtype=torch.long, device=device)
        self.everyone = torch.ones(n, dtype=torch.bool, device=device)
        self.episode_length_buf = torch.zeros(n, dtype=torch.long, device=device)
        self.action, self.last_action, self.last_joint_velocity = zeros(12), zeros(12), zeros(12)
        self.command, self.heading, self.start_heading = zeros(3), zeros(), zeros()
        self.moving, self.commanded = zeros(), zeros()
        self.air_time, self.touchdown, self.foot_speed, self.foot_ground = zeros(4), zeros(4), zeros(4), zeros(4)
        self.contact, self.last_contact = zeros(4).bool(), zeros(4).bool()
        self.last_foot_position = zeros(4, 3)
        self.fallen = zeros().bool()
        self.stall_time, self.stall_place, self.loudness = zeros(), zeros(2), zeros(1)
        self.spawn = zeros(3 + 4 + 12)  # position, quaternion, joints
        self.nominal = self._tensor(RobotFactors().as_array())
        self.factors, self.nuisances = self.nominal.repeat(n, 1), self._tensor(NUISANCE_NOMINAL).repeat(n, 1)
        columns = {name: self.nuisances[:, columns] for name, columns in NUISANCE_COLUMNS.items()}
        self.friction = columns["friction"]
        self.joint_zero, self.encoder_bias = columns["joint_offset"], columns["encoder_bias"]
        self._allocate_contexts()
        self._reward_weights = self._tensor(list(self.weights.values()))[:, None] * self.sim.control_dt
        self._kept_positive = self._tensor([float(name != "termination") for name in self.weights])
        self.reward_sums = torch.zeros(len(self.weights), n, device=device)
        self._ended = torch.zeros(len(self.weights) + 3, device=device)
        x, y = torch.meshgrid(self._tensor(HEIGHT_X), self._tensor(HEIGHT_Y), indexing="ij")
        self.scan_x, self.scan_y = x.flatten(), y.flatten()
        self.start_x, self.start_y = self._tensor(START_X), self._tensor(START_Y)

    def _allocate_contexts(self) -> None:
        """Make the tables of robots to draw from and of their contexts, on the device."""
        n, config, rng = self.num_envs, self.cfg, np.random.default_rng(self.cfg.seed)
        self.drawn_nuisances = self._tensor(config.nuisances.ranges().sample(rng, ROBOTS))
        self.table = None if self.contexts is None else self.contexts.to(self.device)
        if self.table is None:
            self.robots = self._tensor(RANGES[config.factors].sample(rng, ROBOTS))
            sizes = (CONTEXT_SIZE, CONTEXT_SIZE)
        else:
            self.robots, sizes = self.table.robot_factors, self.table.sizes
            self._robot_blur = spread(self.table.robot_contexts) * config.context_noise
            self._terrain_blur = spread(self.table.terrain_contexts) * config.context_noise
        self.robot_context = torch.zeros(n, sizes[0], device=self.device)
        self.terrain_context = torch.zeros(n, sizes[1], device=self.device)
        frame = observation.size(observation.PROPRIOCEPTION)
        self.history = torch.zeros(n, config.history, frame, device=self.device)

    def _noise_widths(self) -> torch.Tensor:
        terms = observation.PROPRIOCEPTION
        return self._tensor([getattr(self.cfg.noise, t.name, 0.0) for t in terms for _ in range(t.size)]) * self.scale

    def assign(self, kind: np.ndarray, level: np.ndarray, factors: np.ndarray, friction: np.ndarray) -> None:
        """Fix every robot's terrain and condition from here on, instead of curriculum and random draws; start anew.

        Args:
            kind: index into `sim.terrain.KINDS`, (n,).
            level: difficulty, (n,).
            factors: robot factors, (n, F), see `sim.factors`.
            friction: sliding friction of the feet, (n,); the other nuisances are nominal.

        Raises:
            ValueError: if a kind is not in the simulator's world.
        """
        missing = {KINDS[k] for k in np.unique(kind)} - {*self.sim.world.kinds, "flat"}
        if missing:
            held = ", ".join(self.sim.world.kinds)
            raise ValueError(f"the world has no {missing.pop()}, only {held}: give it a share (env.terrain.shares)")
        self.assigned = True
        self.cfg.terrain.curriculum = False
        self.curriculum.kind[:] = torch.as_tensor(kind, device=self.device)
        self.curriculum.level[:] = torch.as_tensor(level, device=self.device)
        self.factors[:], self.nuisances[:] = self._tensor(factors), self._tensor(NUISANCE_NOMINAL)
        self.friction[:] = self._tensor(friction)[:, None]
        self.sim.set_factors(self.everyone, self.factors, self.nuisances)
        if self.table is not None:
            kind, level = self.curriculum.kind, self.curriculum.level
            self.robot_context[:] = self.table.robots(self.table.nearest_robot(self.factors), kind, level)
            self.terrain_context[:] = self.table.terrain_contexts[kind, level]
        self.restart()

    def restart(self) -> None:
        """Begin an episode with every robot, where the curriculum stands; say so after changing its levels."""
        self.episode_length_buf[:] = 0
        self._reset(Part(self.everyone))
        self._derive_body()
        self._steer()
        self._observe()

    def get_observations(self) -> TensorDict:
        """Return the current observations."""
        return self.observations

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Apply actions (n, 12) for one control period; see `VecEnv.step`."""
        self.num_steps += 1
        self.last_joint_velocity.copy_(self.sim.joint_velocity)
        self.last_foot_position.copy_(self.sim.foot_position)
        self.last_action.copy_(self.action)
        torch.clamp(actions, -ACTION_LIMIT, ACTION_LIMIT, out=self.action)
        targets = (self.default + self.spec.action_scale * self.action).clamp(self.lower, self.upper)
        self.sim.step(targets + self.joint_zero - self.encoder_bias)
        self.episode_length_buf += 1
        self._derive_body()
        self._derive_feet()
        self.fallen = (self.sim.trunk_force > 1.0) | (self.gravity[:, 2] > -math.cos(FALL_TILT)) | self.sim.diverged
        self.fallen |= self._stalled()
        reward = self._reward()
        left = self.curriculum.outside(self.sim.root_position[:, :2])
        time_outs = ((self.episode_length_buf >= self.max_episode_length) | left) & ~self.fallen
        done = self.fallen | time_outs
        extras = {"time_outs": time_outs, **self._log(done, time_outs)}
        part = Part(done)
        if part.count:
            self._update_levels(part)
            self._reset(part)
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
        touching, later = self.sim.foot_force > 1.0, (self.episode_length_buf > 1)[:, None]
        self.contact = touching | self.last_contact
        self.last_contact.copy_(touching)
        self.touchdown = ((self.air_time > 0.0) & self.contact).float()
        self.air_time.add_(dt).mul_(later)
        self.foot_speed = (feet - self.last_foot_position)[:, :, :2].norm(dim=2) / dt * later
        self.foot_ground = self.sim.heights(feet[:, :, 0], feet[:, :, 1]) + self.spec.foot_radius

    def _stalled(self) -> torch.Tensor:
        """Return who has not got anywhere for too long, though commanded, (n,) bool."""
        if not self.cfg.stall_s:
            return torch.zeros_like(self.fallen)
        place, speed = self.sim.root_position[:, :2], self.command[:, :2].norm(dim=1)
        moved = ((place - self.stall_place).norm(dim=1) > STALL_DISTANCE) | (speed < STALL_SPEED)
        self.stall_place = torch.where(moved[:, None], place, self.stall_place)
        self.stall_time = torch.where(moved, 0.0, self.stall_time + self.sim.control_dt)
        return self.stall_time > self.cfg.stall_s

    def _reward(self) -> torch.Tensor:
        """Sum the weighted rewards, kept positive as in legged_gym but for the price of a fall."""
        if not self.weights:
            return torch.zeros(self.num_envs, device=self.device)
        values = torch.stack([rewards.FUNCTIONS[name](self) for name in self.weights]).nan_to_num_()
        values = torch.where(self.sim.diverged, 0.0, values * self._reward_weights)
        self.reward_sums += values
        self.air_time *= ~self.contact
        total = (self._kept_positive @ values).clamp(min=0.0)
        return total + self.fallen * (self.weights.get("termination", 0.0) * self.sim.control_dt)

    def _log(self, done: torch.Tensor, time_outs: torch.Tensor) -> dict:
        """Return rsl_rl's `log` every few steps: means over the episodes that ended lately, levels, breakdowns."""
        self.num_diverged += self.sim.diverged.sum()
        if self.device.type == "cpu" or self.num_steps % REPORT_PERIOD == 0:
            self._report_diverged()
        ends = torch.stack([self.fallen, time_outs, done]).float()
        ended = torch.cat([self.reward_sums / self.cfg.episode_length_s, ends]) @ done.float()
        self._ended.mul_(LOG_MEMORY).add_(ended)
        if self.num_steps % LOG_PERIOD:
            return {}
        names = [*(f"Reward/{name}" for name in self.weights), "Episode/falls", "Episode/time_outs"]
        means = dict(zip(names, (self._ended[:-1] / self._ended[-1].clamp(min=1e-6)).unbind(), strict=True))
        levels = dict(zip((f"Terrain/{kind}" for kind in KINDS), self.curriculum.mean_levels().unbind(), strict=True))
        del levels["Terrain/flat"]
        return {"log": {**means, **levels, "Episode/diverged": self.num_diverged.float()}}

    def _report_diverged(self) -> None:
        total = int(self.num_diverged)
        if total > self._reported:
            log.warning("reset %d diverged simulations (%d so far)", total - self._reported, total)
            self._reported = total

    def _update_levels(self, part: Part) -> None:
        position = torch.nan_to_num(self.sim.root_position[part.rows, :2])
        self.curriculum.update(part, position, self.commanded[part.rows], self.fallen[part.rows])

    def _reset(self, part: Part) -> None:
        self._draw_conditions(part)
        self._place(part)
        for buffer in (
            self.action,
            self.last_action,
            self.air_time,
            self.commanded,
            self.stall_time,
            self.reward_sums.T,
        ):
            part.put(buffer, 0.0)
        part.put(self.last_contact, False)
        part.put(self.episode_length_buf, 0)
        self._sample_commands(part)
        part.put(self.loudness, self.draw.uniform(self.cfg.noise.quietest, 1.0, part.count, 1))

    def _draw_conditions(self, part: Part) -> None:
        """Draw the robots' factors, the nuisances, and the contexts that belong to them, unless they are assigned."""
        if self.assigned:
            return
        draw, count, table = self.draw, part.count, self.table
        part.put(self.nuisances, self.drawn_nuisances[draw.integers(ROBOTS, count)])
        rows = draw.integers(len(self.robots), count)
        part.put(self.factors, self.robots[rows])
        if table is not None:
            kind, level = self.curriculum.kind[part.rows], self.curriculum.level[part.rows]
            unknown = draw.uniform(0.0, 1.0, count, 1) < self.cfg.context_dropout
            robot = torch.where(unknown, table.nominal(kind, level), table.robots(rows, kind, level))
            terrain = table.terrain_contexts[kind, level]
            part.put(self.robot_context, robot + draw.normal(*robot.shape) * self._robot_blur)
            part.put(self.terrain_context, terrain + draw.normal(*terrain.shape) * self._terrain_blur)
        self.sim.set_factors(part.mask, self.factors, self.nuisances)

    def _place(self, part: Part) -> None:
        start, heading = self.curriculum.place(part)
        part.put(self.start_heading, heading)
        part.put(self.stall_place, start)
        cos, sin = heading.cos()[:, None], heading.sin()[:, None]
        x = start[:, :1] + cos * self.start_x - sin * self.start_y
        y = start[:, 1:] + sin * self.start_x + cos * self.start_y
        height = self.sim.heights(x, y).amax(dim=1) + (self.spec.standing_height + 0.01)
        half, zero = heading / 2, torch.zeros_like(heading)
        pose = torch.stack([start[:, 0], start[:, 1], height, half.cos(), zero, zero, half.sin()], dim=1)
        joints = self.default * self.draw.uniform(0.9, 1.1, part.count, 12)
        part.put(self.spawn, torch.cat([pose, joints], dim=1))
        self.sim.reset(part.mask, *self.spawn.split([3, 4, 12], dim=1))

    def _resample_commands(self) -> None:
        period = round(self.cfg.commands.period / self.sim.control_dt)
        due = Part((self.episode_length_buf % period == 0) & (self.episode_length_buf > 0))
        if due.count:
            self._sample_commands(due)

    def _sample_commands(self, part: Part) -> None:
        """Draw commands; the heading is NaN where the turning rate is commanded as such."""
        ranges, count = self.cfg.commands, part.count

        def uniform(low: float, high: float) -> torch.Tensor:
            return self.draw.uniform(low, high, count)

        flat = self.curriculum.kind[part.rows] == KINDS.index("flat")
        forward = torch.where(flat, uniform(*ranges.forward), uniform(*ranges.terrain_forward))
        sideways = torch.where(flat, uniform(*ranges.sideways), 0.0)
        width = ranges.terrain_heading
        heading = self.start_heading[part.rows] + uniform(-width, width)
        moving = (uniform(0.0, 1.0) > ranges.standing).float()
        part.put(self.heading, torch.where(flat, torch.nan, heading))
        part.put(self.command, torch.stack([forward, sideways, uniform(*ranges.turning)], dim=1) * moving[:, None])
        part.put(self.moving, moving)

    def _push(self) -> None:
        period = round(self.cfg.push_period_s / self.sim.control_dt)
        due = Part(self.episode_length_buf % period == period - 1)
        if due.count and self.cfg.push_speed > 0.0:
            velocity = torch.zeros(self.num_envs, 3, device=self.device)
            speed = self.cfg.push_speed
            due.put(velocity[:, :2], self.draw.uniform(-speed, speed, due.count, 2))
            self.sim.push(velocity)

    def _observe(self) -> None:
        clean = observation.assemble(observation.PROPRIOCEPTION, self._values(), self.scale, _concatenate)
        noisy = clean + self.draw.uniform(-1.0, 1.0, *clean.shape) * self.noise * self.loudness
        self.observations = TensorDict(
            {
                "proprioception": noisy,
                **self._remember(noisy),
                "robot_context": self.robot_context.clone(),
                "terrain_context": self.terrain_context.clone(),
                "critic": torch.cat([clean, self._privileged()], dim=1),
            },
            batch_size=[self.num_envs],
        )

    def _remember(self, frame: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the group `history` if there is one; the first frame of an episode fills it."""
        if self.cfg.history == 1:
            return {}
        past = torch.cat([self.history[:, 1:], frame[:, None]], dim=1)
        fresh = (self.episode_length_buf == 0)[:, None, None]
        self.history = torch.where(fresh, frame[:, None], past)
        return {"history": self.history.flatten(1)}

    def _values(self) -> dict[str, torch.Tensor]:
        return {
            "angular_velocity": self.sim.root_angular_velocity,
            "projected_gravity": self.gravity,
            "command": self.command,
            "joint_position": self.joint_offset + self.encoder_bias,
            "joint_velocity": self.sim.joint_velocity,
            "last_action": self.action,
        }

    def _privileged(self) -> torch.Tensor:
        cos, sin = torch.cos(self.yaw)[:, None], torch.sin(self.yaw)[:, None]
        x = self.sim.root_position[:, :1] + cos * self.scan_x - sin * self.scan_y
        y = self.sim.root_position[:, 1:2] + sin * self.scan_x + cos * self.scan_y
        heights = self.sim.root_position[:, 2:3] - self.target_height - self.sim.heights(x, y)
        return torch.cat(
            [
                2.0 * self.base_linear_velocity,
                5.0 * heights.clamp(-1.0, 1.0),
                self.last_contact.float(),
                self.factors - self.nominal,
                self.friction,
            ],
            dim=1,
        )


def _concatenate(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(parts, dim=-1)
