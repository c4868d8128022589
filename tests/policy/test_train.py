import json
import os
import shutil
import signal
import threading

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch

import robots
from policy import checkpoint, inference
from policy.contexts import load_table
from policy.export import ExportConfig, export
from policy.modes import FRAME
from policy.train import make_env, make_runner, newest_checkpoint, run
from sim.terrain import KINDS
from tests.helpers_policy import SPEC, config, make_bank


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run of two iterations."""
    folder = tmp_path_factory.mktemp("run") / "vanilla"
    run(config(folder))
    return folder


def test_a_run_leaves_checkpoint_config_and_events(trained):
    state = torch.load(newest_checkpoint(trained), weights_only=True)
    assert state["samples"] == 2 * 24 * 8 and state["iteration"] == 2
    assert json.loads((trained / "config.json").read_text())["env"]["num_envs"] == 8
    assert list(trained.glob("events.*"))


def test_resuming_goes_on_where_the_run_stopped(trained):
    run(config(trained, samples=3 * 24 * 8, resume=True))
    assert torch.load(newest_checkpoint(trained), weights_only=True)["iteration"] == 3


def test_resuming_puts_every_robot_on_the_level_that_it_had_reached(trained, tmp_path):
    state = torch.load(newest_checkpoint(trained), weights_only=True)
    state["levels"] = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7])
    changed = tmp_path / "model_1.pt"
    torch.save(state, changed)
    setup = config(tmp_path / "again")
    env = make_env(setup.env)
    make_runner(setup, env).load(str(changed))
    _, _, done, _ = env.step(torch.zeros(8, 12))
    assert not done.any() and env.curriculum.level.tolist() == list(range(8))


def test_levels_go_to_the_same_kinds_of_terrain_only(trained, tmp_path):
    state = torch.load(newest_checkpoint(trained), weights_only=True)
    state["levels"] = torch.full((8,), 7)
    torch.save(state, tmp_path / "model_1.pt")
    setup = config(tmp_path / "gaps")
    setup.env.terrain.shares, setup.env.terrain.start_level = {"gaps": 1.0}, 0
    env = make_env(setup.env)
    make_runner(setup, env).start_from(tmp_path / "model_1.pt", None)
    assert env.curriculum.level.tolist() == [0] * 8


def test_networks_of_another_size_are_said(trained, tmp_path):
    setup = config(tmp_path / "small")
    setup.ppo.hidden_dims = (16, 16)
    runner = make_runner(setup, make_env(setup.env))
    with pytest.raises(ValueError, match=r"of other sizes than this training: give the same --ppo.hidden-dims"):
        runner.load(str(newest_checkpoint(trained)))


def test_a_resumed_run_goes_on_as_it_was_configured(trained, tmp_path, monkeypatch):
    from cli import train

    folder = tmp_path / "vanilla"
    shutil.copytree(trained, folder)
    record = json.loads((folder / "config.json").read_text())
    record["env"]["factors"] = "narrow"
    (folder / "config.json").write_text(json.dumps(record))
    asked = []
    monkeypatch.setattr("policy.train.run", lambda config, origin: asked.append(config))
    train.policy(["--run", str(folder), "--resume", "--samples", "1e6"])
    train.policy(["--run", str(folder), "--resume", "--env.factors", "wide"])
    assert [(c.env.factors, c.env.num_envs, c.resume) for c in asked] == [("narrow", 8, True), ("wide", 8, True)]
    assert asked[0].samples == 1e6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--env.push-period-s 0", "env.push-period-s 0: give 0.02 s or more, or --env.push-speed 0"),
        ("--env.commands.period 0.001", "env.commands.period 0.001: give 0.02"),
        ("--env.episode-length-s 0", "env.episode-length-s 0"),
        ("--env.terrain.start-level -1", "env.terrain.start-level -1: give 0 or more"),
        ("--env.rewards.progress nan", "env.rewards.progress nan: give a number, 0 for none"),
        ("--env.fine --env.sim mujoco_warp", "env.fine: mujoco_warp has physics of its own"),
        ("--ppo.num-mini-batches 0", "--ppo.num-mini-batches"),
    ],
)
def test_what_cannot_be_is_said_before_training(tmp_path, capsys, words, said):
    from cli.main import main

    small = ["--env.num-envs", "4", "--env.threads", "1", "--samples", "96", "--run", str(tmp_path / "run")]
    assert main(["train", "policy", *small, *words.split()]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_run_that_exists_is_not_overwritten(trained):
    with pytest.raises(ValueError, match="--resume"):
        run(config(trained))


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume"):
        run(config(tmp_path / "none", resume=True))


def test_multi_without_a_bank_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--bank"):
        run(config(tmp_path / "none", mode="multi"))


def test_sigterm_ends_training_with_a_checkpoint(tmp_path):
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    previous = signal.getsignal(signal.SIGTERM)
    try:
        path = run(config(tmp_path / "stopped", samples=1e9))
    finally:
        signal.signal(signal.SIGTERM, previous)
    state = torch.load(path, weights_only=True)
    assert 0 < state["samples"] < 1e9


def test_the_same_seed_learns_the_same(tmp_path):
    states = []
    for name in ("a", "b"):
        run(config(tmp_path / name, seed=5))
        states.append(torch.load(newest_checkpoint(tmp_path / name), weights_only=True)["actor_state_dict"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_policy_with_contexts_starts_as_the_vanilla_policy_it_comes_from(trained, tmp_path):
    bank = make_bank(tmp_path / "bank.safetensors")
    setup = config(tmp_path / "multi", mode="multi", bank=bank, init=newest_checkpoint(trained))
    env = make_env(setup.env, load_table(bank, SPEC))
    runner = make_runner(setup, env)
    runner.start_from(setup.init, env.contexts)
    obs = env.get_observations()
    assert obs["robot_context"].abs().max() > 0.1
    vanilla_env = make_env(setup.env)
    vanilla = make_runner(config(tmp_path / "v"), vanilla_env)
    vanilla.load(str(setup.init))
    assert torch.allclose(runner.alg.get_policy()(obs), vanilla.alg.get_policy()(obs), atol=1e-6)
    run(setup)
    assert torch.load(newest_checkpoint(setup.run), weights_only=True)["iteration"] == 2


def test_a_last_stretch_explores_as_little_as_it_is_told(trained, tmp_path):
    run(config(tmp_path / "quiet", init=newest_checkpoint(trained), action_std=0.15))
    last, source = (torch.load(newest_checkpoint(f), weights_only=True) for f in (tmp_path / "quiet", trained))
    std = "distribution.std_param"
    assert source["actor_state_dict"][std].mean() > 0.5
    assert torch.allclose(last["actor_state_dict"][std], torch.tensor(0.15), atol=0.05)
    with pytest.raises(ValueError, match="--init"):
        run(config(tmp_path / "none", action_std=0.15))


def told_mean(run_folder, bank):
    """Return a multi policy's checkpoint with weights at its contexts, and what it does where it is told their mean."""
    run(config(run_folder, mode="multi", bank=bank))
    path = newest_checkpoint(run_folder)
    state = torch.load(path, weights_only=True)
    actor = state["actor_state_dict"]
    actor["mlp.0.weight"][:, FRAME:] = torch.randn_like(actor["mlp.0.weight"][:, FRAME:])
    torch.save(state, path)
    setup = config(run_folder, mode="multi", bank=bank)
    teacher = make_runner(setup, make_env(setup.env, load_table(bank, SPEC)))
    teacher.load(str(path))

    def act(obs):
        robot, terrain = actor["obs_normalizer._mean"][0, FRAME:].tensor_split(2)
        count = len(obs["proprioception"])
        told = obs.clone()
        told["robot_context"], told["terrain_context"] = robot.repeat(count, 1), terrain.repeat(count, 1)
        return teacher.alg.get_policy()(told)

    return path, act


@pytest.mark.parametrize("exported", [False, True], ids=["checkpoint", "onnx"])
@pytest.mark.parametrize("mode", ["vanilla", "multi"])
def test_contexts_that_mean_nothing_here_are_taken_as_their_mean(tmp_path, mode, exported):
    old, new = make_bank(tmp_path / "old.safetensors"), make_bank(tmp_path / "new.safetensors", digest="other")
    source, act = told_mean(tmp_path / "source", old)
    if exported:
        export(ExportConfig(source, source := tmp_path / "multi.onnx", bank=old))
    setup = config(tmp_path / "go_on", mode=mode, bank=new if mode == "multi" else None)
    env = make_env(setup.env, load_table(new, SPEC))
    runner = make_runner(setup, env)
    runner.start_from(source, env.contexts)
    obs = env.get_observations()
    torch.testing.assert_close(runner.alg.get_policy()(obs), act(obs), rtol=1e-4, atol=1e-4)


def test_contexts_of_the_same_bank_are_kept(tmp_path):
    bank = make_bank(tmp_path / "bank.safetensors")
    source, _ = told_mean(tmp_path / "source", bank)
    setup = config(tmp_path / "go_on", mode="multi", bank=bank)
    env = make_env(setup.env, load_table(bank, SPEC))
    runner = make_runner(setup, env)
    runner.start_from(source, env.contexts)
    kept = torch.load(source, weights_only=True)["actor_state_dict"]["mlp.0.weight"]
    assert torch.equal(runner.alg.get_policy().state_dict()["mlp.0.weight"], kept)


def test_a_start_from_a_policy_of_more_frames_is_refused(trained, tmp_path):
    run(config(tmp_path / "history", mode="history", history=4, init=newest_checkpoint(trained)))
    with pytest.raises(ValueError, match="takes 180 inputs, this policy 45"):
        run(config(tmp_path / "less", init=newest_checkpoint(tmp_path / "history")))


@pytest.mark.parametrize("mode", ["vanilla", "multi"])
def test_export_agrees_with_torch_for_any_batch(trained, tmp_path, mode):
    bank = make_bank(tmp_path / "bank.safetensors")
    changes = {"mode": "multi", "bank": bank} if mode == "multi" else {}
    setup = config(tmp_path / "run", **changes)
    env = make_env(setup.env, load_table(bank, SPEC))
    runner = make_runner(setup, env)
    runner.learn_samples(24 * 8)
    out = tmp_path / "policy.onnx"
    export(ExportConfig(newest_checkpoint(setup.run), out, mode=mode, bank=bank))
    runner.alg.eval_mode()
    act = inference.load(out, SPEC)
    for count in (1, 8):
        obs = env.get_observations()[:count]
        expected = runner.alg.get_policy()(obs).detach()
        assert torch.allclose(act(obs), expected, atol=1e-5)
    assert b"export.py" not in out.read_bytes(), "paths of this machine"


def test_the_controller_takes_what_training_exports(trained, tmp_path):
    from deploy.policy import OnnxPolicy

    out = tmp_path / "policy.onnx"
    export(ExportConfig(newest_checkpoint(trained), out))
    policy = OnnxPolicy.load(out, SPEC)
    assert policy.mode == "vanilla"
    with pytest.raises(ValueError):
        OnnxPolicy.load(out, robots.load("go2"))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_said(tmp_path, content):
    path = tmp_path / "model_5.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint, or damaged"):
        export(ExportConfig(path, tmp_path / "x.onnx"))
    with pytest.raises(ValueError, match="not a checkpoint, or damaged"):
        run(config(tmp_path, resume=True))


def test_a_checkpoint_that_was_saved_on_a_gpu_is_read_on_the_cpu(trained, tmp_path, monkeypatch):
    state = torch.load(newest_checkpoint(trained), weights_only=True)
    path = tmp_path / "model_5.pt"
    monkeypatch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
    torch.save(state, path)
    actor = checkpoint.read(path)["actor_state_dict"]
    assert all(value.device.type == "cpu" for value in actor.values())
    setup = config(tmp_path, samples=state["samples"], resume=True)
    make_runner(setup, make_env(setup.env)).load(str(path))


@pytest.fixture
def labelled(trained, tmp_path):
    """Return a function that writes the trained policy as one with this metadata, None as of an earlier version."""

    def write(metadata, robot=None):
        folder = tmp_path / "labelled"
        folder.mkdir()
        state = torch.load(newest_checkpoint(trained), weights_only=True)
        own = state.pop("metadata")
        torch.save(state if metadata is None else {**state, "metadata": {**own, **metadata}}, folder / "model_9.pt")
        if robot:
            (folder / "config.json").write_text(json.dumps({"env": {"robot": robot}, "mode": "none"}))
        return folder

    return write


def test_a_checkpoint_tells_its_robot_its_mode_and_whose_contexts_it_sees(trained, tmp_path):
    bank = make_bank(tmp_path / "bank.safetensors")
    setup = config(tmp_path / "multi", samples=24 * 8, mode="multi", bank=bank)
    own = {"robot": "go1", "robot_digest": SPEC.digest()}
    for path, more in (
        (newest_checkpoint(trained), {"mode": "vanilla", "dynamics_digest": None}),
        (run(setup), {"mode": "multi", "dynamics_digest": "0123456789abcdef"}),
    ):
        assert checkpoint.metadata(path, checkpoint.read(path)) == {**own, **more}


@pytest.mark.parametrize("way", ["recorded", "configured"])
def test_export_takes_the_robot_that_the_checkpoint_is_of(labelled, tmp_path, way):
    go2, out = robots.load("go2"), tmp_path / "policy.onnx"
    recorded = {"robot": "go2", "robot_digest": go2.digest()}
    export(ExportConfig(labelled(recorded) if way == "recorded" else labelled(None, "go2"), out))
    about = inference.metadata(out)
    assert (about["robot"], about["robot_digest"], about["mode"]) == ("go2", go2.digest(), "vanilla")
    assert about["kp"] == [go2.kp] * 12


@pytest.mark.parametrize(
    ("metadata", "configured", "words"),
    [
        ({"robot": "go2"}, None, "of robot 'go2', not 'go1'"),
        ({"mode": "multi"}, None, "of mode 'multi'"),
        (None, "go2", "go2"),
    ],
)
def test_a_run_of_another_robot_or_mode_is_not_resumed(labelled, metadata, configured, words):
    folder = labelled(metadata, configured)
    with pytest.raises(ValueError, match=f"{words}.*give another --run"):
        run(config(folder, resume=True))


@pytest.mark.parametrize(
    ("metadata", "configured", "typed", "words"),
    [
        ({}, None, {"robot": "go2"}, "model_9.pt is of robot 'go1', not 'go2': leave out --robot"),
        ({}, None, {"mode": "history"}, "is of mode 'vanilla', not 'history': leave out --mode"),
        ({"robot_digest": "0"}, None, {}, "trained for a go1 with other constants"),
        ({"mode": "multi", "dynamics_digest": "0"}, None, {"bank": "bank.safetensors"}, "of another dynamics model"),
        (None, "go2", {"robot": "go1"}, "is of robot 'go2', not 'go1'"),
        (None, None, {}, "does not tell which robot it was trained for: give --robot"),
        (None, None, {"robot": "go1", "mode": "history"}, "give the mode it was trained in"),
    ],
)
def test_export_as_what_the_checkpoint_is_not_is_refused(labelled, tmp_path, metadata, configured, typed, words):
    path = labelled(metadata, configured) / "model_9.pt"
    if "bank" in typed:
        typed = {"bank": make_bank(tmp_path / typed["bank"])}
    with pytest.raises(ValueError, match=words):
        export(ExportConfig(path, tmp_path / "x.onnx", **typed))
    assert not (tmp_path / "x.onnx").exists()


def test_the_bank_gives_the_nearest_level(tmp_path):
    table = load_table(make_bank(tmp_path / "bank.safetensors"), SPEC)
    stairs = table.terrain_contexts[KINDS.index("stairs")]
    assert np.array_equal(stairs[0], stairs[1]) and np.array_equal(stairs[5], stairs[7])
    assert not np.array_equal(stairs[0], stairs[7])


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"robot": "go2"}, "robot 'go2'"), ({"terrains": ["flat", "stairs_5cm"]}, "no terrain of kind")],
)
def test_a_bank_that_does_not_fit_is_refused(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        load_table(make_bank(tmp_path / "bank.safetensors", **changes), SPEC)


def test_a_start_from_an_exported_policy_acts_as_it_and_trains_the_critic_first(trained, tmp_path):
    exported = tmp_path / "policy.onnx"
    export(ExportConfig(newest_checkpoint(trained), exported))
    setup = config(tmp_path / "go_on", init=exported)
    runner = make_runner(setup, make_env(setup.env))
    runner.start_from(exported, None)
    taken, source = runner.alg.get_policy().state_dict(), torch.load(newest_checkpoint(trained), weights_only=True)
    for name, value in source["actor_state_dict"].items():
        if name.startswith(("mlp", "obs_normalizer._")):
            torch.testing.assert_close(taken[name], value, rtol=1e-4, atol=1e-5)
    before = [value.clone() for value in runner.alg.get_policy().mlp.parameters()]
    critic = [value.clone() for value in runner.alg.critic.parameters()]
    runner.learn_samples(2 * setup.ppo.num_steps_per_env * setup.env.num_envs)
    assert all(torch.equal(a, b) for a, b in zip(before, runner.alg.get_policy().mlp.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(critic, runner.alg.critic.parameters(), strict=True))
    again = make_runner(setup, make_env(setup.env))
    again.load(str(newest_checkpoint(setup.run)))
    again.learn_samples(4 * setup.ppo.num_steps_per_env * setup.env.num_envs)
    assert all(torch.equal(a, b) for a, b in zip(before, again.alg.get_policy().mlp.parameters(), strict=True))


@pytest.mark.parametrize("exported", [False, True])
def test_a_policy_goes_on_from_another_by_small_steps_first(trained, tmp_path, exported):
    """A finished policy fell from climbing nearly always to one time in six within 1.2 M samples."""
    start = newest_checkpoint(trained)
    if exported:
        start = tmp_path / "policy.onnx"
        export(ExportConfig(newest_checkpoint(trained), start))
    setup = config(tmp_path / "go_on", init=start)
    runner = make_runner(setup, make_env(setup.env))
    runner.start_from(start, None, action_std=0.1)
    before = torch.cat([value.flatten() for value in runner.alg.get_policy().mlp.parameters()]).clone()
    runner._critic_only = min(runner._critic_only, 1)  # the critic's time alone is shortened
    runner.learn_samples((1 + exported) * setup.ppo.num_steps_per_env * setup.env.num_envs)
    after = torch.cat([value.flatten() for value in runner.alg.get_policy().mlp.parameters()])
    assert 0.0 < (after - before).abs().max() < 1e-3, "16 steps of 1e-5 and a little more"


def test_a_start_from_what_is_no_exported_policy_is_refused(trained, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    setup = config(tmp_path / "go_on", init=broken)
    with pytest.raises(ValueError, match=r"broken\.onnx is not a policy"):
        run(setup)
    assert not setup.run.exists(), "a refused start leaves no folder behind"
