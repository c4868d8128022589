import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco_warp", reason="the extra [gpu] is not installed")
import torch

import robots
from sim.factors import NUISANCE_NOMINAL, RobotFactors
from sim.mujoco_backend import MujocoSimulator
from sim.terrain import LEVELS, TerrainWorld, tile_center
from sim.warp_backend import WarpSimulator, choose_device, trial

SPEC = robots.load("go1")
WORLD = TerrainWorld(kinds=("slope", "stairs", "flat"))
DEFAULT = torch.from_numpy(SPEC.default_position).float()
COUNT = 6
EVERYONE = torch.ones(COUNT, dtype=torch.bool)
CHANGED = [
    RobotFactors(),
    RobotFactors(payload=3.0, payload_y=0.05),
    RobotFactors(kp_scale=0.6),
    RobotFactors(weak_leg_rl=0.5, joint_friction=0.4),
    RobotFactors(torque_limit_scale=0.4, kd_scale=0.7),
    RobotFactors(latency=0.02),
]


@pytest.fixture(scope="session")
def warp():
    """Return one simulator for all tests: the first one in a machine's life compiles for a minute."""
    return WarpSimulator(SPEC, WORLD, COUNT, "cpu", contacts=48, constraints=128)


def set_factors(sim, factors):
    values = torch.tensor(np.stack([f.as_array() for f in factors]), dtype=torch.float32)
    sim.set_factors(EVERYONE, values, torch.tensor(NUISANCE_NOMINAL, dtype=torch.float32).repeat(COUNT, 1))


def place(sim, xy, height=SPEC.standing_height, mask=EVERYONE):
    xy = torch.tensor(xy, dtype=torch.float32)
    ground = sim.heights(xy[:, 0], xy[:, 1]) + height
    upright = torch.tensor([1.0, 0, 0, 0]).repeat(COUNT, 1)
    sim.reset(mask, torch.cat([xy, ground[:, None]], dim=1), upright, DEFAULT.repeat(COUNT, 1))


def stand(sim, steps):
    for _ in range(steps):
        sim.step(DEFAULT.repeat(COUNT, 1))


FLAT = [tile_center("flat", 0)] * COUNT


def test_changed_robots_move_in_the_air_as_on_the_cpu(warp):
    reference = MujocoSimulator(SPEC, WORLD, COUNT, threads=1)
    generator = torch.Generator().manual_seed(0)
    targets = DEFAULT + 0.4 * torch.randn(10, COUNT, 12, generator=generator)
    for sim in (reference, warp):
        set_factors(sim, CHANGED)
        place(sim, FLAT, height=5.0)
    for target in targets:
        reference.step(target), warp.step(target)
    assert (warp.joint_position - reference.joint_position).abs().max() < 1e-3
    assert (warp.joint_torque - reference.joint_torque).abs().max() < 0.05
    assert (warp.root_quaternion - reference.root_quaternion).abs().max() < 1e-3
    nominal = warp.joint_position[0] - targets[-1, 0]
    assert all((warp.joint_position[i] - targets[-1, i] - nominal).abs().max() > 1e-3 for i in range(1, COUNT))


def test_robots_stand_as_on_the_cpu_and_the_feet_carry_them(warp):
    reference = MujocoSimulator(SPEC, WORLD, COUNT, threads=1)
    for sim in (reference, warp):
        set_factors(sim, CHANGED)
        place(sim, FLAT)
        stand(sim, 25)
    assert (warp.root_position - reference.root_position)[:, 2].abs().max() < 2e-3
    force = warp.foot_force.sum(dim=1)
    assert force[0] == pytest.approx(SPEC.mass * 9.81, rel=0.1)
    assert force[1] - force[0] == pytest.approx(3.0 * 9.81, rel=0.2)
    assert (warp.foot_force - reference.foot_force).abs().max() < 3.0
    assert (warp.foot_position - reference.foot_position).abs().max() < 5e-3
    assert not warp.trunk_force.any() and not warp.leg_force.any() and not warp.diverged.any()


def test_every_tile_is_where_the_height_lookup_says(warp):
    tiles = [(kind, level) for kind in ("slope", "stairs") for level in (0, 3, LEVELS - 1)]
    set_factors(warp, [RobotFactors()] * COUNT)
    place(warp, [tile_center(*tile) for tile in tiles])
    stand(warp, 15)
    sole = warp.foot_position[:, :, 2] - SPEC.foot_radius
    ground = warp.heights(warp.foot_position[:, :, 0], warp.foot_position[:, :, 1])
    assert (sole - ground).abs().max() < 0.01 and ground.min(dim=1).values[3:].tolist() == pytest.approx(
        [7 * (0.03 + 0.02 * level) for _, level in tiles[3:]], abs=1e-4
    )
    place(warp, [tile_center(*tile) for tile in reversed(tiles)])  # a world that changes its tile carries at once
    stand(warp, 6)
    ground = warp.heights(warp.root_position[:, 0], warp.root_position[:, 1])
    assert (warp.root_position[:, 2] - ground > 0.25).all()


def test_a_reset_leaves_the_others_alone_and_forgets_the_past(warp):
    set_factors(warp, [RobotFactors(latency=0.02)] * COUNT)
    place(warp, FLAT)
    stand(warp, 3)
    before = {name: getattr(warp, name).clone() for name in ("root_position", "joint_velocity", "foot_force")}
    only = torch.tensor([False, True, *[False] * (COUNT - 2)])
    place(warp, [tile_center("stairs", 2)] * COUNT, mask=only)
    for name, old in before.items():
        assert torch.equal(getattr(warp, name)[~only], old[~only])
    assert not warp.joint_velocity[1].any() and not warp.foot_force[1].any()
    assert warp.root_position[1, :2].tolist() == pytest.approx(tile_center("stairs", 2))
    assert (warp.foot_position[1] == warp.root_position[1]).all()


def test_latency_delays_the_effect_of_a_command(warp):
    set_factors(warp, [RobotFactors(latency=0.02 * (i % 2)) for i in range(COUNT)])
    place(warp, FLAT, height=3.0)
    warp.step((DEFAULT + 0.3).repeat(COUNT, 1))
    moved = warp.joint_velocity.abs().max(dim=1).values
    assert moved[0] > 1.0 and moved[1] < 1e-3


def test_a_world_that_breaks_down_is_named_and_comes_back_by_a_reset(warp):
    set_factors(warp, [RobotFactors()] * COUNT)
    place(warp, FLAT)
    stand(warp, 2)
    warp._qvel[2, 8] = torch.nan
    stand(warp, 1)
    broken = torch.arange(COUNT) == 2
    assert torch.equal(warp.diverged, broken)
    place(warp, FLAT, mask=broken)
    stand(warp, 5)
    assert not warp.diverged.any() and bool(warp.root_position.isfinite().all())


def test_a_push_moves_those_that_are_pushed(warp):
    place(warp, FLAT)
    velocity = torch.zeros(COUNT, 3)
    velocity[3, 1] = 1.0
    warp.push(velocity)
    assert warp.root_linear_velocity[:, 1].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(("sizes", "option"), [((1, 128), "--env.contacts 2"), ((48, 16), "--env.constraints 32")])
def test_an_overflow_is_an_error_that_names_the_remedy(sizes, option):
    sim = WarpSimulator(SPEC, WORLD, COUNT, "cpu", *sizes)
    place(sim, FLAT, height=SPEC.standing_height - 0.02)
    with pytest.raises(OSError, match=option):
        stand(sim, 3)


def test_the_trial_finds_room_for_robots_that_lie_in_any_way():
    contacts, constraints = trial(SPEC, WORLD, "cpu")
    assert 8 <= contacts <= 64 and 64 <= constraints <= 512


def test_a_gpu_that_is_not_there_is_said():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert choose_device("auto") == "cpu"
    with pytest.raises(ValueError, match="there is no GPU for device 'cuda:0'"):
        choose_device("cuda:0")


def test_the_environment_runs_on_it_and_resets_by_mask():
    pytest.importorskip("rsl_rl")
    from sim.config import EnvConfig, TerrainConfig
    from sim.env import QuadrupedEnv

    config = EnvConfig(num_envs=COUNT, terrain=TerrainConfig(shares={"flat": 0.5, "stairs": 0.5}))
    env = QuadrupedEnv(config, SPEC, WarpSimulator(SPEC, WORLD, COUNT, "cpu", contacts=48, constraints=128))
    env.step(torch.zeros(COUNT, 12))
    env.sim._qpos[1, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # on its back
    env.episode_length_buf[2] = env.max_episode_length - 1
    others = [0, 3, 4, 5]
    _, reward, done, extras = env.step(torch.zeros(COUNT, 12))
    assert done.tolist() == [False, True, True, False, False, False]
    assert extras["time_outs"].tolist() == [False, False, True, False, False, False]
    assert env.episode_length_buf[[1, 2]].tolist() == [0, 0] and (env.episode_length_buf[others] == 2).all()
    obs = env.get_observations()
    assert all(bool(value.isfinite().all()) for value in obs.values()) and bool(reward.isfinite().all())
