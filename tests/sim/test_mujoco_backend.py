import numpy as np
import pytest

pytest.importorskip("torch")
import torch

import robots
from sim.factors import FACTOR_NAMES, NUISANCE_NOMINAL, RobotFactors
from sim.mujoco_backend import MujocoSimulator
from sim.terrain import TerrainWorld, tile_center

SPEC = robots.load("go1")
WORLD = TerrainWorld()
DEFAULT = torch.from_numpy(SPEC.default_position).float()


def place(sim, xy, mask=None):
    """Put the robots of `mask`, all by default, in the default pose on the ground at points `xy` (n, 2)."""
    count = sim.num_envs
    xy = torch.tensor(np.asarray(xy), dtype=torch.float32)
    ground = sim.heights(xy[:, 0], xy[:, 1]) + SPEC.standing_height
    upright = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1)
    mask = torch.ones(count, dtype=torch.bool) if mask is None else mask
    sim.reset(mask, torch.cat([xy, ground[:, None]], dim=1), upright, DEFAULT.repeat(count, 1))


def set_factors(sim, factors):
    values = torch.tensor(np.stack([f.as_array() for f in factors]), dtype=torch.float32)
    nuisances = torch.tensor(NUISANCE_NOMINAL, dtype=torch.float32).repeat(len(factors), 1)
    sim.set_factors(torch.ones(len(factors), dtype=torch.bool), values, nuisances)


def simulator(factors, at=None, fine=False):
    """Return a simulator of robots that stand in the default pose, with the given factors, on flat ground or `at`."""
    sim = MujocoSimulator(SPEC, WORLD, len(factors), 1, fine)
    set_factors(sim, factors)
    place(sim, np.tile(tile_center("flat", 0), (len(factors), 1)) if at is None else at)
    return sim


def stand(sim, steps=100):
    target = torch.from_numpy(np.tile(SPEC.default_position, (sim.num_envs, 1))).float()
    for _ in range(steps):
        sim.step(target)
    return sim


def test_standing_feet_creep_under_fast_physics_only():
    drift = []
    for fine in (False, True):
        sim = stand(simulator([RobotFactors()], [np.add(tile_center("slope", 3)[:2], (1.5, 0.0))], fine))
        before = sim.foot_position.clone()
        drift.append(float((stand(sim).foot_position - before)[:, :, :2].norm(dim=2).max()))
    assert drift[1] < 0.2 * drift[0]


def test_factors_act_on_the_robot_that_has_them():
    nominal, heavy, soft, weak = 0, 1, 2, 3
    factors = [RobotFactors(), RobotFactors(payload=3.0), RobotFactors(kp_scale=0.6), RobotFactors(weak_leg_rl=0.5)]
    sim = stand(simulator(factors))
    force = sim.foot_force.sum(dim=1)
    assert force[nominal] == pytest.approx(SPEC.mass * 9.81, rel=0.02)
    assert force[heavy] - force[nominal] == pytest.approx(3.0 * 9.81, rel=0.05)
    height = sim.root_position[:, 2]
    assert height[heavy] < height[nominal] and height[soft] < height[nominal] - 0.01
    sag = (sim.joint_position[weak] - torch.tensor(SPEC.default_position)).abs().reshape(4, 3)[:, 2]
    assert sag.argmax() == 2  # rear left


def test_the_torque_limit_holds_per_robot():
    sim = simulator([RobotFactors(), RobotFactors(torque_limit_scale=0.5)])
    far = torch.from_numpy(np.tile(SPEC.default_position + 2.0, (2, 1))).float()
    sim.step(far)
    limit = torch.from_numpy(SPEC.torque_limit).float()
    assert (sim.joint_torque[1].abs() <= 0.5 * limit + 1e-4).all()
    assert (sim.joint_torque[0].abs() > 0.6 * limit).any()


def test_latency_delays_the_effect_of_a_command():
    sim = simulator([RobotFactors(), RobotFactors(latency=0.02)])
    before = sim.joint_velocity.clone()
    sim.step(torch.from_numpy(np.tile(SPEC.default_position + 0.3, (2, 1))).float())
    moved = (sim.joint_velocity - before).abs().max(dim=1).values
    assert moved[0] > 5 * moved[1]


def test_payload_position_tilts_the_load():
    sim = stand(simulator([RobotFactors(payload=3.0, payload_y=0.05), RobotFactors(payload=3.0, payload_y=-0.05)]))
    left = sim.foot_force[:, [0, 2]].sum(dim=1) - sim.foot_force[:, [1, 3]].sum(dim=1)
    assert left[0] > 5.0 and left[1] < -5.0


def test_a_reset_leaves_the_others_alone():
    sim = stand(simulator([RobotFactors()] * 3), 10)
    others = sim.joint_position[[0, 2]].clone()
    start = tile_center("flat", 3)
    place(sim, [start] * 3, torch.tensor([False, True, False]))
    assert torch.equal(sim.joint_position[[0, 2]], others)
    assert np.allclose(sim.root_position[1], [*start, SPEC.standing_height], atol=1e-5)


def test_tiles_have_the_shape_that_the_height_lookup_says():
    rng = np.random.default_rng(0)
    low, high = [0.1, 0.1], [8 * 9.0 - 0.1, 4 * 9.0 - 0.1]
    xy = rng.uniform(low, high, (150, 2))
    sim = simulator([RobotFactors()] * len(xy), xy)
    up = sim.batch.bind("qpos")[:, :3] + [0.0, 0.0, 3.0]
    terrain_only = np.array([1, 0, 0, 0, 0, 0], np.uint8)
    distance, _ = sim.batch.ray(up[:, None, :], np.array([0.0, 0.0, -1.0]), geomgroup=terrain_only)
    ground = up[:, 2] - distance[:, 0]
    looked_up = sim.heights(sim.root_position[:, 0], sim.root_position[:, 1]).numpy()
    error = np.abs(ground - looked_up)
    assert np.median(error) < 1e-3 and np.percentile(error, 95) < 0.05


@pytest.mark.parametrize("kind", ["slope", "stairs"])
def test_a_tile_that_changes_its_level_carries_the_robot_at_once(kind):
    sim = simulator([RobotFactors()] * 2, [tile_center(kind, 0), tile_center(kind, 7)])
    xy = [tile_center(kind, 7), tile_center(kind, 0)]
    set_factors(sim, [RobotFactors()] * 2)
    place(sim, xy)
    ground = sim.heights(*torch.tensor(xy).T).numpy()
    stand(sim, 40)
    assert np.abs(sim.root_position[:, 2].numpy() - ground - SPEC.standing_height).max() < 0.06
    assert not sim.diverged.any()


def test_robots_stand_on_every_boxed_tile():
    xy = [tile_center(kind, level) for kind in ("slope", "stairs") for level in (0, 4, 7)]
    sim = stand(simulator([RobotFactors()] * len(xy), xy), 60)
    ground = sim.heights(sim.root_position[:, 0], sim.root_position[:, 1])
    assert (sim.root_position[:, 2] - ground > 0.2).all()


def test_a_simulation_that_breaks_down_is_named():
    sim = simulator([RobotFactors()] * 3)
    sim.batch.bind("qvel")[1, 8] = np.nan
    sim.step(torch.from_numpy(np.tile(SPEC.default_position, (3, 1))).float())
    assert sim.diverged.tolist() == [False, True, False]


def test_every_factor_has_an_effect():
    changed = [
        RobotFactors(payload=2.0),
        RobotFactors(payload=2.0, payload_x=0.05),
        RobotFactors(payload=2.0, payload_y=0.05),
        RobotFactors(kp_scale=0.7),
        RobotFactors(kd_scale=0.6),
        RobotFactors(torque_limit_scale=0.3),
        *(RobotFactors(**{f"weak_leg_{leg}": 0.6}) for leg in ("fl", "fr", "rl", "rr")),
        RobotFactors(joint_friction=0.5),
        RobotFactors(latency=0.02),
    ]
    assert len(changed) == len(FACTOR_NAMES)
    sim = simulator([RobotFactors(), RobotFactors(payload=2.0), *changed])
    generator = torch.Generator().manual_seed(0)
    for _ in range(15):
        sim.step(torch.from_numpy(SPEC.default_position).float() + 0.4 * torch.randn(1, 12, generator=generator))
    for i, factors in enumerate(changed, start=2):
        base = 1 if factors.payload_x or factors.payload_y else 0
        assert (sim.joint_position[i] - sim.joint_position[base]).abs().max() > 1e-4, factors
