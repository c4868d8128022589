"""Adaptation on a law that is known: the context comes back, with honest errors, uncertainty and readings."""

import numpy as np
import onnx
import pytest

import robots
from calibration.adapt import adapt, split
from calibration.errors import RefusedError
from calibration.model import DynamicsModel, ModelError
from calibration.resample import Ticks, samples

SPEC = robots.load("go1")
DT = SPEC.control_dt


@pytest.fixture(scope="module")
def model(bench):
    return DynamicsModel.load(bench.models / "dynamics.onnx", SPEC)


def transitions(walk, history=3):
    """Return the samples of a walk without the way through a bag."""
    count = len(walk.time)
    gravity = np.zeros((count, 3))
    action = (walk.target - SPEC.default_position) / SPEC.action_scale
    frames = np.hstack([walk.angular_velocity, gravity, walk.position - SPEC.default_position, walk.velocity, action])
    zero = np.zeros(count)
    return samples(
        Ticks(walk.time, zero, frames, zero, zero, None, np.ones(count, bool), np.zeros(count, int), "log"), history
    )


def found(bench, model, walk, **options):
    return adapt(model, transitions(walk), bench.law.flat, bench.law.nominal, DT, **options)


def test_gradient_and_loss_are_those_of_the_law(bench, model):
    batch = transitions(bench.walk).take(slice(0, 50))
    robot = np.linspace(-1, 1, 8)
    loss, gradient = model.loss_and_gradient(batch, robot, bench.law.flat)
    wanted = bench.law.loss_and_gradient(batch.frames, batch.targets, np.ones(50), robot, bench.law.flat)
    assert loss == pytest.approx(wanted[0], rel=1e-4)
    np.testing.assert_allclose(gradient, wanted[1], rtol=1e-3, atol=1e-6)
    assert model.error(batch, robot, bench.law.flat).mean() == pytest.approx(loss, rel=1e-5)


def test_the_robots_context_comes_back(bench, model):
    result = found(bench, model, bench.walk)
    np.testing.assert_allclose(result.context, bench.context, atol=0.02)
    assert result.after < 0.6 * result.before
    # Noise of differences in velocity 0.02 and position 0.0005, in gyro 0.02; gravity is held here.
    assert (result.uncertainty < 0.02).all() and (result.uncertainty > 0).all()


def test_uncertainty_is_the_scatter_over_walks(bench, model):
    walks = [bench.simulate(seed=seed, noise=20.0) for seed in range(16)]
    results = [found(bench, model, walk) for walk in walks]
    scatter = np.std([r.context for r in results], axis=0, ddof=1)
    claimed = np.sqrt(np.mean([r.uncertainty**2 for r in results], axis=0))
    assert 0.6 < np.exp(np.log(claimed / scatter).mean()) < 1.7


def test_without_halvings_the_same_is_found_and_nobody_says_how_sure_it_is(bench, model):
    whole, without = found(bench, model, bench.walk), found(bench, model, bench.walk, splits=0)
    np.testing.assert_array_equal(without.context, whole.context)
    assert [r.value for r in without.readings] == [r.value for r in whole.readings]
    assert np.isnan(without.uncertainty).all() and {r.spread for r in without.readings} == {None}


def test_readings_come_with_what_they_are_worth(bench, model):
    payload, gain, friction = found(bench, model, bench.walk).readings
    assert (payload.name, payload.unit, payload.known) == ("payload", "kg", True)
    assert payload.value == pytest.approx(1.0 + 0.5 * bench.context[0], abs=0.02)
    assert gain.value == pytest.approx(0.9 + 0.1 * bench.context[1], abs=0.005)
    assert 0 < payload.spread < 0.02 and payload.median_error == 0.2
    assert not friction.known


def test_a_nominal_robot_is_not_refused(bench, model):
    result = found(bench, model, bench.simulate(bench.law.nominal))
    assert result.after == pytest.approx(result.before, rel=0.02)


def changing(bench, last):
    """Return a walk of the bench's robot that becomes another before the part on which a context is judged."""
    first, last = bench.simulate(), bench.simulate(last)
    names = ("position", "velocity", "effort", "angular_velocity")
    return first.but(**{k: np.vstack([getattr(first, k)[:800], getattr(last, k)[800:]]) for k in names})


def test_a_context_that_predicts_worse_is_refused(bench, model):
    with pytest.raises(RefusedError, match=r"worse than the nominal robot's .*record it again"):
        found(bench, model, changing(bench, bench.law.nominal))


def test_a_context_that_predicts_as_well_as_the_nominal_one_gives_way_to_it(bench, model):
    between = bench.law.nominal + 0.49 * (bench.context - bench.law.nominal)
    result = found(bench, model, changing(bench, between))
    assert result.nominal and result.after == result.before
    np.testing.assert_array_equal(result.context, bench.law.nominal)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_adaptation_is_refused(bench, tmp_path):
    rate = {"robot": [1e30] * 8, "terrain": 1.0}
    model = DynamicsModel.load(bench.write_models(tmp_path / "m", inner_rate=rate) / "dynamics.onnx", SPEC)
    with pytest.raises(RefusedError, match="worse than the nominal"):
        found(bench, model, bench.walk)


def test_split_keeps_four_seconds_apart(bench):
    learn, judge = split(transitions(bench.walk), 3, DT)
    assert len(judge) == 200 and 790 <= len(learn) <= 797
    assert learn.tick[-1] + 1 < judge.tick[0] - 2
    long = bench.walk.rows(np.tile(np.arange(1000), 5)).but(time=np.arange(5000) * DT)
    learn, judge = split(transitions(long), 3, DT)
    assert len(judge) == 200 and len(learn) + len(judge) <= 3000 and judge.tick[-1] == 4998
    with pytest.raises(RefusedError, match="uninterrupted steps"):
        split(transitions(bench.walk.rows(slice(0, 60))), 3, DT)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "policy"}, "'kind' is 'policy'"),
        ({"robot": "go2"}, "made for robot 'go2'"),
        ({"robot_digest": "0"}, "other constants of go1"),
        ({"joint_names": ["a"]}, "'joint_names'"),
        ({"frame": []}, "'frame'"),
        ({"inner_rate": {"robot": [1.0]}}, "'inner_rate.robot' has shape"),
        ({"history": 0}, "'history'"),
        ({"history": 2}, "'reference.frames' has shape"),
        ({"probes": [{"name": "payload"}]}, "probe 0: field 'weights'"),
    ],
)
def test_models_that_do_not_fit_are_refused(bench, tmp_path, changes, words):
    with pytest.raises(ModelError, match=words):
        DynamicsModel.load(bench.write_models(tmp_path / "m", **changes) / "dynamics.onnx", SPEC)


def test_missing_and_damaged_models(bench, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dynamics model not found: .*nothing.onnx"):
        DynamicsModel.load(tmp_path / "nothing.onnx", SPEC)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match="not an ONNX model, or damaged"):
        DynamicsModel.load(tmp_path / "text.onnx", SPEC)
    graph = onnx.load(bench.models / "dynamics.onnx")
    (weights,) = (c for c in graph.graph.initializer if c.name == "R")
    weights.raw_data = bytes(b ^ 1 if i % 4 == 2 else b for i, b in enumerate(weights.raw_data))
    onnx.save(graph, tmp_path / "flipped.onnx")
    with pytest.raises(ModelError, match="does not reproduce its reference"):
        DynamicsModel.load(tmp_path / "flipped.onnx", SPEC)
