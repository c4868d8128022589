"""legged_gym's configurations become ours, and what does not is named."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rsl_rl")
pytest.importorskip("yaml")

from cli.main import main
from policy import config_file
from policy.config import PolicyConfig
from policy.foreign import legged_gym, legged_gym_file

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "go1_legged_gym.py"
HEAD = "from legged_gym.envs import LeggedRobotCfg, LeggedRobotCfgPPO\n"
GO1 = "    class asset(LeggedRobotCfg.asset):\n        file = 'robots/go1.urdf'\n"


def write(folder, text):
    path = folder / "task.py"
    path.write_text(HEAD + text)
    return path


def translated(folder, body):
    """Return the translation of a configuration of a Go1 whose class has this body."""
    return legged_gym.translate(write(folder, f"class Go1Cfg(LeggedRobotCfg):\n{GO1}{body}"))


def test_the_example_of_the_documentation_trains_what_it_says():
    made = legged_gym.translate(EXAMPLE)
    config = config_file.fill(PolicyConfig(), made.config)
    env, ppo = config.env, config.ppo
    assert (env.robot, env.num_envs, config.samples) == ("go1", 2048, 1000 * 24 * 2048)
    assert {kind: share for kind, share in env.terrain.shares.items() if share} == {
        "slope": 0.1,
        "slope_inv": 0.1,
        "pyramid_stairs_inv": 0.4,
        "pyramid_stairs": 0.2,
        "blocks": 0.2,
    }
    assert env.terrain.start_level == 2
    assert env.nuisances.friction == (0.625, 1.25)  # the mean with the ground's 1.0
    assert env.commands.sideways == (-0.5, 0.5) and env.commands.forward == (
        -1.0,
        1.0,
    )  # the latter a default of theirs
    assert (env.push_period_s, env.push_speed, env.factors) == (15.0, 1.0, "wide")
    assert (env.rewards.tracking_lin_vel, env.rewards.torques, env.rewards.dof_pos_limits) == (2.0, -0.0002, -10.0)
    assert env.rewards.hip_pos == 0.0  # ours, which legged_gym does not have
    assert (ppo.entropy_coef, ppo.num_learning_epochs, ppo.hidden_dims) == (0.005, 5, (512, 256, 128))
    left = dict(made.left)
    assert set(left) == {
        "domain_rand.randomize_base_mass",
        "domain_rand.added_mass_range",
        "rewards.scales.feet_stumble",
        "control.stiffness",
        "control.damping",
        "env.num_observations",
        "init_state.pos",
        "rewards.soft_dof_pos_limit",
        "rewards.base_height_target",
    }
    assert "30" in left["control.stiffness"] and "asset.self_collisions" in made.carried


def test_every_field_that_a_file_sets_is_either_carried_over_or_named():
    made, file = legged_gym.translate(EXAMPLE), legged_gym_file.read(EXAMPLE)
    given = {path for section in (file.robot[1], file.learner[1]) for path, _, mine in section.leaves() if mine}
    assert given == set(made.carried) | {path for path, _ in made.left}
    assert not set(made.carried) & {path for path, _ in made.left}


def test_names_arithmetic_and_inheritance_in_the_file_are_followed_and_nothing_is_run(tmp_path):
    text = (
        f"KP = 20.\nopen({str(tmp_path / 'ran')!r}, 'w')\n"
        "class BaseCfg(LeggedRobotCfg):\n"
        f"{GO1}"
        "    class env(LeggedRobotCfg.env):\n        num_envs = 2**10\n        episode_length_s = num_envs / 64\n"
        "class Go1Cfg(BaseCfg):\n"
        "    class env(BaseCfg.env):\n        num_envs = BaseCfg.env.num_envs + 1\n"
        "    class noise:\n        add_noise = False\n"
        "    class commands(LeggedRobotCfg.commands):\n        resampling_time = float('5')\n"
    )
    made = legged_gym.translate(write(tmp_path, text))
    assert not (tmp_path / "ran").exists()
    assert made.name == "Go1Cfg" and made.config["env"]["num_envs"] == 1025
    assert made.config["env"]["episode_length_s"] == 16
    assert dict(made.left)["commands.resampling_time"] == "`float('5')` would have to be run"
    assert "noise" not in made.config["env"]  # a class without a base hides legged_gym's, as in Python


def test_a_plane_has_no_curriculum_of_kinds_and_equal_gains_are_carried(tmp_path):
    body = (
        "    class terrain(LeggedRobotCfg.terrain):\n        mesh_type = 'plane'\n        terrain_proportions = [1.0]\n"
        "    class control(LeggedRobotCfg.control):\n        stiffness = {'hip': 30., 'thigh': 30., 'calf': 30.}\n"
        "        damping = {'joint': 0.8}\n        action_scale = 0.25\n        decimation = 5\n"
        "    class normalization(LeggedRobotCfg.normalization):\n        class obs_scales:\n            ang_vel = 0.5\n"
        "    class domain_rand(LeggedRobotCfg.domain_rand):\n        push_robots = False\n        wind = 3\n"
    )
    made = translated(tmp_path, body)
    shares = made.config["env"]["terrain"]["shares"]
    assert [kind for kind, share in shares.items() if share] == ["flat"] and made.config["env"]["push_speed"] == 0.0
    assert {"control.stiffness", "control.damping", "control.action_scale"} <= set(made.carried)
    left = dict(made.left)
    assert left["terrain.terrain_proportions"] == "the ground is a plane"
    assert "0.02 s a period" in left["control.decimation"]
    assert "legged_gym scales them by default" in left["normalization.obs_scales.ang_vel"]
    assert left["domain_rand.wind"] == "there is no such thing here"


RANGES = (
    "        restitution_range = [0.0, 0.4]\n        motor_strength_range = [0.9, 1.1]\n"
    "        motor_offset_range = [-0.02, 0.02]\n        friction_range = [0.5, 1.5]\n"
)


@pytest.mark.parametrize(
    ("flag", "bounce", "expected"),
    [
        (None, 0.0, {"friction": [0.75, 1.25], "restitution": [0.0, 0.2]}),
        (True, 0.5, {"friction": [0.75, 1.25], "restitution": [0.25, 0.45]}),
        (False, 0.5, {"friction": [1.0, 1.0], "restitution": [0.25, 0.25]}),
        (False, 0.0, {"friction": [1.0, 1.0]}),
    ],
)
def test_ranges_are_carried_over_where_their_flags_are_set_and_surfaces_as_the_mean(tmp_path, flag, bounce, expected):
    names = ("friction", "restitution", "motor_strength", "motor_offset")
    flags = "" if flag is None else "".join(f"        randomize_{name} = {flag}\n" for name in names)
    body = (
        f"    class terrain(LeggedRobotCfg.terrain):\n        restitution = {bounce}\n"
        f"    class domain_rand(LeggedRobotCfg.domain_rand):\n{RANGES}{flags}"
    )
    made = translated(tmp_path, body)
    motors = {} if flag is False else {"motor_strength": [0.9, 1.1], "joint_offset": [-0.02, 0.02]}
    nuisances = made.config["env"]["nuisances"]
    assert {name: pytest.approx(span) for name, span in {**expected, **motors}.items()} == nuisances
    assert not made.left


def test_a_flag_without_a_range_is_named(tmp_path):
    body = "    class domain_rand(LeggedRobotCfg.domain_rand):\n        randomize_motor_strength = True\n"
    made = translated(tmp_path, body)
    assert made.left == [("domain_rand.randomize_motor_strength", "the file gives no range")]


def test_a_base_class_elsewhere_is_named_and_legged_gyms_defaults_stand_in(tmp_path):
    text = f"class Go1Cfg(A1RoughCfg):\n{GO1}    class env(A1RoughCfg.env):\n        episode_length_s = 10\n"
    made = legged_gym.translate(write(tmp_path, text))
    assert made.left == [("Go1Cfg", "its base class A1RoughCfg is neither in the file nor known: paste it in")]
    assert made.config["env"]["num_envs"] == 4096 and made.config["env"]["episode_length_s"] == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class X:\n    pass\n", "has no subclass of LeggedRobotCfg"),
        ("class X(\n", "is not Python"),
        ("class A(LeggedRobotCfg):\n    pass\nclass B(LeggedRobotCfg):\n    pass\n", "choose with --name one of A, B"),
        ("class A(LeggedRobotCfg):\n    pass\n", r"which robot it is for \(asset.file\): give --robot"),
        (
            f"class A(LeggedRobotCfg):\n{GO1}    class env:\n        num_envs = 'many'\n",
            "'env.num_envs' is 'many', expected int",
        ),
        (
            f"class A(LeggedRobotCfg):\n{GO1}    class noise(LeggedRobotCfg.noise):\n        noise_level = 'x'\n",
            "says of 'noise' is not what",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        legged_gym.translate(write(tmp_path, text))


def test_the_command_writes_a_file_that_training_takes(tmp_path, capsys):
    out = tmp_path / "go1.yaml"
    assert main(["import-legged-gym", str(EXAMPLE), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "not carried over, 9:" in shown and f"dmcm train policy --config {out}" in shown
    assert (
        out.read_text().startswith("# Go1RoughCfg of go1_legged_gym.py") and "# control.stiffness: " in out.read_text()
    )
    assert config_file.read(out).env.num_envs == 2048
    assert main(["import-legged-gym", str(tmp_path / "no.py"), "--out", str(out)]) == 1
    assert "no configuration at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env: {numenvs: 3}", "unknown field 'env.numenvs': known are robot"),
        ("env: 3", "'env' should hold fields"),
        ("ppo: {schedule: sometimes}", "'ppo.schedule' is 'sometimes', expected adaptive or fixed"),
        ("env: {commands: {forward: [1]}}", "'env.commands.forward' is"),
        ("samples: true", "'samples' is True, expected float"),
        ("samples: many", "'samples' is 'many', expected float"),
        ("samples: inf", "'samples' is 'inf', expected float"),
        ("a: [", "is not YAML or JSON"),
    ],
)
def test_a_wrong_configuration_names_its_field(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        config_file.read(path)


def test_what_a_run_writes_of_its_configuration_is_one_for_another_run(tmp_path):
    path = tmp_path / "config.json"
    for resume in (False, True):
        path.write_text(json.dumps({**asdict(PolicyConfig(resume=resume)), "origin": None}, indent=1, default=str))
        assert config_file.read(path) == PolicyConfig()


def test_numbers_may_be_written_with_an_exponent_and_no_point(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("samples: 3e6\naction_std: 1e-1\nenv:\n  rewards:\n    torques: -1e-5\n")
    config = config_file.read(path)
    assert (config.samples, config.action_std, config.env.rewards.torques) == (3e6, 0.1, -1e-5)


def test_a_configuration_file_gives_defaults_that_options_override(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("policy.train.run", lambda config, origin: seen.append(config) or tmp_path / "model_1.pt")
    monkeypatch.setattr("policy.runs.read", lambda path: SimpleNamespace(finished=True))
    path = tmp_path / "config.json"
    path.write_text('{"seed": 4, "env": {"num_envs": 64, "isaacgym_python": null}, "bank": "a", "origin": null}')
    assert main(["train", "policy", "--config", str(path), "--env.num-envs", "32"]) == 0
    assert (seen[0].seed, seen[0].env.num_envs, seen[0].bank) == (4, 32, Path("a"))
    assert main(["train", "policy"]) == 0 and seen[1] == PolicyConfig()
