import pytest

import models
from benchmarks import commands
from cli import bench_commands


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
    (walk,) = commands.walks(robot, models.path(robot), ["multi.onnx"], count=0, seed=0)
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
