import logging

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch

import robots
from robots import observation
from robots.kinematics import projected_gravity
from sim import batched, rewards
from sim.config import EnvConfig, NoiseConfig, RewardConfig
from sim.env import CONTEXT_SIZE, ContextTable, QuadrupedEnv
from sim.factors import NARROW, RobotFactors
from sim.mujoco_backend import MujocoSimulator
from sim.terrain import KINDS, LEVELS, TerrainWorld, tile_center

SPEC = robots.load("go1")
WORLD = TerrainWorld()


def make_env(count=16, contexts=None, **changes):
    config = EnvConfig(num_envs=count, threads=1, **changes)
    return QuadrupedEnv(config, SPEC, MujocoSimulator(SPEC, WORLD, count, 1), contexts)


def test_observation_groups_have_their_sizes_and_are_finite():
    env = make_env()
    for _ in range(5):
        obs, reward, done, extras = env.step(torch.randn(16, 12))
    assert obs["proprioception"].shape == (16, 45)
    assert obs["robot_context"].shape == obs["terrain_context"].shape == (16, CONTEXT_SIZE)
    assert all(bool(value.isfinite().all()) for value in obs.values())
    assert reward.shape == done.shape == extras["time_outs"].shape == (16,)


def test_the_policy_sees_what_the_definition_says_of_the_simulators_state():
    env = make_env(4)
    env.noise[:] = 0.0
    obs, *_ = env.step(0.3 * torch.randn(4, 12))
    for i in range(4):
        values = {
            "angular_velocity": env.sim.root_angular_velocity[i].numpy(),
            "projected_gravity": projected_gravity(env.sim.root_quaternion[i].numpy()),
            "command": env.command[i].numpy(),
            "joint_position": env.sim.joint_position[i].numpy() - SPEC.default_position,
            "joint_velocity": env.sim.joint_velocity[i].numpy(),
            "last_action": env.action[i].numpy(),
        }
        scale = np.array(observation.scales(observation.PROPRIOCEPTION))
        expected = observation.assemble(observation.PROPRIOCEPTION, values, scale, np.concatenate)
        assert np.allclose(obs["proprioception"][i].numpy(), expected, atol=1e-5)


def test_the_same_seed_gives_the_same_run():
    runs = []
    for _ in range(2):
        env = make_env(8, seed=3)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            obs, reward, *_ = env.step(torch.randn(8, 12, generator=generator))
        runs.append((obs["critic"], reward))
    assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1], runs[1][1])


def test_a_diverged_simulation_is_reset_alone_counted_and_logged(caplog):
    env, twin = make_env(6), make_env(6)
    env.step(torch.zeros(6, 12)), twin.step(torch.zeros(6, 12))
    env.sim.batch.bind("qvel")[2, 7] = np.nan
    with caplog.at_level(logging.WARNING):
        obs, reward, done, extras = env.step(torch.zeros(6, 12))
    twin.step(torch.zeros(6, 12))
    assert done.tolist() == [False, False, True, False, False, False]
    assert not extras["time_outs"][2] and env.num_diverged == 1 and "diverged" in caplog.text
    assert all(bool(value.isfinite().all()) for value in obs.values()) and bool(reward.isfinite().all())
    others = [0, 1, 3, 4, 5]
    assert torch.equal(env.sim.joint_position[others], twin.sim.joint_position[others])
    for _ in range(10):
        obs, reward, *_ = env.step(torch.zeros(6, 12))
    assert env.num_diverged == 1 and all(bool(value.isfinite().all()) for value in obs.values())


def test_a_fall_is_no_timeout_and_a_timeout_is_no_fall():
    env = make_env(4, push_speed=0.0)
    env.assign(
        np.full(4, KINDS.index("flat")), np.zeros(4, int), np.tile(RobotFactors().as_array(), (4, 1)), np.ones(4)
    )
    env.sim.batch.bind("qpos")[1, 3:7] = [0.0, 1.0, 0.0, 0.0]  # on its back
    env.episode_length_buf[2] = env.max_episode_length - 1
    _, _, done, extras = env.step(torch.zeros(4, 12))
    assert done.tolist() == [False, True, True, False]
    assert extras["time_outs"].tolist() == [False, False, True, False]


def test_a_robot_that_is_told_to_walk_and_stands_is_reset_as_if_it_fell_and_one_told_to_stand_is_not():
    env = make_env(16, stall_s=0.5, push_speed=0.0)
    env.assign(np.zeros(16, int), np.zeros(16, int), np.tile(RobotFactors().as_array(), (16, 1)), np.full(16, 0.8))
    asked = torch.arange(16) < 8
    ended = torch.zeros(16)
    for _ in range(40):
        env.command[:] = asked[:, None] * torch.tensor([0.5, 0.0, 0.0])
        _, _, done, extras = env.step(torch.zeros(16, 12))
        assert not extras["time_outs"].any()
        ended += done
    assert torch.equal(ended, asked.float())


@pytest.mark.parametrize("rows_on", [("cpu",), ()], ids=["rows", "mask"])
def test_whether_a_robot_gets_anywhere_is_told_from_its_start_also_after_its_position_was_lost(monkeypatch, rows_on):
    monkeypatch.setattr(batched, "ROWS_ON", rows_on)
    env = make_env(4)
    step = env.sim.step

    def diverge(targets):
        step(targets)
        env.sim.root_position[2], env.sim.diverged[2] = torch.nan, True

    monkeypatch.setattr(env.sim, "step", diverge)
    env.command[:] = 0.0
    _, _, done, _ = env.step(torch.zeros(4, 12))
    assert done[2] and torch.equal(env.stall_place[2], env.spawn[2, :2])


def test_an_episode_has_a_share_of_the_sensor_noise():
    loud, quiet = make_env(256, noise=NoiseConfig(quietest=1.0)), make_env(256, noise=NoiseConfig(quietest=0.0))
    assert torch.equal(loud.loudness, torch.ones(256, 1))
    assert quiet.loudness.min() < 0.05 and 0.4 < quiet.loudness.mean() < 0.6
    error = (quiet.observations["proprioception"] - quiet.observations["critic"][:, :45]).abs().mean(dim=1)
    assert torch.corrcoef(torch.stack([error, quiet.loudness[:, 0]]))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stall_s": -1.0}, "stall-s"),
        ({"noise": NoiseConfig(quietest=1.5)}, "quietest"),
        ({"context_dropout": float("nan")}, "context-dropout"),
        ({"context_noise": -0.1}, "context-noise"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(changes, field):
    with pytest.raises(ValueError, match=field):
        make_env(1, **changes)


def test_a_robot_that_leaves_its_tile_times_out_and_goes_up_a_level():
    env = make_env(2, push_speed=0.0)
    env.curriculum.kind[:] = KINDS.index("stairs")
    env.curriculum.level[:] = 1
    env.restart()
    env.step(torch.zeros(2, 12))
    center = tile_center("stairs", 0)[0]
    across = 1.0 if env.curriculum.start[0, 0] < center else -1.0
    env.sim.batch.bind("qpos")[0, 0] = center + 4.45 * across
    env.sim.batch.bind("qpos")[0, 2] = 0.33
    _, _, done, extras = env.step(torch.zeros(2, 12))
    assert done.tolist() == [True, False] and extras["time_outs"].tolist() == [True, False]
    assert env.curriculum.level.tolist() == [2, 1]


def test_rewards_are_switched_by_their_weights():
    off = RewardConfig(**{name: 0.0 for name in vars(RewardConfig())})
    env = make_env(4, rewards=off)
    _, reward, *_ = env.step(torch.randn(4, 12))
    assert env.weights == {} and torch.equal(reward, torch.zeros(4))
    assert set(vars(RewardConfig())) == set(rewards.FUNCTIONS)


def test_tracking_reward_prefers_the_commanded_velocity():
    env = make_env(2, push_speed=0.0)
    env.command[:, 0] = torch.tensor([0.0, 0.8])
    env.command[:, 1] = 0.0
    env.base_linear_velocity[:] = 0.0
    value = rewards.FUNCTIONS["tracking_lin_vel"](env)
    assert value[0] == 1.0 and value[1] < 0.2


def test_getting_under_way_pays_from_the_first_step_on_in_every_direction():
    env = make_env(4, push_speed=0.0)
    env.command[:, :2] = torch.tensor([[-0.6, 0.0], [-0.6, 0.0], [0.0, 0.4], [0.0, 0.0]])
    env.base_linear_velocity[:, :2] = torch.tensor([[-0.1, 0.0], [-0.6, 0.0], [0.3, -0.1], [0.2, 0.0]])
    value = rewards.FUNCTIONS["progress"](env)
    assert torch.allclose(value, torch.tensor([0.1, 0.3, -0.1, 0.0])), "up to half of the way, and only along it"


def test_contexts_belong_to_the_robot_and_the_tile():
    rng = np.random.default_rng(0)
    factors = NARROW.sample(rng, 5)
    table = ContextTable(
        factors, rng.standard_normal((5, CONTEXT_SIZE)), rng.standard_normal((len(KINDS), LEVELS, CONTEXT_SIZE))
    )
    env = make_env(12, contexts=table, context_noise=0.0, context_dropout=0.0)
    for i in range(12):
        row = np.abs(factors - env.factors[i].numpy()).sum(axis=1).argmin()
        assert np.allclose(env.robot_context[i], table.robot_contexts[row], atol=1e-6)
        tile = table.terrain_contexts[env.curriculum.kind[i], env.curriculum.level[i]]
        assert np.allclose(env.terrain_context[i], tile, atol=1e-6)
    assert table.nearest_robot(factors[[3, 1]]).tolist() == [3, 1]


def test_resets_by_mask_as_on_a_gpu_touch_only_the_robots_that_are_done(monkeypatch):
    monkeypatch.setattr(batched, "ROWS_ON", ())
    env = make_env(6, push_period_s=0.1)
    env.step(torch.zeros(6, 12))
    env.sim.batch.bind("qpos")[1, 3:7] = [0.0, 1.0, 0.0, 0.0]  # on its back
    env.episode_length_buf[4] = env.max_episode_length - 1
    names = ("factors", "nuisances", "heading", "spawn", "start_heading")
    before = {name: getattr(env, name).nan_to_num() for name in names}
    _, _, done, extras = env.step(torch.zeros(6, 12))
    assert done.tolist() == [False, True, False, False, True, False]
    assert extras["time_outs"].tolist() == [False, False, False, False, True, False]
    for name, old in before.items():
        changed = (getattr(env, name).nan_to_num() != old).reshape(6, -1).any(dim=1)
        assert not changed[~done].any() and (name == "heading" or changed[done].all()), name
    assert not env.action[done].any() and env.episode_length_buf.tolist() == [2, 0, 2, 2, 0, 2]
    ground = env.sim.heights(*env.sim.root_position[:, :2].T)
    assert (env.sim.root_position[:, 2] - ground > 0.2)[~done | env.fallen].all()
    for _ in range(8):
        obs, *_ = env.step(torch.zeros(6, 12))
    assert all(bool(value.isfinite().all()) for value in obs.values())


def test_robots_are_not_assigned_to_a_terrain_that_the_world_does_not_hold():
    config = EnvConfig(num_envs=2, threads=1)
    env = QuadrupedEnv(config, SPEC, MujocoSimulator(SPEC, TerrainWorld(kinds=("stairs",)), 2, 1))
    factors = np.tile(RobotFactors().as_array(), (2, 1))
    kinds = np.array([KINDS.index("flat"), KINDS.index("gaps")])
    with pytest.raises(ValueError, match="the world has no gaps, only stairs"):
        env.assign(kinds, np.zeros(2, int), factors, np.ones(2))
