import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch
from safetensors import safe_open

import robots
from dynamics_model.dataset import digest
from sim import datacard
from sim.collect import SIGNALS, CollectConfig, collect, draw_robots
from sim.factors import NARROW, RobotFactors, TerrainFactors
from tests.helpers_factors import within


def still(observations):
    return torch.zeros(observations.batch_size[0], 12)


@pytest.fixture
def config(tmp_path):
    policy = tmp_path / "policy.onnx"
    policy.write_bytes(b"stands in for a file to hash")
    terrains = (TerrainFactors("flat"), TerrainFactors("stairs", 2))
    return CollectConfig(
        policy=policy, out=tmp_path / "data", num_robots=3, seconds=0.4, batch=4, threads=1, terrains=terrains
    )


def test_every_task_gets_a_file_with_all_signals(config):
    assert [done for done, _, _ in collect(config, still)] == [4, 6]
    files = sorted(config.out.glob("*.safetensors"))
    assert len(files) == 6 and not list(config.out.glob("*.partial"))
    seen = set()
    for path in files:
        with safe_open(path, framework="np") as file:
            meta = json.loads(file.metadata()["dmcm"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}
        seen.add((meta["robot_id"], meta["terrain"]["name"]))
        assert meta["robot_digest"] == robots.load("go1").digest() and len(meta["policy_sha256"]) == 64
        assert {key: value.shape for key, value in arrays.items()} == {
            **{key: (20, size) for key, size in SIGNALS.items()},
            "segment": (20,),
        }
        assert all(np.isfinite(value).all() for value in arrays.values())
    assert seen == {(robot, terrain) for robot in range(3) for terrain in ("flat", "stairs_7cm")}


def test_finished_tasks_are_kept(config):
    list(collect(config, still))
    files = sorted(config.out.glob("*.safetensors"))
    files[2].unlink()
    before = {path: path.stat().st_mtime_ns for path in files if path != files[2]}
    assert [done for done, _, _ in collect(config, still)] == [6]
    assert files[2].exists() and all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize(
    "changes", [{"seed": 2}, {"exploration": 0.0}, {"fine": False}, {"seconds": 0.6}, {"num_robots": 4}]
)
def test_a_folder_of_other_settings_is_not_added_to(config, changes):
    list(collect(config, still))
    (config.out / "task_00001.safetensors").unlink()
    before = {path.name for path in config.out.iterdir()}
    differ = {"num_robots": "robot_id|terrain_id|robot_factors", "fine": "physics"}.get(*changes, next(iter(changes)))
    with pytest.raises(ValueError, match=rf"was collected with another .*({differ}).*: give another --out"):
        list(collect(dataclasses.replace(config, **changes), still))
    assert {path.name for path in config.out.iterdir()} == before


def test_a_damaged_task_is_said(config):
    list(collect(config, still))
    path = config.out / "task_00000.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"task_00000.safetensors is damaged: remove it"):
        list(collect(config, still))


def test_consecutive_frames_of_a_segment_obey_the_simulators_dynamics(config):
    list(collect(config, still))
    with safe_open(sorted(config.out.glob("*.safetensors"))[0], framework="np") as file:
        position, velocity = file.get_tensor("joint_position"), file.get_tensor("joint_velocity")
    predicted = position[:-1] + 0.01 * (velocity[:-1] + velocity[1:])
    assert np.abs(predicted - position[1:])[5:].max() < 0.02


def test_the_first_robot_is_nominal_and_half_are_in_the_narrow_range():
    values = draw_robots(100, 0)
    assert np.array_equal(values[0], RobotFactors().as_array())
    assert 0.5 <= within(NARROW, values).mean() <= 0.65


def test_the_card_says_what_there_is(config):
    list(collect(config, still))
    card = datacard.describe(config.out)
    assert (card["tasks"], card["robots"], card["transitions"]) == (6, 3, 120) and len(card["hash"]) == 64
    assert set(card["falls_per_minute"]) == {"flat", "stairs_7cm"} and card["factors"]["kp_scale"][-1] >= 1.0
    assert card["hash"][:16] in datacard.text(card) and card["hash"] == digest(config.out)
    next(config.out.glob("*.safetensors")).unlink()
    assert datacard.describe(config.out)["hash"] != card["hash"]
