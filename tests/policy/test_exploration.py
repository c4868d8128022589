"""Spells in which a robot acts without exploring."""

import pytest

pytest.importorskip("rsl_rl")
import torch

from policy import exploration
from policy.train import make_env, make_runner, run
from tests.helpers_policy import config

STEPS = 400


def acted(tmp_path, share):
    """Return for each of many periods what every robot did, and what the mean was, (n, 8, 12) each."""
    setup = config(tmp_path / "run")
    setup.ppo.quiet_share = share
    env = make_env(setup.env)
    runner = make_runner(setup, env)
    obs, did, means = env.get_observations(), [], []
    with torch.inference_mode():
        for _ in range(STEPS):
            actions = runner.alg.act(obs)
            kept = runner.alg.transition
            assert torch.equal(kept.actions, actions)
            torch.testing.assert_close(kept.actions_log_prob, runner.alg.actor.get_output_log_prob(actions))
            did.append(actions)
            means.append(kept.distribution_params[0])
    return torch.stack(did), torch.stack(means)


def test_every_robot_always_explores_unless_asked(tmp_path):
    did, means = acted(tmp_path, 0.0)
    assert (did != means).all()


def test_a_share_of_the_time_the_mean_acts_in_spells(tmp_path, monkeypatch):
    monkeypatch.setattr(exploration, "SPELL", 20)
    did, means = acted(tmp_path, 0.4)
    quiet = (did == means).all(2)
    assert torch.equal(quiet, (did == means).any(2)), "all joints or none"
    assert 0.25 < quiet.float().mean() < 0.55
    assert len(quiet.float().mean(0).unique()) > 1, "each robot for itself"
    changes = (quiet[1:] != quiet[:-1]).float().mean()
    assert 0.3 / 20 < changes < 1.5 / 20


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_student_of_a_teacher_has_such_spells_as_well(tmp_path, monkeypatch, share):
    monkeypatch.setattr(exploration, "SPELL", 20)
    run(config(tmp_path / "teacher"))
    setup = config(tmp_path / "run", teacher=tmp_path / "teacher")
    setup.ppo.quiet_share = share
    env = make_env(setup.env)
    learner, obs, quiet = make_runner(setup, env).alg, env.get_observations(), []
    with torch.inference_mode():
        for _ in range(STEPS // 4):
            actions = learner.act(obs)
            assert torch.equal(learner.transition.actions, actions)
            assert not torch.equal(learner.transition.privileged_actions, actions)
            quiet.append((actions == learner.student.output_mean).all(1))
    assert share - 0.2 <= torch.stack(quiet).float().mean() <= share + 0.2 * (share > 0)


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused_before_anything_is_made(tmp_path, share):
    setup = config(tmp_path / "run")
    setup.ppo.quiet_share = share
    with pytest.raises(ValueError, match=r"--ppo.quiet-share .*: give a share"):
        run(setup)
    assert not list(tmp_path.iterdir())
