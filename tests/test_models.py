import pytest

import models


def test_path_of_a_shipped_robot():
    assert models.path("go1").is_dir()


@pytest.mark.parametrize("robot", ["go9", "", "..", "__pycache__x", "../models/go1"])
def test_a_robot_without_models_is_refused(robot):
    with pytest.raises(FileNotFoundError, match="go1"):
        models.path(robot)
