import numpy as np
import pytest

import models
import robots
from benchmarks import commands
from cli import bench_commands
from deploy.context import load_bank
from sim.factors import RobotFactors


def row(command="back", done=(-0.3, 0.0, 0.0), seed=0, policy="vanilla", fault=""):
    return {
        "policy": policy,
        "seed": seed,
        "command": command,
        "asked": list(commands.COMMANDS[command]),
        "done": done and list(done),
        "fault": fault,
    }


def test_a_share_is_of_the_way_that_was_commanded():
    assert commands.share(row()) == pytest.approx(0.5)
    assert commands.share(row(done=(0.6, 0.0, 0.0))) == pytest.approx(-1.0)
    assert commands.share(row("back and right", (-0.4, 0.0, 0.0))) == pytest.approx(0.64)
    assert commands.share(row("turning left", (0.3, 0.3, 0.5))) == pytest.approx(0.5)
    assert commands.share(row("standing", (0.0, 0.0, 0.0))) == commands.share(row(done=None)) == 0.0


def test_the_table_counts_robots_that_fell_before_a_command_as_not_following_it():
    rows = [row(), row(seed=1, done=(-0.1, 0.0, 0.0)), row("ahead", None, seed=2, fault="tipped over")]
    table = commands.markdown({"robots": 2, "rows": rows})
    assert "| back (-0.6, 0, 0) | -0.2, 0, 0; 1 of 3 |" in table
    assert "| ahead (0.8, 0, 0) | — |" in table and "Faults: vanilla 1." in table


def test_a_folder_without_policies_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no policy in .*: give --models a folder of policies"):
        bench_commands.main(["--models", str(tmp_path)])
    with pytest.raises(FileNotFoundError, match=r"there is no other\.onnx in "):
        bench_commands.main(["--policies", "other.onnx"])


SLUGGISH = {("go1", "slowly back"): 0.3}  # how far it goes at least of what is asked; a limit told in its README


@pytest.mark.parametrize("robot", ["go1", "go2"])
def test_shipped_policies_follow_commands_in_every_direction(robot):
    walk, adapted = commands.walks(robot, models.path(robot), ["multi.onnx"], count=0, seed=0)
    assert (walk.name, adapted.name) == ("multi", "multi, adapted")
    rows = commands.follow(walk)
    assert [r["command"] for r in rows] == list(commands.COMMANDS) and not any(r["fault"] for r in rows)
    told = [row for row in rows if any(row["asked"])]
    slow = {
        row["command"]: commands.share(row)
        for row in told
        if commands.share(row) <= SLUGGISH.get((robot, row["command"]), commands.GOES)
    }
    assert len(told) == len(commands.COMMANDS) - 1 and not slow
    assert abs(rows[-1]["done"][0]) < 0.05, "a robot that is told to stand stands"


def test_a_policy_on_contexts_is_told_the_one_that_the_robot_walked_for(monkeypatch):
    monkeypatch.setattr(commands, "COMMANDS", {"standing": commands.COMMANDS["standing"]})
    soft = commands.Walk("go1", models.path("go1"), "multi.onnx", RobotFactors(kp_scale=0.7), seed=3, adapted=True)
    told = []
    made = commands.controller
    monkeypatch.setattr(commands, "controller", lambda *words: told.append(words[3]) or made(*words))
    (found,) = commands.follow(soft)
    assert found["policy"] == "multi, adapted" and not found["fault"]
    nominal = load_bank(models.path("go1") / "bank.safetensors", robots.load("go1")).nominal_robot
    assert np.linalg.norm(told[0].values - nominal) > 0.1


def test_a_robot_that_falls_while_it_calibrates_has_fallen():
    limp = RobotFactors(payload=3.0, kp_scale=0.3)
    (lost,) = commands.follow(commands.Walk("go1", models.path("go1"), "multi.onnx", limp, seed=0, adapted=True))
    assert lost["fault"].startswith("the robot faulted while calibrating") and lost["done"] is None


def test_falls_are_counted_by_policy_over_training_seeds():
    one = {"robots": 1, "rows": [row(), row("ahead", None, seed=1, fault="tipped over"), row(policy="multi, adapted")]}
    table = commands.fallen([one, {"robots": 1, "rows": [row(), row(policy="multi, adapted")]}])
    assert "| vanilla | 1 of 2 | 0 of 2 | 25 (5–70) |" in table
    assert "| multi, adapted | 0 of 2 | 0 of 2 | 0 (0–49) |" in table
    alone = commands.fallen([one])
    assert "|  | fell | percent |" in alone and "| vanilla | 1 of 2 | 50 (9–91) |" in alone
