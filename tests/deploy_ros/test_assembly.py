"""From parameters to a controller, with a sentence for whatever does not fit."""

import numpy as np
import pytest
from deploy_ros import assembly, core
from deploy_ros.assembly import Settings

from deploy.context import RobotContext
from deploy.gains import Gains
from tests.deploy.fake_robot import FakeRobot
from tests.helpers_onnx import make_policy


def test_defaults_are_those_of_the_table():
    settings = Settings({})
    assert settings["robot"] == "go2" and settings.command_dt == 0.005 and settings.context() is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"robot": "go3"}, "parameter robot is 'go3': choose a1 or go1 or go2"),
        ({"driver": "sim"}, "choose topics or unitree_dds or unitree_udp"),
        ({"velocity_limit": [1.0]}, "velocity_limit needs 3 values, has 1"),
        ({"joy_axes": [1, 0]}, "joy_axes needs 3 values, has 2"),
    ],
)
def test_refuses_what_is_no_choice(values, said):
    with pytest.raises(ValueError, match=said):
        Settings(values)


def test_takes_the_best_policy_that_is_there_or_the_one_that_is_named(artifacts, tmp_path, spec):
    settings = Settings({"robot": "go1", "models": str(artifacts)})
    assert settings.policy() == artifacts / "multi.onnx"
    assert Settings({**settings, "policy": "vanilla"}).policy() == artifacts / "vanilla.onnx"
    own = make_policy(tmp_path / "own.onnx", spec)
    assert Settings({**settings, "policy": str(own)}).policy() == own
    with pytest.raises(FileNotFoundError, match="no file 'best', nor in"):
        Settings({**settings, "policy": "best"}).policy()
    with pytest.raises(FileNotFoundError, match="there is no folder /nowhere"):
        Settings({"models": "/nowhere"}).models()


def test_makes_a_controller_with_the_limits_and_the_terrain(artifacts):
    values = {"robot": "go1", "models": str(artifacts), "velocity_limit": [0.5, 0.1, 0.2], "terrain": "flat"}
    made = assembly.controller(Settings(values))
    assert made.state == "passive" and made.contexts.terrain_name == "flat"
    np.testing.assert_allclose(made.config.velocity_limit, [0.5, 0.1, 0.2])
    with pytest.raises(ValueError, match="give finite numbers above 0"):
        assembly.controller(Settings({**values, "acceleration_limit": [1.0, 0.0, 3.0]}))
    with pytest.raises(ValueError, match="unknown terrain"):
        assembly.controller(Settings({**values, "terrain": "the moon"}))
    with pytest.raises(FileNotFoundError, match=r"/nowhere/context\.json"):
        assembly.controller(Settings({**values, "context": "/nowhere/context.json"}))


def test_contexts_that_were_set_stay_with_the_next_controller(artifacts):
    settings = Settings({"robot": "go1", "models": str(artifacts)})
    before = assembly.controller(settings)
    bank = before.contexts.bank
    before.set_terrain(bank.terrains[-1])
    before.set_context(RobotContext(bank.nominal_robot, bank.dynamics_digest, digest="f0a2d", gains=Gains(1.2, 1.1)))
    kept, fresh = assembly.controller(settings, before), assembly.controller(settings)
    assert (kept.contexts.robot_source, kept.contexts.gains.kp) == ("f0a2d", 1.2)
    assert (kept.contexts.terrain_name, kept.state) == (bank.terrains[-1], "passive")
    assert (fresh.contexts.robot_source, fresh.contexts.terrain_name) == ("nominal", "flat")


def test_a_robot_without_models_stands_only(monkeypatch):
    def none(robot):
        raise FileNotFoundError

    monkeypatch.setattr(assembly.models, "path", none)
    settings = Settings({"robot": "go2"})
    made = assembly.controller(settings)
    checks = assembly.preflight(settings, driver=None)
    assert made.state == "passive" and [check.verdict for check in checks] == ["warn"]


def test_preflight_does_not_wait_for_the_states_of_a_robot_over_topics(artifacts, tmp_path):
    settings = Settings({"robot": "go1", "models": str(artifacts), "contexts": str(tmp_path / "contexts")})
    checks = assembly.preflight(settings, driver=None)
    assert "fail" not in [check.verdict for check in checks] and "robot" not in [check.name for check in checks]


class Silent(FakeRobot):
    """Has been silent when it was read last; answers the third command, or the third look at it."""

    looks, answers = 0, False

    def read(self):
        self.looks += 1
        spoken = len(self.commands) if self.answers else self.looks
        self.problem = None if spoken >= 3 else f"the robot is silent ({self.looks})"
        return super().read()

    def wait(self):
        pass


@pytest.mark.parametrize(
    ("driver", "answers", "commands", "problem"),
    [("unitree_udp", True, 3, None), ("topics", False, 0, None), ("topics", True, 0, "the robot is silent (40)")],
)
def test_a_robot_is_looked_at_afresh_and_commanded_only_if_it_needs_it(controller, driver, answers, commands, problem):
    settings, robot = Settings({"driver": driver}), Silent(controller.spec)
    robot.answers, robot.problem = answers, "the robot is silent"
    assert assembly.lasting_problem(settings, robot, controller) == problem
    assert len(robot.commands) == commands and not any(command.kp.any() for command in robot.commands)


def test_a_driver_is_of_its_robot():
    with pytest.raises(ValueError, match="driver 'unitree_dds' is of robot 'go2', not of 'go1'"):
        assembly.open_driver(Settings({"driver": "unitree_dds", "robot": "go1"}))


@pytest.mark.parametrize(("release", "silent"), [(True, False), (False, True)])
def test_a_go2_is_opened_as_the_parameters_say(monkeypatch, release, silent):
    monkeypatch.setattr("deploy.unitree.go2_dds.Go2Driver", lambda *given, **named: (given, named))
    chosen = {"driver": "unitree_dds", "interface": "eth0", "release_sport": release, "silent_rivals": silent}
    given, named = assembly.open_driver(Settings(chosen))
    assert given == ("eth0", 0, 0.005) and named == {"release_sport": release, "silent_rivals": silent}


def test_says_how_to_install_a_core_that_is_missing(monkeypatch):
    core.require("models")
    monkeypatch.setattr(core, "find_spec", lambda name: None)
    with pytest.raises(core.CoreMissingError, match="pip install PATH_TO_THE_REPOSITORY"):
        core.require()
