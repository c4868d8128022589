"""What is known of a calibration walk while it goes on: how far it is, how far it led, how good the data are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.ground import tilt
from calibration.model import DynamicsModel
from calibration.resample import MOTION, Samples
from deploy.driver import StateLike
from deploy.odometry import LegOdometry, Motion
from robots.frame import FRAME_SIZE, STATE_SIZE
from robots.kinematics import projected_gravity
from robots.spec import RobotSpec

GOOD = "good"
LEANING = 25.0  # degrees of tilt that are no calm walk
STILL_AFTER = 5.0  # s of the motion after which a robot whose joints hardly moved stands in its way
SATURATED = 0.95  # share of the torque limit


@dataclass(frozen=True)
class Figures:
    """A second's news of the walk.

    Attributes:
        progress: share of the motion that is done, 0 to 1.
        distance: walked so far, by the legs, m.
        away: from where the motion began, by the legs, m.
        quality: "good", or in a few words what is not.
        error: prediction error with the nominal context so far, in units of the targets' variance; NaN before the
            first second is over.
    """

    progress: float = 0.0
    distance: float = 0.0
    away: float = 0.0
    quality: str = GOOD
    error: float = float("nan")


@dataclass
class _Moved:
    angular_velocity: np.ndarray
    quaternion: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray


def motion_of(frame: np.ndarray, spec: RobotSpec) -> Motion:
    """Return a frame, (42,), as `deploy.odometry` takes it, its heading zero."""
    gravity = frame[3:6]
    turn = np.array([1.0 - gravity[2], -gravity[1], gravity[0], 0.0])  # the shortest that levels the body
    position = frame[6:18] + spec.default_position
    return _Moved(frame[0:3], turn / np.linalg.norm(turn), position, frame[18:30])


class LiveQuality:
    """Watches a walk at the policy's rate.

    Args:
        spec: the robot.
        model: the dynamics model, for the error; None leaves it out.
        terrain, nominal: contexts of the ground and of the nominal robot.
    """

    def __init__(self, spec: RobotSpec, model: DynamicsModel | None, terrain: np.ndarray, nominal: np.ndarray) -> None:
        self._spec, self._model, self._contexts = spec, model, (nominal, terrain)
        self._odometry = LegOdometry(spec, spec.control_dt)
        self._second = round(1.0 / spec.control_dt) + (model.history if model else 1)
        self._place, self._distance, self._heading = np.zeros(2), 0.0, 0.0
        self.restart()

    def restart(self) -> None:
        """Judge the walk from here on; where it began stays."""
        self._frames: list[np.ndarray] = []
        self._errors: list[float] = []
        self._saturated, self._ticks, self._worst_tilt = np.zeros(12), 0, 0.0

    @property
    def away(self) -> float:
        """Distance from where the motion began, m."""
        return float(np.linalg.norm(self._place))

    def add(self, state: StateLike, action: np.ndarray) -> None:
        """Take what the policy saw and what it asked for, once per policy period."""
        position = state.joint_position - self._spec.default_position
        gravity = projected_gravity(state.quaternion)
        frame = np.concatenate([state.angular_velocity, gravity, position, state.joint_velocity, action])
        self.add_frame(frame, state.joint_torque, state.foot_force)

    def add_frame(self, frame: np.ndarray, torque: np.ndarray, foot_force: np.ndarray | None = None) -> None:
        """Take a frame as in `robots.frame`, (42,), the joint torques, N m, (12,), and the load on the feet, (4,)."""
        dt = self._spec.control_dt
        forward, left, _ = self._odometry.update(motion_of(frame, self._spec), foot_force)
        self._heading += dt * float(frame[2])
        cos, sin = np.cos(self._heading), np.sin(self._heading)
        step = dt * np.array([cos * forward - sin * left, sin * forward + cos * left])
        self._place, self._distance = self._place + step, self._distance + float(np.linalg.norm(step))
        self._frames.append(frame)
        self._saturated += np.abs(torque) > SATURATED * self._spec.torque_limit
        self._worst_tilt = max(self._worst_tilt, float(tilt(frame[3:6])))
        self._ticks += 1

    def figures(self, progress: float) -> Figures:
        """Return what is known now; call it once a second, as it runs the model on the last second."""
        if self._model is not None and len(self._frames) >= self._second:
            last = self.samples(self._second)
            self._errors.append(float(self._model.error(last, *self._contexts).mean()))
        error = float(np.mean(self._errors)) if self._errors else float("nan")
        return Figures(progress, self._distance, self.away, self._quality(), error)

    def _quality(self) -> str:
        frames = np.array(self._frames[-2 * self._second :])  # longer than the motion's pauses
        if len(frames) == 0:
            return GOOD
        if not np.isfinite(frames).all():
            return "a sensor gives no numbers"
        joint = int(np.argmax(self._saturated))
        if self._saturated[joint] > 0.25 * self._ticks:
            return f"{self._spec.joint_names[joint]} is at its torque limit"
        spread = frames[:, 6:18].std(axis=0).mean()
        if self._ticks * self._spec.control_dt > STILL_AFTER and spread < MOTION / 3:
            return "the joints hardly move"
        return "leaning" if self._worst_tilt > LEANING else GOOD

    def samples(self, count: int = 0) -> Samples:
        """Return the transitions of the last frames, of all if no count is given; there must be a model."""
        assert self._model is not None
        frames, history = np.array(self._frames[-count:]), self._model.history
        newest = np.arange(history - 1, len(frames) - 1)
        past = frames[newest[:, None] + np.arange(1 - history, 1)]
        state = frames[:, :STATE_SIZE]
        return Samples(
            past.reshape(len(newest), history * FRAME_SIZE).astype(np.float32),
            (state[newest + 1] - state[newest]).astype(np.float32),
            newest,
        )
