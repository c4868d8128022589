"""The hands on a simulation, without a browser."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

import models
from sim.factors import FACTOR_NAMES
from viewer.hands import NOMINAL
from viewer.simulation import Simulation, SimulationConfig, find_agent


@pytest.fixture(scope="module")
def simulation():
    from viewer.server import close, open_page

    server = open_page("127.0.0.1", 0, "test")
    yield Simulation(server, SimulationConfig(robots=2, terrain="flat", level=0))
    close(server)


def _factor(simulation, name):
    return simulation.env.factors[:, FACTOR_NAMES.index(name)].numpy()


def _run(simulation, steps):
    for _ in range(steps):
        simulation.apply(simulation.hands.read())
        simulation.step()
    simulation.show()
    simulation.draw(True)


def test_sliders_act_while_it_walks(simulation):
    hands = simulation.hands
    _run(simulation, 5)
    before = simulation.env.sim.root_position.numpy().copy()
    hands._factors["payload"].value, hands._command[0].value = 2.0, 0.6
    hands._weak.value, hands._strength.value = "FR", 0.5
    _run(simulation, 60)
    np.testing.assert_allclose(_factor(simulation, "payload"), 2.0)
    np.testing.assert_allclose(_factor(simulation, "weak_leg_fr"), 0.5)
    assert np.linalg.norm(simulation.env.sim.root_position.numpy() - before, axis=1).min() > 0.2
    assert simulation.env.episode_length_buf.min() >= 60  # nobody started again
    np.testing.assert_allclose(simulation.env.command.numpy(), [[0.6, 0.0, 0.0]] * 2, atol=1e-6)
    assert simulation._recent.track()["velocity"][-1, 0] > 0.2


def test_a_slider_acts_on_the_chosen_robot_alone(simulation):
    hands = simulation.hands
    hands._chosen.value, hands._factors["kp_scale"].value = "robot 2", 0.7
    _run(simulation, 2)
    np.testing.assert_allclose(_factor(simulation, "kp_scale"), [1.0, 0.7], rtol=1e-6)
    assert hands.robot == 1
    hands._chosen.value = "all"
    _run(simulation, 2)
    np.testing.assert_allclose(_factor(simulation, "kp_scale"), [1.0, 0.7], rtol=1e-6)


def test_a_push_pushes_once(simulation):
    hands = simulation.hands
    hands._push_speed.value = 1.5
    hands._count_up("_pushes")
    assert hands.read().push == 1.5
    assert hands.read().push == 0.0
    hands._count_up("_pushes")
    before = simulation.env.sim._qvel[:, :2].copy()
    simulation.apply(hands.read())
    np.testing.assert_allclose(np.linalg.norm(simulation.env.sim._qvel[:, :2] - before, axis=1), 1.5, rtol=1e-5)


def test_the_context_follows_the_robot_or_stays_nominal(simulation):
    bank = simulation._knowledge.bank
    _run(simulation, 1)
    own = simulation.env.robot_context.numpy().copy()
    assert not np.allclose(own[0], bank.nominal_robot, atol=1e-4)
    simulation.hands._context.value = NOMINAL
    _run(simulation, 1)
    np.testing.assert_allclose(simulation.env.robot_context[0].numpy(), bank.nominal_robot, atol=1e-5)


def test_another_terrain_keeps_the_condition(simulation):
    simulation.hands._terrain.value, simulation.hands._level.value = "rough", 2
    _run(simulation, 2)
    assert simulation.config.terrain == "rough"
    np.testing.assert_allclose(_factor(simulation, "payload"), 2.0)


def test_bad_wishes_are_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no policy at nowhere.onnx: give an ONNX file, or one of zero"):
        find_agent("nowhere.onnx", "go1", models.folder("go1"))
    with pytest.raises(ValueError, match="is a policy for robot 'go1', not 'go2'"):
        find_agent(str(Path("models/go1/vanilla.onnx").resolve()), "go2", models.folder("go2"))
    for wrong in ({"terrain": "moon"}, {"level": 99}, {"robots": 0}):
        with pytest.raises(ValueError):
            SimulationConfig(**wrong).check()
