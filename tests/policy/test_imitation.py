"""A policy that is taught what another would do with corrected gains."""

import pytest

pytest.importorskip("rsl_rl")
import torch

import models
from policy import checkpoint
from policy.export import ExportConfig, export
from policy.imitation import LEAST, Teacher
from policy.modes import FRAME
from policy.train import make_env, make_runner, newest_checkpoint, run
from sim.factors import FACTOR_NAMES
from tests.helpers_policy import config, make_bank

SCALE = 0.25  # rad of target per action, of the Go1
ROLLOUT = 24 * 8
HEALTHY = {f"weak_leg_{leg}": 1.0 for leg in ("fl", "fr", "rl", "rr")}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Return a run of a policy that sees one frame."""
    folder = tmp_path_factory.mktemp("run") / "vanilla"
    run(config(folder))
    return folder


@pytest.fixture
def taught(policy, tmp_path):
    """Return an environment and what teaches in it."""
    env = make_env(config(tmp_path / "run").env)
    return env, Teacher(policy, env)


def make_all(env, **factors):
    """Give every robot the factors."""
    for name, value in factors.items():
        env.factors[:, FACTOR_NAMES.index(name)] = value


def frame_of(env):
    return env.get_observations()["critic"][:, :FRAME].clone()


def wants(teacher, frame):
    return teacher.mlp(teacher.obs_normalizer(frame))


def check(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kp_scale", [1.0, 1.3])
def test_a_healthy_robot_and_a_stiff_one_are_told_what_the_policy_does(taught, kp_scale):
    env, teacher = taught
    make_all(env, kp_scale=kp_scale, **HEALTHY)
    for _ in range(3):
        obs = env.get_observations()
        wanted = wants(teacher, frame_of(env))
        told = teacher(obs)
        check(told, wanted)
        _, _, dones, _ = env.step(told)
        teacher.reset(dones)


def test_weak_joints_get_the_torque_that_the_policy_wants(taught):
    env, teacher = taught
    make_all(env, kp_scale=0.8, weak_leg_fl=0.75, weak_leg_fr=1.0, weak_leg_rl=1.0, weak_leg_rr=1.0)
    frame = frame_of(env)
    offset = frame[:, 9:21]
    wanted = wants(teacher, frame)
    stiffness = torch.tensor([0.8 * 0.75] * 3 + [0.8] * 9)
    torque = stiffness * (SCALE * teacher(env.get_observations()) - offset)
    check(torque, SCALE * wanted - offset)


def test_the_policy_believes_that_it_walks_a_healthy_robot(taught):
    """What it is shown as its last action is what makes the same torque of a healthy joint."""
    env, teacher = taught
    make_all(env, kp_scale=0.7, **HEALTHY)
    before = frame_of(env)[:, 9:21]
    wanted = wants(teacher, frame_of(env))
    _, _, dones, _ = env.step(teacher(env.get_observations()))
    assert not dones.any()
    frame = frame_of(env)
    frame[:, 33:45] = before / SCALE + 0.7 * (env.action - before / SCALE)
    check(frame[:, 33:45], wanted)
    offset = frame[:, 9:21]
    torque = 0.7 * (SCALE * teacher(env.get_observations()) - offset)
    check(torque, SCALE * wants(teacher, frame) - offset)


def test_a_robot_that_begins_anew_was_told_nothing(taught):
    env, teacher = taught
    _, _, dones, _ = env.step(teacher(env.get_observations()))
    teacher.reset(torch.ones_like(dones))
    env.restart()
    frame = frame_of(env)
    assert not frame[:, 33:45].any()
    make_all(env, kp_scale=1.0, **HEALTHY)
    check(teacher(env.get_observations()), wants(teacher, frame))


def test_no_more_is_made_up_for_than_is_sensible(taught):
    env, teacher = taught
    make_all(env, kp_scale=0.1, **HEALTHY)
    frame = frame_of(env)
    offset = frame[:, 9:21]
    wanted = wants(teacher, frame)
    torque = LEAST * (SCALE * teacher(env.get_observations()) - offset)
    check(torque, SCALE * wanted - offset)


def test_a_student_comes_to_do_what_it_is_taught(policy, tmp_path):
    setup = config(tmp_path / "student", teacher=policy, samples=20 * ROLLOUT)
    env = make_env(setup.env)
    runner = make_runner(setup, env)
    errors = []
    obs = env.get_observations()
    runner.alg.train_mode()
    for _ in range(20):
        with torch.inference_mode():
            for _ in range(24):
                obs, rewards, dones, extras = env.step(runner.alg.act(obs))
                runner.alg.process_env_step(obs, rewards, dones, extras)
        errors.append(runner.alg.update()["behavior"])
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


def test_training_leaves_a_policy_to_go_on_with_to_export_and_to_reward(policy, tmp_path):
    bank = make_bank(tmp_path / "bank.safetensors")
    setup = config(tmp_path / "student", mode="multi", bank=bank, init=policy, teacher=policy)
    run(setup)
    state = checkpoint.read(newest_checkpoint(setup.run))
    assert state["samples"] == 2 * ROLLOUT and "critic_state_dict" not in state
    setup.samples, setup.resume = 3 * ROLLOUT, True
    assert torch.load(run(setup), weights_only=True)["iteration"] == 3
    export(ExportConfig(setup.run, tmp_path / "multi.onnx", bank=bank))
    rewarded = config(tmp_path / "rewarded", mode="multi", bank=bank, init=setup.run)
    runner = make_runner(rewarded, make_env(rewarded.env))
    runner.start_from(setup.run, None)
    assert runner._critic_only > 0, "the critic learns first"


def test_a_teacher_that_sees_more_than_a_frame_is_refused(policy, tmp_path):
    bank = make_bank(tmp_path / "bank.safetensors")
    run(config(tmp_path / "multi", mode="multi", bank=bank))
    with pytest.raises(ValueError, match="give a teacher of mode vanilla"):
        run(config(tmp_path / "student", teacher=tmp_path / "multi"))


def test_a_teacher_of_another_robot_is_refused(tmp_path):
    with pytest.raises(ValueError, match="walks a go2, not a go1: give a teacher of this robot"):
        run(config(tmp_path / "student", teacher=models.path("go2") / "vanilla.onnx"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("begun", "resumed", "said"), [(True, False, "with its --teacher"), (False, True, "without --")]
)
def test_a_run_goes_on_the_way_that_it_began(policy, tmp_path, begun, resumed, said):
    """A run that was taught has no critic, and the optimizer of one that was rewarded knows one."""

    def setup(taught, **changes):
        return config(tmp_path / "run", teacher=policy if taught else None, **changes)

    kept = run(setup(begun)).read_bytes()
    with pytest.raises(ValueError, match=f"{said}.*--init"):
        run(setup(resumed, samples=3 * ROLLOUT, resume=True))
    assert newest_checkpoint(tmp_path / "run").read_bytes() == kept
