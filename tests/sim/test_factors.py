from itertools import pairwise

import numpy as np
import pytest

from sim.factors import FACTOR_NAMES, FACTOR_UNITS, LIMPING, NARROW, WEAK_LEGS, WIDE, RobotFactors, task_sequence
from tests.helpers_factors import within


@pytest.mark.parametrize("ranges", [NARROW, WIDE, LIMPING])
def test_samples_lie_in_their_ranges(ranges):
    values = ranges.sample(np.random.default_rng(0), 500)
    assert values.shape == (500, len(FACTOR_NAMES))
    assert within(ranges, values).all()
    payload = values[:, FACTOR_NAMES.index("payload")]
    assert payload.min() < ranges.payload[0] + 0.1 * ranges.payload[1] and payload.max() > 0.9 * ranges.payload[1]


def test_the_narrow_range_lies_in_the_wide_one():
    rng = np.random.default_rng(0)
    assert within(WIDE, NARROW.sample(rng, 300)).all()
    assert within(NARROW, WIDE.sample(rng, 300)).mean() < 0.2


def test_at_most_one_leg_is_weak():
    values = WIDE.sample(np.random.default_rng(0), 300)
    legs = values[:, [FACTOR_NAMES.index(f"weak_leg_{leg}") for leg in ("fl", "fr", "rl", "rr")]]
    assert ((legs < 1.0).sum(axis=1) <= 1).all()
    assert (legs < 1.0).any(axis=0).all()


def test_most_limping_robots_have_a_weak_leg_and_are_else_as_wide_ones():
    legs = list(WEAK_LEGS)
    wide, limping = (ranges.sample(np.random.default_rng(0), 400) for ranges in (WIDE, LIMPING))
    assert ((limping[:, legs] < 0.91).any(axis=1)).mean() > 0.85 > 0.5 > ((wide[:, legs] < 0.91).any(axis=1)).mean()
    assert np.array_equal(np.delete(limping, legs, axis=1), np.delete(wide, legs, axis=1))


def test_factors_survive_the_way_to_an_array_and_back():
    factors = RobotFactors(payload=1.5, kp_scale=0.7, weak_leg_rl=0.8)
    assert RobotFactors.from_array(factors.as_array()) == factors
    assert set(FACTOR_UNITS) == set(FACTOR_NAMES) == set(factors.as_dict())


def test_a_task_sequence_visits_the_grid_and_changes_one_factor_at_a_time():
    tasks = list(task_sequence(4, 3))
    assert sorted(tasks) == [(r, t) for r in range(4) for t in range(3)]
    changes = [(a[0] != b[0]) + (a[1] != b[1]) for a, b in pairwise(tasks)]
    assert set(changes) == {1}
