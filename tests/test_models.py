from pathlib import Path

import pytest

import models


def test_path_of_a_shipped_robot():
    assert models.path("go1").is_dir()


@pytest.mark.parametrize("robot", ["go9", "", "..", "__pycache__x", "../models/go1"])
def test_a_robot_without_models_is_refused(robot):
    with pytest.raises(FileNotFoundError, match="go1"):
        models.path(robot)


SHIPPED = sorted(Path(models.__file__).parent.glob("*/*.onnx"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_shipped_file_tells_no_path_of_the_machine_that_made_it(path):
    assert b"stack_trace" not in path.read_bytes()
