"""Turns a legged_gym configuration into ours, and says of every field that it could not carry over why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

import robots
from policy import config_file
from policy.config import PolicyConfig
from policy.foreign.legged_gym_file import LeggedGymFile, Section, Unread, read
from robots.joints import JOINT_NAMES
from robots.spec import RobotSpec
from sim.config import RewardConfig
from sim.env import ACTION_LIMIT
from sim.rewards import TRACKING_SIGMA
from sim.terrain import KINDS, LEVELS

# Fields that mean the same, by our path in `PolicyConfig`.
RENAMED = {
    "env.num_envs": "env.num_envs",
    "env.episode_length_s": "env.episode_length_s",
    "terrain.curriculum": "env.terrain.curriculum",
    "commands.resampling_time": "env.commands.period",
    "commands.ranges.lin_vel_x": "env.commands.forward",
    "commands.ranges.lin_vel_y": "env.commands.sideways",
    "commands.ranges.ang_vel_yaw": "env.commands.turning",
    "domain_rand.push_interval_s": "env.push_period_s",
}
LEARNER = {
    "seed": "seed",
    "policy.init_noise_std": "ppo.init_std",
    "policy.actor_hidden_dims": "ppo.hidden_dims",
    "runner.num_steps_per_env": "ppo.num_steps_per_env",
    **{
        f"algorithm.{name}": f"ppo.{name}"
        for name in (
            *("value_loss_coef", "clip_param", "entropy_coef", "num_learning_epochs", "num_mini_batches"),
            *("learning_rate", "schedule", "gamma", "lam", "desired_kl", "max_grad_norm"),
        )
    },
}
# Fields that are fixed here: the value that means the same, and what is said of another one.
OBSERVATION = "observations are scaled as legged_gym scales them by default (robots/observation.py)"
FIXED: dict[str, tuple[Any, str]] = {
    "env.num_observations": (45, "the policy sees 45 values: no base velocity (hardware has none) and no heights"),
    "env.num_actions": (12, "the robots have 12 joints"),
    "env.send_timeouts": (True, "time-outs are always told to the learner"),
    "terrain.measure_heights": (False, "heights are for the critic only; the policy is blind"),
    "commands.heading_command": (False, "the turning rate is commanded on flat ground, a heading on any other"),
    "commands.curriculum": (False, "the commands' ranges do not grow"),
    "commands.num_commands": (3, "commands are forward, sideways and turning; the heading is kept by the environment"),
    "control.control_type": ("P", "joints are driven to positions only"),
    "asset.disable_gravity": (False, "gravity is always on"),
    "asset.fix_base_link": (False, "the base is always free"),
    "asset.self_collisions": (1, "a robot's links do not touch each other"),
    "asset.foot_name": ("foot", "the feet are known"),
    "asset.penalize_contacts_on": (["calf", "thigh"], "contacts of thighs and calves cost"),
    "asset.terminate_after_contacts_on": (["trunk"], "a contact of the trunk ends an episode"),
    "rewards.only_positive_rewards": (True, "the sum of the rewards is kept positive, but for the price of a fall"),
    "rewards.tracking_sigma": (TRACKING_SIGMA, "it is a constant of sim/rewards.py"),
    "rewards.soft_dof_pos_limit": (1.0, "it is a constant of sim/rewards.py"),
    "normalization.clip_observations": (100.0, "observations are not clipped"),
    "normalization.clip_actions": (ACTION_LIMIT, f"actions are clipped to {ACTION_LIMIT:g}"),
    "normalization.obs_scales.lin_vel": (2.0, OBSERVATION),
    "normalization.obs_scales.ang_vel": (0.25, OBSERVATION),
    "normalization.obs_scales.dof_pos": (1.0, OBSERVATION),
    "normalization.obs_scales.dof_vel": (0.05, OBSERVATION),
    "normalization.obs_scales.height_measurements": (5.0, OBSERVATION),
    "sim.substeps": (1, "a physics step is not divided"),
    "sim.gravity": ([0.0, 0.0, -9.81], "gravity is the earth's"),
    "sim.up_axis": (1, "z is up"),
    "policy.activation": ("elu", "the networks have ELU"),
    "algorithm.use_clipped_value_loss": (True, "the value loss is clipped"),
    "runner.policy_class_name": ("ActorCritic", "the networks are multilayer perceptrons"),
    "runner.algorithm_class_name": ("PPO", "the learner is PPO"),
    "runner.save_interval": (50, "a checkpoint is written every 50 iterations"),
    "runner_class_name": ("OnPolicyRunner", "the runner is ours"),
}
# Fields, or sections, without a counterpart.
WITHOUT = {
    "env.num_privileged_obs": "the critic sees what sim/env.py lists",
    "env.env_spacing": "all robots share one world",
    "terrain.measured_points": "what the critic sees of the ground is set in sim/env.py",
    "terrain.": "tiles are 9 m wide and come in 8 levels (sim/terrain.py)",
    "commands.max_curriculum": "the commands' ranges do not grow",
    "commands.ranges.heading": "off flat ground the heading is the one of the start, within terrain_heading",
    "init_state.": "robots start standing, at rest, on the ground",
    "asset.": "the robot is written from robots/, not read from a file",
    "rewards.soft": "it is a constant of sim/rewards.py",
    "rewards.base_height_target": "the height is the robot's own standing height less 3 cm",
    "rewards.max_contact_force": "it is a constant of sim/rewards.py",
    "noise.noise_scales.lin_vel": "the policy does not see the base's velocity",
    "noise.noise_scales.height_measurements": "the policy does not see heights",
    "viewer.": "`dmcm play` and `dmcm view` look at a policy",
    "sim.physx.": "the settings of PhysX are legged_gym's, in sim/isaacgym/worker.py",
    "policy.critic_hidden_dims": "actor and critic have the same layers",
    "runner.run_name": "the folder of the run is its name",
    "runner.": "a run is continued with --resume, or begun from a checkpoint with --init",
}
NOISE = {
    "dof_pos": "joint_position",
    "dof_vel": "joint_velocity",
    "ang_vel": "angular_velocity",
    "gravity": "projected_gravity",
}
# legged_gym's kinds in the order of terrain_proportions, and ours.
TERRAINS = (("slope", "slope_inv"), ("slope", "slope_inv"), ("pyramid_stairs_inv",), ("pyramid_stairs",), ("blocks",))
TERRAINS += (("stepping_stones",), ("gaps",))
REWARDS = {item.name for item in fields(RewardConfig)}


@dataclass
class Translation:
    """A configuration in our terms.

    Attributes:
        name: of the class that it came from.
        config: nested fields of `PolicyConfig`.
        carried: their fields that are in it, or mean the same already.
        left: (their field, why it is not).
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def put(self, path: str, value: Any) -> None:
        """Set the field at our dotted path."""
        *sections, name = path.split(".")
        place = self.config
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value


def translate(path: Path, name: str | None = None, robot: str | None = None) -> Translation:
    """Return a legged_gym configuration file in our terms.

    Args:
        path: a Python file with a subclass of `LeggedRobotCfg`; it is parsed, not run.
        name: which subclass, where there are several.
        robot: our robot; by default the one that `asset.file` names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has no such subclass, or does not say which robot.
    """
    file = read(path, name)
    spec = robots.load(robot or _robot(path, file))
    made = Translation(file.robot[0], left=list(file.problems))
    made.put("env.robot", spec.name)
    try:
        _Fields(made, file.robot[1], spec).translate(RENAMED, ROBOT_RULES)
        if file.learner:
            _Fields(made, file.learner[1], spec, file.robot[1]).translate(LEARNER, LEARNER_RULES)
        config_file.fill(PolicyConfig(), made.config)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    return made


def _robot(path: Path, file: LeggedGymFile) -> str:
    values = dict((where, value) for where, value, _ in file.robot[1].leaves())
    text = f"{values.get('asset.file', '')} {values.get('asset.name', '')}".lower()
    found = [known for known in robots.NAMES if known in text]
    if len(found) != 1:
        choices = ", ".join(robots.NAMES)
        raise ValueError(f"{path} does not say which robot it is for (asset.file): give --robot, one of {choices}")
    return found[0]


class _Fields:
    """The fields of one class, taken one rule after the other."""

    def __init__(self, made: Translation, section: Section, spec: RobotSpec, robot: Section | None = None) -> None:
        self.made, self.spec = made, spec
        self.values = {path: value for path, value, _ in section.leaves()}
        self.given = {path for path, _, given in section.leaves() if given}
        self.robot = {path: value for path, value, _ in robot.leaves()} if robot else {}

    def translate(self, renamed: Mapping[str, str], rules: Sequence[Callable[[_Fields], None]]) -> None:
        """Carry over what can be; what the file does not set itself is legged_gym's default and is taken silently."""
        for path in sorted(self.given):
            if isinstance(self.values[path], Unread):
                self.leave(path, f"`{self.values[path].source}` would have to be run")
                del self.values[path]
        for rule in rules:
            try:
                rule(self)
            except (TypeError, ValueError, IndexError, AttributeError) as problem:
                what = rule.__name__.strip("_")
                raise ValueError(f"what it says of '{what}' is not what legged_gym expects ({problem})") from None
        for path in list(self.values):
            value = self.values[path]
            if path in renamed:
                self.carry(path, renamed[path], value)
            elif path in FIXED and _same(value, FIXED[path][0]):
                self.carry(path)
            else:
                self.leave(path, FIXED[path][1] if path in FIXED else _reason(path))

    def take(self, path: str, default: Any = None) -> Any:
        """Return a field's value and be done with it."""
        return self.values.pop(path, default)

    def carry(self, path: str, ours: str | None = None, value: Any = None) -> None:
        """Note that a field is carried over, to our field where it has one."""
        if ours:
            self.made.put(ours, value)
        if path in self.given:
            self.made.carried.append(path)

    def leave(self, path: str, reason: str) -> None:
        """Note that a field which the file sets is not carried over."""
        if path in self.given:
            self.made.left.append((path, reason))


def _same(value: Any, other: Any) -> bool:
    if isinstance(other, list) and all(isinstance(item, str) for item in other):
        named = {"trunk" if item == "base" else item for item in value} if isinstance(value, list) else None
        return named == set(other)
    if isinstance(value, (int, float, list)) and isinstance(other, (int, float, list)):
        return np.shape(value) == np.shape(other) and bool(np.allclose(value, other))
    return value == other or (isinstance(value, str) and value.lower() == str(other).lower())


def _reason(path: str) -> str:
    found = [prefix for prefix in WITHOUT if path.startswith(prefix)]
    return WITHOUT[max(found, key=len)] if found else "there is no such thing here"


def _terrain(of: _Fields) -> None:
    kind, shares = of.take("terrain.mesh_type"), of.take("terrain.terrain_proportions", [])
    level = of.take("terrain.max_init_terrain_level")
    if kind in ("plane", "none", None):
        of.carry("terrain.mesh_type", "env.terrain.shares", {**dict.fromkeys(KINDS, 0.0), "flat": 1.0})
        for path in ("terrain.terrain_proportions", "terrain.max_init_terrain_level"):
            of.leave(path, "the ground is a plane")
        return
    of.carry("terrain.mesh_type")
    ours = dict.fromkeys(KINDS, 0.0)
    for kinds, share in zip(TERRAINS, shares, strict=False):
        for name in kinds:
            ours[name] += share / len(kinds)
    rounded = {name: round(share, 4) for name, share in ours.items()}
    of.carry("terrain.terrain_proportions", "env.terrain.shares", rounded)
    if len(shares) > 1 and shares[1]:
        of.leave("terrain.terrain_proportions", "but for rough slopes, which are smooth here")
    if level is not None:
        of.carry("terrain.max_init_terrain_level", "env.terrain.start_level", min(int(level), LEVELS - 1))


def _surface(of: _Fields) -> None:
    """Carry over friction and restitution: PhysX takes the mean of foot and ground."""
    static, sliding, bounce = (
        of.take("terrain.static_friction", 1.0),
        of.take("terrain.dynamic_friction", 1.0),
        of.take("terrain.restitution", 0.0),
    )
    friction = _varied(of, "friction") or [1.0, 1.0]
    of.carry("terrain.dynamic_friction", "env.nuisances.friction", [(sliding + foot) / 2 for foot in friction])
    if static == sliding:
        of.carry("terrain.static_friction")
    else:
        of.leave("terrain.static_friction", "static and sliding friction are one")
    restitution = [(bounce + foot) / 2 for foot in _varied(of, "restitution") or [0.0, 0.0]]
    if any(restitution):
        of.made.put("env.nuisances.restitution", restitution)
    of.carry("terrain.restitution")


def _motors(of: _Fields) -> None:
    for theirs, ours in (("motor_strength", "motor_strength"), ("motor_offset", "joint_offset")):
        span = _varied(of, theirs)
        if span:
            of.made.put(f"env.nuisances.{ours}", span)


def _varied(of: _Fields, name: str) -> list[float] | None:
    """Take a range of `domain_rand` and its flag, which counts as set where there is none; return what acts, if any."""
    flag, path = f"domain_rand.randomize_{name}", f"domain_rand.{name}_range"
    vary, span = of.take(flag, True), of.take(path)
    if vary and span is None:
        of.leave(flag, "the file gives no range")
    else:
        of.carry(flag)
    of.carry(path)
    return span if vary else None


def _payload(of: _Fields) -> None:
    vary, span = of.take("domain_rand.randomize_base_mass", False), of.take("domain_rand.added_mass_range", [0.0, 0.0])
    ours = "wide" if vary and max(span) > 1.0 else "narrow"
    of.made.put("env.factors", ours)
    heavy = {"narrow": "0 to 1 kg", "wide": "0 to 3 kg"}[ours]
    for path in ("domain_rand.randomize_base_mass", "domain_rand.added_mass_range"):
        of.leave(path, f"'{ours}' is taken, a payload of {heavy} with gains and latency that vary (sim/factors.py)")


def _pushes(of: _Fields) -> None:
    push, speed = of.take("domain_rand.push_robots", True), of.take("domain_rand.max_push_vel_xy", 0.0)
    of.carry("domain_rand.max_push_vel_xy", "env.push_speed", float(speed) if push else 0.0)
    of.carry("domain_rand.push_robots")


def _commands(of: _Fields) -> None:
    """Let robots off flat ground, which only walk forward, be as fast as on it."""
    low, high = of.values.get("commands.ranges.lin_vel_x", [0.0, 1.0])
    of.made.put("env.commands.terrain_forward", [max(low, min(0.3, high)), high])


def _noise(of: _Fields) -> None:
    level = of.take("noise.noise_level", 1.0) * bool(of.take("noise.add_noise", True))
    for theirs, ours in NOISE.items():
        value = of.take(f"noise.noise_scales.{theirs}")
        if value is not None:
            of.carry(f"noise.noise_scales.{theirs}", f"env.noise.{ours}", float(value * level))
            of.made.put("env.noise.quietest", 1.0)
    of.made.put("env.stall_s", 0.0)
    of.carry("noise.add_noise")
    of.carry("noise.noise_level")


def _rewards(of: _Fields) -> None:
    weights = {path: of.take(path) for path in list(of.values) if path.startswith("rewards.scales.")}
    for name in sorted(REWARDS):
        of.made.put(f"env.rewards.{name}", float(weights.get(f"rewards.scales.{name}") or 0.0))
    for path, weight in weights.items():
        if path.split(".")[-1] in REWARDS or not weight:
            of.carry(path)
        else:
            of.leave(path, "sim/rewards.py has no such reward")


def _drive(of: _Fields) -> None:
    """Compare gains, pose, scale and rate with the robot's, which are fixed: what is made for a robot rests on them."""
    spec, period = of.spec, (of.take("sim.dt", 0.005), of.take("control.decimation", 4))
    where = f"it belongs to the robot: robots/{spec.name}/__init__.py has"
    _compare(of, ("sim.dt", "control.decimation"), period[0] * period[1], spec.control_dt, f"{where} %s s a period")
    scale = of.take("control.action_scale")
    _compare(of, ("control.action_scale",), scale, spec.action_scale, f"{where} %s rad")
    for theirs, nominal in (("stiffness", spec.kp), ("damping", spec.kd)):
        prefix = f"control.{theirs}"
        gains = _per_joint(of.take(prefix))
        _compare(of, (prefix,), gains if len(set(gains)) != 1 else gains[0], nominal, f"{where} %s")
    pose = _per_joint(of.take("init_state.default_joint_angles"), exact=True)
    _compare(of, ("init_state.default_joint_angles",), pose, spec.default_position.tolist(), f"{where} %s rad")


def _compare(of: _Fields, paths: tuple[str, ...], value: Any, ours: Any, reason: str) -> None:
    for path in paths:
        if value is not None and value != [] and _same(value, ours):
            of.carry(path)
        else:
            of.leave(path, reason % str(ours).strip("[]"))


def _per_joint(values: Any, exact: bool = False) -> list[float]:
    """Return a value for each joint, in our order, from names or parts of names; empty if one has none."""
    if not isinstance(values, dict):
        return []
    found = []
    for joint in JOINT_NAMES:
        matches = [v for key, v in values.items() if (key == joint if exact else str(key) in joint)]
        if not matches:
            return []
        found.append(float(matches[0]))
    return found


def _samples(of: _Fields) -> None:
    iterations, name = of.take("runner.max_iterations"), of.take("runner.experiment_name")
    steps, count = of.values.get("runner.num_steps_per_env", 24), of.robot.get("env.num_envs", 4096)
    if iterations is not None:
        of.carry("runner.max_iterations", "samples", float(iterations * steps * count))
    if isinstance(name, str) and name:
        of.carry("runner.experiment_name", "run", f"runs/{name}")


def _layers(of: _Fields) -> None:
    if _same(of.values.get("policy.critic_hidden_dims", []), of.values.get("policy.actor_hidden_dims", [])):
        of.take("policy.critic_hidden_dims")
        of.carry("policy.critic_hidden_dims")


def _asset(of: _Fields) -> None:
    for path in ("asset.file", "asset.name"):
        of.take(path)
        of.carry(path)


ROBOT_RULES = (_terrain, _surface, _motors, _payload, _pushes, _commands, _noise, _rewards, _drive, _asset)
LEARNER_RULES = (_samples, _layers)
