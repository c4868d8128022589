"""The ROS package's own modules on the path, and a controller made of small real artifacts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "ros2_ws" / "src" / "deploy"))

from tests.deploy.conftest import artifacts, controller, spec  # noqa: F401
