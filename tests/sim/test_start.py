"""Robots start standing on every kind of terrain, where and as the curriculum says."""

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch

import robots
from sim.config import EnvConfig
from sim.env import QuadrupedEnv
from sim.factors import RobotFactors
from sim.mujoco_backend import MujocoSimulator
from sim.terrain import KINDS, LEVELS, TERRAINS, TILE, TerrainWorld, tile_center

SPEC = robots.load("go1")
EACH = 3  # robots on each tile


@pytest.fixture(scope="module")
def started():
    """Return an environment with robots on every kind at the first, a middle and the last level, just started."""
    kind = np.repeat(np.arange(len(KINDS)), 3 * EACH)
    level = np.tile(np.repeat([0, LEVELS // 2, LEVELS - 1], EACH), len(KINDS))
    config = EnvConfig(num_envs=len(kind), threads=1, push_speed=0.0)
    env = QuadrupedEnv(config, SPEC, MujocoSimulator(SPEC, TerrainWorld(), len(kind), 1))
    env.assign(kind, level, np.tile(RobotFactors().as_array(), (len(kind), 1)), np.full(len(kind), 0.8))
    return env, kind, level, env.sim.root_position.clone(), env.yaw.clone()


def test_they_start_where_their_kind_says(started):
    _, kind, level, position, yaw = started
    for i, name in enumerate(KINDS[k] for k in kind):
        ground = TERRAINS[name]
        x, y = position[i, :2].numpy() - tile_center(name, level[i])
        assert abs(x) < TILE / 2 and abs(y) < TILE / 2
        if ground.start == "centre":
            assert max(abs(x), abs(y)) <= 0.31
        if ground.start in ("before", "along"):
            assert abs(yaw[i].sin()) < 0.25
            before = min(ground.reach(level[i]) + 0.7, TILE / 2 - 0.5)
            assert abs(abs(x) - before) < 0.01 or (ground.start == "along" and abs(x) < 0.31)


def test_they_stand_and_none_falls_or_breaks_down(started):
    env, kind, level, *_ = started
    fallen = torch.zeros(len(kind), dtype=torch.bool)
    for _ in range(25):
        _, _, done, extras = env.step(torch.zeros(len(kind), 12))
        fallen |= done & ~extras["time_outs"]
    waves = torch.from_numpy((kind == KINDS.index("waves")) & (level > 0))  # steep enough to trip who does nothing
    assert not (fallen & ~waves).any()
    assert env.num_diverged == 0
