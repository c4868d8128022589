"""Readings of contexts, and how they are judged."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dynamics_model.probes import LEGS, farther, fit_probes, readings
from sim.factors import FACTOR_NAMES, FACTOR_UNITS, WIDE


def robots(count, seed):
    factors = torch.as_tensor(WIDE.sample(np.random.default_rng(seed), count)).float()
    units = [FACTOR_UNITS[name] for name in FACTOR_NAMES]
    return SimpleNamespace(factors=factors, factor_names=list(FACTOR_NAMES), factor_units=units)


def probes_of(data, held, noise=0.03):
    """Return probes of contexts that are the readings themselves, with noise."""
    torch.manual_seed(0)
    values = readings(data)[2]
    contexts = values + noise * torch.randn(values.shape) * values.std(0)
    train = torch.tensor([row for row in range(len(values)) if row not in held])
    held = torch.tensor(held)
    return {probe.name: probe for probe in fit_probes(data, train, contexts[train], held, contexts[held])}


def test_legs_are_judged_together():
    """A leg that no held-out robot has weak is none whose probe fails."""
    data = robots(200, seed=3)
    weak = (data.factors[:, [FACTOR_NAMES.index(name) for name in LEGS]] < 0.95).int()
    front = [row for row in range(200) if weak[row, 0] or not weak[row].any()][:20]
    found = probes_of(data, front)
    assert len({found[name].r2 for name in LEGS}) == 1 and found["weak_leg_rr"].r2 > 0.9
    assert found["payload"].r2 > 0.99 and found["payload"].r2 != found["weak_leg_rr"].r2


def test_legs_that_contexts_do_not_tell_are_unknown():
    found = probes_of(robots(200, seed=3), list(range(40)), noise=30.0)
    assert found["weak_leg_fl"].r2 < 0.2


def test_readings_are_judged_on_robots_far_from_nominal():
    factors = torch.tensor([[0.0, 1.0], [0.1, 1.0], [0.0, 0.6], [2.9, 1.0], [0.3, 1.1], [0.0, 1.0], [0.4, 1.0]])
    data = SimpleNamespace(factors=factors, robot_ids=[0, 1, 2, 3, 4, 5, 6])
    assert farther(data, torch.tensor([1, 2, 3, 4, 5, 6])).tolist() == [1, 2, 3]
    assert farther(data, torch.tensor([5, 1, 3])).tolist() == [0, 1, 2], "three are the least to judge on"


def test_too_few_robots_are_refused():
    with pytest.raises(ValueError, match="2 held-out robots are too few"):
        probes_of(robots(20, seed=0), [0, 1])
