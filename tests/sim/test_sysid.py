"""MuJoCo's system identification on a walk of its own model: it finds the factors that made it."""

import numpy as np
import pytest

import robots
from sim.sysid import BOUNDS, WINDOW, Record, _Problem

pytest.importorskip("scipy", reason="mujoco[sysid] is not installed")
SPEC = robots.load("go1")


@pytest.fixture
def problem():
    count = 60
    rng = np.random.default_rng(0)
    target = SPEC.default_position + 0.1 * np.cumsum(rng.normal(0, 0.3, (count, 12)), axis=0)
    zeros, ones = np.zeros((count, 12)), np.tile([1.0, 0, 0, 0], (count, 1))
    still = np.tile(SPEC.default_position, (count, 1))
    record = Record(ones, zeros[:, :3], zeros[:, :3], still, zeros, zeros, target, np.ones(count, bool))
    return _Problem(record, SPEC, rng)


@pytest.mark.parametrize("latency", [0.0, 0.005, 0.013, 0.02, 0.03])
def test_targets_arrive_late_by_the_latency(problem, latency):
    start = int(problem._starts[0])
    controls = problem._controls(latency, start)
    times = (np.arange(len(controls)) + 0.5) * 0.0025 - latency
    sent = problem._record.target[start + np.floor(times / SPEC.control_dt).astype(int)]
    exact = np.abs(controls - sent).max(axis=1) < 1e-9
    assert exact.mean() > 0.8 and len(controls) == WINDOW * 8
    assert controls.min() >= problem._record.target.min() - 1e-9


def test_the_residual_has_a_column_for_each_column_of_parameters(problem):
    from mujoco import sysid

    parameters = sysid.ParameterDict()
    for name, (start, low, high) in BOUNDS.items():
        size = 4 if name == "legs" else 1
        parameters.add(sysid.Parameter(name, [start] * size, [low] * size, [high] * size))
    x = parameters.as_vector()
    (one,), _, _ = problem.residual(x, parameters)
    (two,), _, _ = problem.residual(np.stack([x, x * 1.1], axis=1), parameters)
    assert two.shape == (len(one), 2)
    np.testing.assert_allclose(two[:, 0], one, atol=1e-9)
    assert np.abs(two[:, 1] - one).max() > 1e-3
