"""What a robot did, a row for every period of the policy: what every chart is drawn from."""

from __future__ import annotations

from collections import deque

import numpy as np

from calibration.model import DynamicsModel
from calibration.resample import Samples
from robots.frame import FRAME_SIZE, STATE_SIZE
from robots.kinematics import projected_gravity
from robots.spec import RobotSpec

FIELDS = {
    "time": 1,  # s
    "position": 3,  # of the trunk in the world, m
    "quaternion": 4,
    "velocity": 3,  # base frame: forward m/s, left m/s, turning rad/s
    "command": 3,  # the same, as asked for
    "angular_velocity": 3,  # base frame, rad/s
    "joint_position": 12,  # rad
    "joint_velocity": 12,  # rad/s
    "joint_torque": 12,  # N m
    "target": 12,  # joint target, rad
    "contact": 4,  # whether a foot is down
    "walking": 1,  # whether a policy moves the robot
    "milliseconds": 1,  # what a turn of the loop took
}
_ENDS = np.cumsum(list(FIELDS.values()))
PLACE = {
    name: slice(int(end) - size, int(end)) for (name, size), end in zip(FIELDS.items(), _ENDS.tolist(), strict=True)
}
WIDTH = int(_ENDS[-1])


def pack(count: int, **values: np.ndarray | float) -> np.ndarray:
    """Return `count` rows of named values, each (count, size) or what broadcasts to it; what is not given is NaN."""
    rows = np.full((count, WIDTH), np.nan)
    for name, value in values.items():
        rows[:, PLACE[name]] = value if np.ndim(value) != 1 else np.reshape(value, (count, -1))
    return rows


class Track:
    """Rows in the order of time.

    Args:
        rows: (t, `WIDTH`).
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a named part, (t, size), or (t,) for what has one value."""
        part = self.rows[:, PLACE[name]]
        return part[:, 0] if FIELDS[name] == 1 else part

    def until(self, index: int, count: int) -> Track:
        """Return the `count` rows that end with row `index`."""
        return Track(self.rows[max(0, index + 1 - count) : index + 1])

    def at(self, time: float) -> int:
        """Return the row of a time, s: the last that is not later."""
        return int(np.clip(np.searchsorted(self["time"], time + 1e-9, side="right") - 1, 0, len(self) - 1))


class Recent:
    """The last rows of something that goes on.

    Args:
        count: how many are kept.
    """

    def __init__(self, count: int) -> None:
        self._rows: deque[np.ndarray] = deque(maxlen=count)

    def add(self, row: np.ndarray) -> None:
        """Take a row, (`WIDTH`,); a time before the last one's begins anew."""
        if self._rows and row[0] < self._rows[-1][0]:
            self._rows.clear()
        self._rows.append(row)

    def track(self) -> Track:
        """Return what is kept."""
        return Track(np.array(self._rows) if self._rows else np.zeros((0, WIDTH)))


def prediction_error(
    track: Track, spec: RobotSpec, model: DynamicsModel, robot: np.ndarray, terrain: np.ndarray
) -> np.ndarray:
    """Return the dynamics model's squared error of each step, as a share of the variance, (t,).

    NaN while no policy moves the robot, for the model knows only walking, and after an interruption.
    """
    errors, history = np.full(len(track), np.nan), model.history
    if len(track) <= history:
        return errors
    state = np.concatenate(
        [
            track["angular_velocity"],
            projected_gravity(track["quaternion"]),
            track["joint_position"] - spec.default_position,
            track["joint_velocity"],
        ],
        axis=1,
    )
    frames = np.concatenate([state, (track["target"] - spec.default_position) / spec.action_scale], axis=1)
    steady = np.abs(np.diff(track["time"]) - spec.control_dt) < 0.5 * spec.control_dt
    good = (track["walking"] > 0) & np.isfinite(frames).all(axis=1)
    newest = np.arange(history - 1, len(track) - 1)
    window = newest[:, None] + np.arange(1 - history, 2)
    newest = newest[good[window].all(axis=1) & steady[window[:, :-1]].all(axis=1)]
    if not len(newest):
        return errors
    past = frames[newest[:, None] + np.arange(1 - history, 1)].reshape(len(newest), history * FRAME_SIZE)
    change = state[newest + 1] - state[newest]
    assert change.shape[1] == STATE_SIZE
    samples = Samples(past.astype(np.float32), change.astype(np.float32), newest)
    errors[newest + 1] = model.error(samples, robot, terrain)
    return errors
