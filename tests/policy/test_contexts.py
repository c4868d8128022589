"""The robots and contexts that a policy's training draws from."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from policy.contexts import DRAWN, contexts_for, with_robots
from sim.contexts import ContextTable
from sim.factors import FACTOR_NAMES, NARROW, RANGES, WIDE
from tests.helpers_policy import config, make_bank

LEGS = [FACTOR_NAMES.index(f"weak_leg_{leg}") for leg in ("fl", "fr", "rl", "rr")]


def bank_of(contexts, factors):
    return ContextTable(factors, contexts, np.zeros((1, 1, 2)), np.zeros(contexts.shape[1:]))


@pytest.mark.parametrize("shape", [(3,), (2, 4, 3)], ids=["a context", "one for each terrain"])
def test_contexts_of_drawn_robots_follow_their_factors_and_scatter_as_the_banks(shape):
    draw = np.random.default_rng(0)
    factors = WIDE.sample(draw, 200)
    slope = draw.normal(size=(12, int(np.prod(shape)))) / factors.std(0)[:, None]
    scatter = 0.5 * draw.normal(size=(200, slope.shape[1]))
    bank = bank_of((7.0 + factors @ slope + scatter).reshape(200, *shape), factors)
    drawn = WIDE.sample(draw, 3000)
    table = with_robots(bank, drawn, seed=0)
    assert table.robot_contexts.shape == (3000, *shape) and np.array_equal(table.robot_factors, drawn)
    off = table.robot_contexts.reshape(3000, -1) - (7.0 + drawn @ slope)
    assert np.abs(off.mean(0)).max() < 0.2 and np.allclose(off.std(0), 0.5, atol=0.1)
    assert table.terrain_contexts is bank.terrain_contexts and table.nominal_robot is bank.nominal_robot


def test_a_bank_of_two_robots_makes_no_contexts_far_from_theirs():
    factors = WIDE.sample(np.random.default_rng(0), 2)
    bank = bank_of(np.array([[0.0, 1.0], [1.0, 0.0]]), factors)
    assert np.abs(with_robots(bank, WIDE.sample(np.random.default_rng(1), 500), 0).robot_contexts).max() < 50


@pytest.mark.parametrize("ranges", list(RANGES))
def test_training_meets_weak_legs_of_every_strength_in_its_ranges_whatever_the_bank_holds(tmp_path, ranges):
    setup = config(tmp_path, mode="multi", bank=make_bank(tmp_path / "bank.safetensors", ranges=NARROW))
    setup.env.factors = ranges
    legs = contexts_for(setup).robot_factors[:, LEGS]
    lowest = RANGES[ranges].weak_leg[0]
    assert len(legs) == DRAWN and legs.min() >= lowest
    assert (legs < lowest + 0.02).any(axis=0).all()


def test_every_mode_of_a_seed_trains_on_the_same_robots(tmp_path):
    setup = config(tmp_path, mode="multi", bank=make_bank(tmp_path / "bank.safetensors"))
    multi, oracle = contexts_for(setup), contexts_for(replace(setup, mode="oracle", bank=None))
    assert np.array_equal(multi.robot_factors, oracle.robot_factors)
    assert np.array_equal(multi.robot_contexts, contexts_for(setup).robot_contexts)
    assert not np.array_equal(multi.robot_factors, contexts_for(replace(setup, seed=1)).robot_factors)


@pytest.mark.parametrize(
    ("name", "change"), [("robot_contexts", lambda v: v[:0]), ("robot_factors", lambda v: v * np.nan)]
)
def test_a_bank_without_robots_or_with_nan_is_refused(tmp_path, name, change):
    path = make_bank(tmp_path / "bank.safetensors")
    with safe_open(path, framework="np") as bank:
        meta, arrays = bank.metadata(), {key: bank.get_tensor(key) for key in bank.keys()}
    save_file({**arrays, name: change(arrays[name])}, path, metadata=meta)
    with pytest.raises(ValueError, match=f"{name} is empty or not all numbers"):
        contexts_for(config(tmp_path, mode="multi", bank=path))
