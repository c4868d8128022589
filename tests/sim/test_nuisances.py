"""Every nuisance does to the robot what its name says, on the CPU's simulator and in the environment."""

import mujoco
import numpy as np
import pytest

pytest.importorskip("torch")
import torch

import robots
from sim.config import EnvConfig, NuisanceConfig, TerrainConfig
from sim.env import QuadrupedEnv
from sim.factors import NUISANCE_COLUMNS, NUISANCE_LIMITS, NUISANCE_NOMINAL, NUISANCES, NuisanceRanges, RobotFactors
from sim.mujoco_backend import MujocoSimulator
from sim.physical import physical
from sim.terrain import KINDS, TerrainWorld, tile_center

SPEC = robots.load("go1")
WORLD = TerrainWorld(kinds=("flat",))


def row(**values):
    nuisances = NUISANCE_NOMINAL.copy()
    for name, value in values.items():
        nuisances[NUISANCE_COLUMNS[name]] = value
    return nuisances


def simulator(nuisances, height=0.0):
    """Return robots in the default pose over flat ground, `height` above it, with a row of nuisances each."""
    count = len(nuisances)
    sim, everyone = MujocoSimulator(SPEC, WORLD, count, threads=1), torch.ones(count, dtype=torch.bool)
    factors = torch.tensor(np.tile(RobotFactors().as_array(), (count, 1))).float()
    sim.set_factors(everyone, factors, torch.tensor(np.stack(nuisances)).float())
    position = torch.tensor([[*tile_center("flat", 0), SPEC.standing_height + height]]).float().repeat(count, 1)
    upright, joints = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.from_numpy(SPEC.default_position).float()
    sim.reset(everyone, position, upright.repeat(count, 1), joints.repeat(count, 1))
    return sim


def hold(sim, steps, offset=0.0):
    """Let the robots hold the default pose; return the heights of their feet after each step, (steps, n, 4)."""
    target = torch.from_numpy(SPEC.default_position).float().repeat(sim.num_envs, 1) + offset
    feet = []
    for _ in range(steps):
        sim.step(target)
        feet.append(sim.foot_position[:, :, 2].clone())
    return torch.stack(feet)


def test_a_foot_that_slips_more_stays_where_the_trunk_is_pushed_from():
    sim = simulator([row(friction=0.1), row(friction=1.2)])
    hold(sim, 30)
    start = sim.root_position[:, 1].clone()
    sim.push(torch.tensor([[0.0, 0.8, 0.0]]).repeat(2, 1))
    hold(sim, 40)
    slid = (sim.root_position[:, 1] - start).abs()
    assert slid[0] > 2 * slid[1]


@pytest.mark.parametrize("restitution", [0.2, 0.4, 0.6, 0.9])
def test_restitution_is_the_share_of_its_speed_with_which_a_ball_returns(restitution):
    nuisances = torch.tensor(row(restitution=restitution))[None].float()
    nominal = torch.tensor(RobotFactors().as_array())[None].float()
    time, ratio = physical(SPEC, nominal, nuisances).contact[0].tolist()
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><option timestep="0.005" integrator="implicitfast" cone="pyramidal"/><worldbody>
        <geom type="plane" size="0 0 1"/><body pos="0 0 .15"><freejoint/>
        <geom type="sphere" size=".02" mass="3" priority="1" solref="{time} {ratio}"/></body></worldbody></mujoco>"""
    )
    data, speed = mujoco.MjData(model), []
    data.qvel[2] = -1.0
    for _ in range(100):
        mujoco.mj_step(model, data)
        speed.append(data.qvel[2])
    assert max(speed) == pytest.approx(-restitution * min(speed), rel=0.45 if restitution < 0.3 else 0.15)


def test_restitution_reaches_the_feet():
    feet = hold(simulator([row(), row(restitution=0.6)], height=0.3), 40).mean(dim=2)
    assert (feet[:, 0] - feet[:, 1]).abs().max() > 0.003


def test_a_longer_contact_time_lets_the_feet_sink_deeper():
    depth = hold(simulator([row(contact_time=0.01), row(contact_time=0.08)], height=0.1), 60).amin(dim=(0, 2))
    assert depth[1] < depth[0] - 0.002


def test_rotor_inertia_slows_the_joints():
    sim = simulator([row(), row(rotor_inertia=3.0)], height=0.5)
    hold(sim, 1, offset=0.5)
    speed = sim.joint_velocity.abs().mean(dim=1)
    assert speed[1] < 0.8 * speed[0]


def test_motor_strength_is_each_joints_own():
    strength = np.ones(12)
    strength[4] = 0.5
    sim = simulator([row(), row(motor_strength=strength)], height=0.5)
    hold(sim, 1, offset=5.0)  # more than the motors can
    ratio = (sim.joint_torque[1] / sim.joint_torque[0]).numpy()
    assert ratio[4] == pytest.approx(0.5, abs=0.02)
    assert np.allclose(np.delete(ratio, 4), 1.0, atol=0.02)


def environment(config):
    setup = EnvConfig(num_envs=2, nuisances=config, terrain=TerrainConfig(shares={"flat": 1.0}), push_speed=0.0)
    return QuadrupedEnv(setup, SPEC, MujocoSimulator(SPEC, WORLD, 2, 1))


def stand(nuisances):
    """Return an environment whose first robot is nominal and whose second has the nuisances, after standing a while."""
    env = environment(NuisanceConfig())
    env.noise[:] = 0.0
    nominal = np.tile(RobotFactors().as_array(), (2, 1))
    env.assign(np.full(2, KINDS.index("flat")), np.zeros(2, int), nominal, np.ones(2))
    env.nuisances[1] = torch.from_numpy(nuisances)
    for _ in range(60):
        obs, *_ = env.step(torch.zeros(2, 12))
    return env, obs


def test_a_joint_offset_moves_the_joint_and_is_seen():
    offset = np.zeros(12)
    offset[5] = 0.1
    env, obs = stand(row(joint_offset=offset))
    moved = env.sim.joint_position[1] - env.sim.joint_position[0]
    assert moved[5] == pytest.approx(0.1, abs=0.05) and moved[5] == moved.abs().max()
    seen = obs["proprioception"][1] - obs["proprioception"][0]
    assert seen[9 + 5] == pytest.approx(float(moved[5]), abs=1e-5)


def test_an_encoder_bias_moves_the_joint_the_other_way_and_hides_it():
    bias = np.zeros(12)
    bias[5] = 0.1
    env, obs = stand(row(encoder_bias=bias))
    moved = env.sim.joint_position[1] - env.sim.joint_position[0]
    assert moved[5] == pytest.approx(-0.1, abs=0.05)
    seen = obs["proprioception"][1] - obs["proprioception"][0]
    assert seen[9 + 5] == pytest.approx(float(moved[5]) + 0.1, abs=1e-5)


def test_without_a_preset_nothing_but_friction_varies():
    drawn = NuisanceConfig().ranges().sample(np.random.default_rng(0), 50)
    drawn[:, NUISANCE_COLUMNS["friction"]] = 0.8
    assert (drawn == NUISANCE_NOMINAL).all()


def test_the_usual_preset_and_given_ranges_reach_the_robots():
    env = environment(NuisanceConfig("usual", restitution=(0.5, 0.6)))
    drawn = env.drawn_nuisances.numpy()
    for name, columns in NUISANCE_COLUMNS.items():
        low, high = (0.5, 0.6) if name == "restitution" else getattr(NUISANCES["usual"], name)
        values = drawn[:, columns]
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert np.ptp(values) > 0.9 * (high - low), name
    assert np.isclose(drawn, env.nuisances[0].numpy()).all(axis=1).any()


@pytest.mark.parametrize("name", NUISANCE_LIMITS)
def test_ranges_that_simulators_cannot_bear_are_refused(name):
    low, high = NUISANCE_LIMITS[name]
    for span in ((high, low), (low, high + 1.0), (low - 1.0, high)):
        with pytest.raises(ValueError, match=name):
            NuisanceRanges(**{name: span})
