"""What policies see besides one frame: in training, in the exported file, and on the robot."""

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch

from deploy.context import ContextBank, ContextError, RobotContext, load_bank
from deploy.controller import Controller, ControllerConfig
from deploy.load import load_controller
from deploy.policy import OnnxPolicy, PolicyError
from policy import checkpoint, inference
from policy.contexts import contexts_for
from policy.export import FARTHEST, ExportConfig, export
from policy.train import make_env, make_runner, newest_checkpoint, run
from robots import observation
from sim import truth
from sim.factors import FACTOR_NAMES, NARROW, RobotFactors
from sim.terrain import LEVELS
from tests.helpers_policy import SPEC, config, make_bank

FRAME = observation.size(observation.PROPRIOCEPTION)
MODES = ("history", "single", "multi", "oracle")


@pytest.fixture(scope="module")
def vanilla(tmp_path_factory):
    """Return a checkpoint and an exported file of the same vanilla policy."""
    folder = tmp_path_factory.mktemp("vanilla")
    run(config(folder / "run"))
    export(ExportConfig(newest_checkpoint(folder / "run"), folder / "vanilla.onnx"))
    return newest_checkpoint(folder / "run"), folder / "vanilla.onnx"


@pytest.fixture(scope="module")
def product(vanilla, tmp_path_factory):
    """Return a function from a mode to its configuration and its exported file, after two iterations; made once."""
    made = {}

    def of(mode):
        if mode not in made:
            folder = tmp_path_factory.mktemp(mode)
            setup = setup_of(mode, folder)
            setup.init = vanilla[0]
            run(setup)
            export(ExportConfig(newest_checkpoint(setup.run), folder / "policy.onnx", mode=mode, bank=setup.bank))
            made[mode] = setup, folder / "policy.onnx"
        return made[mode]

    return of


def setup_of(mode, folder):
    bank = make_bank(folder / f"{mode}.safetensors", single=mode == "single") if mode in ("single", "multi") else None
    return config(folder / mode, mode=mode, bank=bank, history=4)


def make(setup):
    setup.env.history = setup.history if setup.mode == "history" else 1
    env = make_env(setup.env, contexts_for(setup))
    return env, make_runner(setup, env)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", [0, 1], ids=["checkpoint", "onnx"])
def test_every_mode_starts_as_the_vanilla_policy(vanilla, tmp_path, mode, source):
    setup = setup_of(mode, tmp_path)
    env, runner = make(setup)
    runner.start_from(vanilla[source], env.contexts)
    act = inference.load(vanilla[1], SPEC)
    for _ in range(3):
        obs = env.get_observations()
        assert torch.allclose(runner.alg.get_policy()(obs), act(obs), atol=2e-6)
        env.step(torch.randn(8, 12))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_exports_and_runs_on_the_robot_as_in_training(product, mode):
    setup, out = product(mode)
    env, runner = make(setup)
    runner.load(str(newest_checkpoint(setup.run)))
    runner.alg.eval_mode()
    act, obs = inference.load(out, SPEC), env.get_observations()
    assert torch.allclose(act(obs), runner.alg.get_policy()(obs).detach(), atol=1e-5)
    policy = OnnxPolicy.load(out, SPEC, simulated=True)
    assert policy.mode == mode and policy.history == (4 if mode == "history" else 1)
    sizes = {"history": (0, 0), "single": (16, 16), "multi": (8, 8), "oracle": (12, 6)}
    assert (policy.robot_context_size, policy.terrain_context_size) == sizes[mode]
    seen = obs["history" if mode == "history" else "proprioception"][0].numpy()
    found = policy(seen, obs["robot_context"][0].numpy(), obs["terrain_context"][0].numpy())
    assert np.allclose(found, act(obs)[0].numpy(), atol=1e-5)


def test_the_oracle_is_told_the_truth_in_training(product):
    env, _ = make(product("oracle")[0])
    told, true = env.robot_context, torch.as_tensor(truth.robot_contexts(env.factors.numpy())).float()
    assert torch.allclose(told, true, atol=1e-6)


def test_history_is_the_last_frames_and_starts_anew_with_every_episode(tmp_path):
    env, _ = make(setup_of("history", tmp_path))
    first = env.get_observations()
    assert torch.equal(first["history"], first["proprioception"].repeat(1, 4))
    env.step(torch.zeros(8, 12))
    second = env.get_observations()
    frames = second["history"].unflatten(1, (4, FRAME))
    assert torch.equal(frames[:, -1], second["proprioception"]) and torch.equal(frames[:, -2], first["proprioception"])
    env.episode_length_buf[3] = env.max_episode_length
    env.step(torch.zeros(8, 12))
    third = env.get_observations()
    frames = third["history"].unflatten(1, (4, FRAME))
    assert torch.equal(frames[3], third["proprioception"][3].expand(4, -1))
    assert torch.equal(frames[4, -2], second["proprioception"][4])


def test_a_single_context_is_of_the_robot_on_its_terrain(tmp_path):
    setup = setup_of("single", tmp_path)
    setup.env.context_noise = setup.env.context_dropout = 0.0
    env, _ = make(setup)
    for i, (kind, level) in enumerate(zip(env.curriculum.kind, env.curriculum.level, strict=True)):
        row = np.abs(env.contexts.robot_factors - env.factors[i].numpy()).sum(axis=1).argmin()
        assert np.allclose(env.robot_context[i], env.contexts.robot_contexts[row, int(kind), int(level)], atol=1e-6)
    assert not env.terrain_context.any()


def test_on_the_robot_a_single_context_is_the_flat_one_and_what_the_terrain_adds(product):
    setup, out = product("single")
    policy, bank = OnnxPolicy.load(out, SPEC), load_bank(setup.bank, SPEC)
    seen, robot, added = np.full(FRAME, 0.1), bank.robot_contexts[0], bank.terrain("stairs_13cm")
    assert np.allclose(policy(seen, robot, added), policy(seen, robot + added, np.zeros(16)), atol=1e-5)
    made = Controller(SPEC, policy, bank=bank, config=ControllerConfig(command_dt=0.005))
    made.set_context(RobotContext(robot, bank.dynamics_digest))
    made.set_terrain("stairs_13cm")


@pytest.mark.parametrize("mode", ["single", "multi"])
def test_a_robot_unlike_any_in_training_is_taken_for_the_farthest_that_way(product, mode):
    setup, out = product(mode)
    policy, actor = OnnxPolicy.load(out, SPEC), checkpoint.read(setup.run)["actor_state_dict"]
    size = policy.robot_context_size
    told = slice(FRAME, FRAME + size)
    mean, spread = (actor[f"obs_normalizer.{name}"][0, told].numpy() for name in ("_mean", "_std"))
    way = np.random.default_rng(0).standard_normal(size)
    way *= (spread + 1e-2) * FARTHEST * size**0.5 / np.linalg.norm(way)

    def action(part):
        return policy(np.full(FRAME, 0.1), mean + part * way, np.zeros(policy.terrain_context_size))

    assert np.allclose(action(3.0), action(1.0), atol=1e-6) and np.allclose(action(30.0), action(1.0), atol=1e-6)
    assert not np.allclose(action(0.9), action(1.0), atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_dropout_gives_the_nominal_robots_context_and_leaves_the_terrains(tmp_path, dropout):
    setup = setup_of("multi", tmp_path)
    setup.env.context_noise, setup.env.context_dropout = 0.0, dropout
    env, _ = make(setup)
    nominal = torch.from_numpy(env.contexts.nominal_robot).float()
    assert bool((env.robot_context == nominal).all(dim=1).all()) == bool(dropout)
    tile = env.contexts.terrain_contexts[env.curriculum.kind.numpy(), env.curriculum.level.numpy()]
    assert np.allclose(env.terrain_context, tile, atol=1e-6)


def test_the_oracle_sees_the_true_factors_in_training(tmp_path):
    setup = setup_of("oracle", tmp_path)
    setup.env.context_noise = setup.env.context_dropout = 0.0
    env, _ = make(setup)
    assert np.allclose(env.robot_context, truth.robot_contexts(env.factors.numpy()), atol=1e-6)


def test_the_oracle_is_refused_on_a_robot_and_takes_the_truth_in_simulation(product, tmp_path):
    path = product("oracle")[1]
    with pytest.raises(PolicyError, match="only a simulation knows"):
        load_controller(SPEC, path.parent, path.name)
    policy = OnnxPolicy.load(path, SPEC, simulated=True)
    with pytest.raises(ContextError):
        Controller(SPEC, policy, bank=load_bank(make_bank(tmp_path / "bank.safetensors"), SPEC))
    known = truth.robot_contexts(RobotFactors(payload=1.5).as_array()[None])
    ground = np.array([truth.terrain_context("flat", 0), truth.terrain_context("stairs", 5)])
    names = tuple(FACTOR_NAMES)
    bank = ContextBank("truth", truth.DIGEST, ("flat", "stairs"), ground, known, known, names, names, np.zeros(12))
    Controller(SPEC, policy, bank=bank, config=ControllerConfig(command_dt=0.005)).set_terrain("stairs")


def test_true_contexts_are_zero_for_the_nominal_robot_and_bounded_in_the_ranges():
    assert not truth.robot_contexts(RobotFactors().as_array()[None]).any()
    drawn = truth.robot_contexts(NARROW.sample(np.random.default_rng(0), 200))
    assert drawn.shape == (200, len(FACTOR_NAMES)) and np.abs(drawn).max() <= 1.0
    kinds = np.array([truth.terrain_context(kind, LEVELS - 1) for kind in truth.BASIC])
    assert np.array_equal(kinds[:, :-1], np.eye(len(truth.BASIC))) and kinds[truth.BASIC.index("stairs"), -1] == 1.0


@pytest.mark.parametrize(
    ("mode", "single", "words"), [("multi", True, "two contexts"), ("single", False, "one context")]
)
def test_a_bank_of_the_other_kind_is_refused(tmp_path, mode, single, words):
    bank = make_bank(tmp_path / "bank.safetensors", single=single)
    with pytest.raises(ValueError, match=words):
        run(config(tmp_path / "run", mode=mode, bank=bank))


def test_a_history_of_one_frame_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 2 frames"):
        run(config(tmp_path / "run", mode="history", history=1))
