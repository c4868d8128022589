"""From raw time series to the policy's ticks: what the controller saw and what it asked for, every control period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.read import RawLog, Series
from deploy.gains import NOMINAL, Gains
from robots.frame import FRAME, FRAME_SIZE, STATE_SIZE
from robots.kinematics import projected_gravity
from robots.spec import RobotSpec

WALKING_STATES = ("calibrate", "walk")  # of the controller, best first
STALE = 1.5  # control periods after which a state no longer counts as the one that the controller saw
MOTION = 0.03  # rad: a joint's spread over one second, mean of all joints, above which the robot walks


@dataclass(frozen=True)
class Ticks:
    """The log on the grid of the policy's ticks; joints in the robot's order.

    Attributes:
        time: of the commands, s, (t,).
        age: of the state that each command answers, s, (t,).
        frames: the dynamics model's input as in `FRAME`; the position is less the default pose, (t, 42).
        effort: measured torque, N m, NaN where absent, (t, 12).
        acceleration: of the IMU, m/s^2, (t, 3).
        command: velocity asked for, m/s, m/s, rad/s, or None, (t, 3).
        moving: whether the joints move as in a walk, (t,).
        segment: number of the uninterrupted stretch that a tick belongs to, -1 where it is not usable, (t,).
        clock: "header" or "log", whichever time was trusted.
        gains: factors on the gains in the walk.
        state: of the controller in the walk, "" if the log does not tell.
    """

    time: np.ndarray
    age: np.ndarray
    frames: np.ndarray
    effort: np.ndarray
    acceleration: np.ndarray
    command: np.ndarray | None
    moving: np.ndarray
    segment: np.ndarray
    clock: str
    gains: Gains = NOMINAL
    state: str = ""

    @property
    def usable(self) -> np.ndarray:
        """Ticks of the walk, (t,)."""
        return self.segment >= 0

    def part(self, name: str) -> np.ndarray:
        """Return one named part of the usable frames, (n, size)."""
        start = 0
        for part, size in FRAME:
            if part == name:
                return self.frames[self.usable, start : start + size]
            start += size
        raise KeyError(name)


@dataclass(frozen=True)
class Samples:
    """One-step transitions with their history.

    Attributes:
        frames: oldest frame first, float32 (n, history * 42).
        targets: change of the 30 state values over the step that follows, float32 (n, 30).
        tick: index of the newest frame, (n,).
    """

    frames: np.ndarray
    targets: np.ndarray
    tick: np.ndarray

    def __len__(self) -> int:
        """Return the number of transitions."""
        return len(self.tick)

    def take(self, rows: np.ndarray | slice) -> Samples:
        """Return some of the transitions."""
        return Samples(self.frames[rows], self.targets[rows], self.tick[rows])


def resample(log: RawLog, spec: RobotSpec) -> Ticks:
    """Return the log at the policy's ticks, each with the latest state at or before it (zero-order hold)."""
    clock = "header" if _headers_agree(log, spec.control_dt) else "log"
    imu, joints, commands = (_ordered(s, clock) for s in (log.imu, log.joints, log.commands))
    ticks = policy_ticks(_time(commands, clock), commands.values["position"], spec.control_dt)
    time = _time(commands, clock)[ticks]
    body, legs = _latest(_time(imu, clock), time), _latest(_time(joints, clock), time)
    seen = (body >= 0) & (legs >= 0)
    ticks, time, body, legs = ticks[seen], time[seen], body[seen], legs[seen]

    action = (commands.values["position"][ticks] - spec.default_position) / spec.action_scale
    frames = np.concatenate(
        [
            imu.values["angular_velocity"][body],
            projected_gravity(_unit(imu.values["quaternion"][body])),
            joints.values["position"][legs] - spec.default_position,
            joints.values["velocity"][legs],
            action,
        ],
        axis=1,
    )
    age = time - np.minimum(_time(imu, clock)[body], _time(joints, clock)[legs])
    log_time = commands.log_time[ticks]
    finite = np.all(np.isfinite(frames), axis=1)
    moving = motion(np.where(finite[:, None], frames[:, 6:18], 0.0), spec.control_dt) > MOTION
    walks, state, gains = _walks(log.controller, log_time, moving)
    good = finite & (age <= STALE * spec.control_dt) & walks
    return Ticks(
        time=time,
        age=age,
        frames=frames,
        effort=joints.values["effort"][legs],
        acceleration=imu.values["linear_acceleration"][body],
        command=_held(log.velocity_command, log_time),
        moving=moving & finite,
        segment=segments(time, good, spec.control_dt),
        clock=clock,
        gains=gains,
        state=state,
    )


def policy_ticks(time: np.ndarray, target: np.ndarray, dt: float) -> np.ndarray:
    """Return the indices of the commands that begin a policy period, (t,).

    A log may hold every write to the motors, which repeats a target until the next tick: of the commands between
    half a period and one and a half after a tick, the next tick is the first with another target, else the one that
    comes nearest to a whole period.
    """
    if len(time) == 0:
        return np.zeros(0, dtype=int)
    changed = np.ones(len(time), dtype=bool)
    changed[1:] = np.any(target[1:] != target[:-1], axis=1)
    ticks = [int(np.argmax(changed[1:])) + 1 if changed[1:].any() and _rate_ratio(time, dt) > 1.5 else 0]
    while True:
        now = ticks[-1]
        first, last = np.searchsorted(time, [time[now] + 0.5 * dt, time[now] + 1.5 * dt])
        first, last = max(int(first), now + 1), int(last)
        if first >= len(time):
            return np.array(ticks)
        window = np.arange(first, last)
        if len(window) == 0:
            ticks.append(first)
        elif changed[window].any():
            ticks.append(int(window[np.argmax(changed[window])]))
        else:
            ticks.append(int(window[np.argmin(np.abs(time[window] - time[now] - dt))]))


def segments(time: np.ndarray, good: np.ndarray, dt: float) -> np.ndarray:
    """Return the number of the uninterrupted stretch of good ticks that each tick is in, -1 for the others, (t,)."""
    starts = good & ~np.r_[False, good[:-1] & (np.diff(time) < STALE * dt)]
    return np.where(good, np.cumsum(starts) - 1, -1)


def samples(ticks: Ticks, history: int) -> Samples:
    """Return every transition whose history and next frame lie in one segment."""
    count = len(ticks.time)
    newest = np.arange(max(history - 1, 0), max(count - 1, history - 1))
    first, following = ticks.segment[newest - history + 1], ticks.segment[newest + 1]
    newest = newest[(first >= 0) & (first == following)]
    past = newest[:, None] + np.arange(1 - history, 1)
    state = ticks.frames[:, :STATE_SIZE]
    return Samples(
        frames=ticks.frames[past].reshape(len(newest), history * FRAME_SIZE).astype(np.float32),
        targets=(state[newest + 1] - state[newest]).astype(np.float32),
        tick=newest,
    )


def motion(position: np.ndarray, dt: float) -> np.ndarray:
    """Return the spread (standard deviation) over the second around each tick, mean of all joints, rad, (t,)."""
    count, half = len(position), round(0.5 / dt)
    if count == 0:
        return np.zeros(0)
    low, high = np.maximum(np.arange(count) - half, 0), np.minimum(np.arange(count) + half + 1, count)
    centred = position - position.mean(axis=0)
    sums, squares = (np.vstack([np.zeros(centred.shape[1]), np.cumsum(x, axis=0)]) for x in (centred, centred**2))
    size = (high - low)[:, None]
    variance = (squares[high] - squares[low]) / size - ((sums[high] - sums[low]) / size) ** 2
    return np.sqrt(np.maximum(variance, 0.0)).mean(axis=1)


def _headers_agree(log: RawLog, dt: float) -> bool:
    """Return whether all three topics carry header times of one clock."""
    required: Sequence[Series] = (log.imu, log.joints, log.commands)
    if any(len(s) == 0 or np.isnan(s.stamp).any() for s in required):
        return False
    delays = [float(np.median(s.log_time - s.stamp)) for s in required]
    return max(delays) - min(delays) < 0.5 * dt


def _time(series: Series, clock: str) -> np.ndarray:
    return series.stamp if clock == "header" else series.log_time


def _ordered(series: Series, clock: str) -> Series:
    time = _time(series, clock)
    if (np.diff(time) >= 0).all():
        return series
    order = np.argsort(time, kind="stable")
    return Series(series.log_time[order], series.stamp[order], {k: v[order] for k, v in series.values.items()})


def _latest(time: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the index of the last entry at or before each time, -1 if there is none."""
    return np.searchsorted(time, at, side="right") - 1


def _held(series: Series | None, at: np.ndarray) -> np.ndarray | None:
    if series is None:
        return None
    index = _latest(series.log_time, at)
    return np.where(index[:, None] >= 0, series.values["command"][np.maximum(index, 0)], 0.0)


def _walks(controller: Series | None, at: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, str, Gains]:
    """Return the ticks at which the controller calibrates, else walks, else (unknown) joints move, its state and gains.

    Where the gains were changed on the way, the ticks with the last ones count.
    """
    if controller is not None:
        index = _latest(controller.log_time, at)
        now = np.where(index >= 0, np.array(controller.values["state"])[np.maximum(index, 0)], "")
        gains = controller.values["gains"][np.maximum(index, 0)]
        for state in WALKING_STATES:
            if (there := now == state).any():
                last = gains[there][-1]
                return there & (gains == last).all(axis=1), state, Gains.from_row(last)
    return moving, "", NOMINAL


def _rate_ratio(time: np.ndarray, dt: float) -> float:
    """Return how many times as often as the policy the commands come."""
    return float(dt / max(np.median(np.diff(time)), 1e-9)) if len(time) > 1 else 1.0


def _unit(quaternion: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(quaternion, axis=1, keepdims=True)
    return quaternion / np.where(norm > 0.5, norm, np.nan)
