"""Field adaptation: read the log of a walk, judge it, find the robot's context in it, and report."""

from calibration.errors import RefusedError
from calibration.read import Topics
from calibration.routine import Result, find, run

__all__ = ["RefusedError", "Result", "Topics", "find", "run"]
