import pytest

pytest.importorskip("rsl_rl")
import torch

from benchmarks.parity_report import table
from policy.parity import GROUNDS, TOLERANCES, ParityConfig, compare, measure, rows
from sim.terrain import name


def found(speed=0.6, torque=4.0, falls=0.0, air_error=0.0, sag=0.0):
    grounds = {name(*ground): {"speed": speed, "torque": torque, "falls": falls} for ground in GROUNDS}
    way = torch.linspace(0.0, 1.0, 20)[:, None, None].repeat(1, 3, 12)
    way[:, 1] += air_error
    return {"air": way, "height": torch.full((3,), 0.28) - torch.tensor([0.0, 0.0, sag]), **grounds}


def failing(**changes):
    return [row["check"] for row in rows(found(), found(**changes)) if not row["pass"]]


def test_the_same_passes_and_every_difference_fails_its_own_row():
    assert failing() == []
    assert failing(air_error=2 * TOLERANCES["air"][0]) == ["joints in the air, rms, worst robot"]
    assert failing(sag=0.006) == ["standing height, worst robot"]
    grounds = [name(*ground) for ground in GROUNDS]
    assert failing(speed=0.5) == [f"{ground}: speed" for ground in grounds]
    assert failing(torque=4.5) == [f"{ground}: torque" for ground in grounds]
    assert failing(falls=2.0) == [f"{ground}: falls" for ground in grounds]
    assert failing(falls=1.0, torque=4.3, speed=0.55, air_error=0.005) == []


@pytest.mark.parametrize("sims", [("mujoco",), ("mujoco", "mujoco")])
def test_a_comparison_needs_two_simulators(sims):
    with pytest.raises(ValueError, match="two or more different simulators"):
        compare(ParityConfig(sims=sims))


def test_the_table_names_what_failed():
    pair = rows(found(), found(speed=0.3))
    figures = {"reference": "mujoco", "pairs": {"other": {"rows": pair}}}
    text = table({**figures, "robot": "go1", "num_envs": 3, "seconds": 5.0, "command_ms": 0.6})
    assert "| flat: speed, m/s | 0.6 | 0.3 | 0.3 | 0.06 | **fail** |" in text and text.count("**fail**") == len(GROUNDS)


def test_a_simulator_is_measured():
    config = ParityConfig(num_envs=3, seconds=1.2)
    measured = measure(config, "mujoco")
    assert measured["air"].shape == (50, 3, 12) and measured["air"].std(dim=0).min() > 0.02
    assert measured["height"].min() > 0.25 and measured["height"][0] != measured["height"][1]
    walks = [measured[name(*ground)] for ground in GROUNDS]
    assert all(walk["speed"] > 0.3 and 1.0 < walk["torque"] < 10.0 and walk["falls"] == 0.0 for walk in walks)
    assert all(row["pass"] and row["difference"] == 0.0 for row in rows(measured, measured))
