"""MuJoCo's own system identification (`mujoco.sysid`) on a robot's log: what users would do without DMCM.

The log of a walk holds no base position and no ground truth, so the walk is cut into short windows, each of which
starts from what was measured: attitude and body rates from the IMU, joints from the encoders, the height from the
lowest foot on the ground, the velocity from leg odometry. In every window the model follows the logged joint targets
with the factors asked about; these are found by least squares on joint positions, velocities, torques and body rates.
"""

from __future__ import annotations

import io
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from robots import mjcf
from robots.kinematics import foot_positions
from robots.spec import RobotSpec

STEP = 0.0025  # s of physics
WINDOW = 5  # control periods
WINDOWS = 30
SCALES = {"position": 0.02, "velocity": 1.0, "rates": 0.3, "torque": 2.0}  # rad, rad/s, rad/s, N m: one unit of misfit
BOUNDS = {
    "payload": (0.0, 0.0, 5.0),  # start, lowest, highest; kg
    "legs": (1.0, 0.3, 1.5),  # x, of the nominal kp, four of them
    "damping": (1.0, 0.2, 2.0),  # x
    "friction": (0.2, 0.0, 1.5),  # N m
    "latency": (0.01, 0.0, 0.04),  # s
}


@dataclass(frozen=True)
class Record:
    """A walk at the policy's ticks.

    Attributes:
        quaternion: attitude w x y z, (t, 4).
        angular_velocity: rad/s, base frame, (t, 3).
        velocity: of the base by leg odometry, m/s, base frame, (t, 3).
        position, rate, torque: of the joints, rad, rad/s, N m, (t, 12).
        target: joint targets from the tick on, rad, (t, 12).
        usable: ticks of an uninterrupted walk, (t,).
    """

    quaternion: np.ndarray
    angular_velocity: np.ndarray
    velocity: np.ndarray
    position: np.ndarray
    rate: np.ndarray
    torque: np.ndarray
    target: np.ndarray
    usable: np.ndarray


@dataclass(frozen=True)
class Identified:
    """The factors found: payload kg, each leg's stiffness and the damping as shares, friction N m, latency s.

    `seconds` is the time that it took.
    """

    payload: float
    legs: np.ndarray
    damping: float
    friction: float
    latency: float
    seconds: float


def identify(record: Record, spec: RobotSpec, seed: int = 0) -> Identified:
    """Return the factors that explain a walk best.

    Args:
        record: the walk.
        spec: the robot.
        seed: of the choice of windows.

    Raises:
        ValueError: if mujoco is installed without its extra `sysid`.
    """
    from mujoco import sysid

    if not hasattr(sysid, "optimize"):
        raise ValueError("MuJoCo's system identification is not installed: pip install 'mujoco[sysid]'")
    began = time.perf_counter()
    problem = _Problem(record, spec, np.random.default_rng(seed))
    parameters = sysid.ParameterDict()
    for name, (start, low, high) in BOUNDS.items():
        size = 4 if name == "legs" else 1
        parameters.add(sysid.Parameter(name, [start] * size, [low] * size, [high] * size))
    with redirect_stdout(io.StringIO()):  # its optimizer prints every iteration
        found, _ = sysid.optimize(
            parameters.move_off_bounds(), problem.residual, "mujoco", verbose=False, max_iters=8, x_scale="jac"
        )
    values = {name: parameter.value for name, parameter in found.items()}
    single = {name: float(values[name][0]) for name in ("payload", "damping", "friction", "latency")}
    return Identified(legs=values["legs"], seconds=time.perf_counter() - began, **single)


class _Problem:
    """The residual of all windows as `mujoco.sysid.optimize` wants it."""

    def __init__(self, record: Record, spec: RobotSpec, rng: np.random.Generator) -> None:
        from mujoco import sysid

        self._record, self._spec = record, spec
        self._editable = mujoco.MjSpec.from_string(_xml(spec))
        model = self._editable.compile()
        whole = np.convolve(record.usable, np.ones(WINDOW + 3), mode="valid") == WINDOW + 3
        starts = np.flatnonzero(whole) + 2
        self._starts = np.sort(rng.choice(starts, min(WINDOWS, len(starts)), replace=False))
        self._times = np.arange(round(WINDOW * spec.control_dt / STEP) + 1) * STEP
        silent = np.zeros((len(self._times), 12))
        self._windows = []
        for start in self._starts:
            names = sysid.TimeSeries.from_names(self._times, silent, model)
            control = sysid.TimeSeries(self._times, silent)
            state = self._state(model, start)
            self._windows.append(sysid.SystemTrajectory(model, control, names, state, None))

    def _state(self, model: mujoco.MjModel, tick: int) -> np.ndarray:
        from mujoco import sysid

        record = self._record
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, record.quaternion[tick])
        rotation = rotation.reshape(3, 3)
        feet = foot_positions(self._spec, record.position[tick]) @ rotation.T
        height = self._spec.foot_radius - 0.001 - feet[:, 2].min()
        qpos = np.concatenate([[0.0, 0.0, height], record.quaternion[tick], record.position[tick]])
        qvel = np.concatenate([rotation @ record.velocity[tick], record.angular_velocity[tick], record.rate[tick]])
        return sysid.create_initial_state(model, qpos, qvel)

    def residual(self, x: np.ndarray, parameters: Any) -> tuple[list[np.ndarray], Any, Any]:
        """Return the misfit of all windows, (n,), or (n, columns) for as many columns of parameters."""
        from mujoco import sysid

        self._window = 0
        misfit, predicted, measured = sysid.model_residual(
            x,
            parameters,
            self._build,
            self._windows,
            modify_residual=self._misfit,
            custom_rollout=self._rollout,
            n_threads=1,
            resample_true=False,
        )
        if x.ndim > 1:
            misfit = misfit.T.reshape(x.shape[1], -1).T
        return [misfit], predicted, measured

    def _build(self, parameters: Any) -> mujoco.MjModel:
        spec, editable = self._spec, self._editable
        editable.body(mjcf.PAYLOAD_BODY).mass = max(float(parameters["payload"].value[0]), 1e-4)
        legs, damping = parameters["legs"].value, float(parameters["damping"].value[0])
        for i, name in enumerate(spec.joint_names):
            kp, kd = spec.kp * legs[i // 3], spec.kd * damping * legs[i // 3] / legs.mean()
            actuator = editable.actuator(name)
            actuator.gainprm[0], actuator.biasprm[1], actuator.biasprm[2] = kp, -kp, -kd
            editable.joint(name).frictionloss = float(parameters["friction"].value[0])
        return editable.compile()

    def _rollout(self, *, models: Any, datas: Any, initial_states: Any, param_dicts: Any, **mappings: Any) -> Any:
        """Roll out all windows with the logged targets, delayed by each column's latency."""
        from mujoco import rollout
        from mujoco.sysid._src.trajectory import arrays2traj

        controls = [self._controls(float(p["latency"].value[0]), start) for p in param_dicts for start in self._starts]
        control = np.stack(controls)
        state, sensors = rollout.rollout(models, datas, np.stack(initial_states), control)
        times = np.tile(self._times[:-1], (len(control), 1))
        names = [mappings[f"{kind}_mapping"] for kind in ("rollout_signal", "rollout_state", "ctrl")]
        return arrays2traj(models, np.stack(initial_states), control, times, state, sensors, *names)

    def _controls(self, latency: float, start: int) -> np.ndarray:
        """Return the targets that act in each physics step: the mean over the step of what was sent `latency` ago."""
        dt = self._spec.control_dt
        sent = self._record.target[start - 2 : start + WINDOW]
        summed = np.vstack([np.zeros(12), np.cumsum(sent, axis=0) * dt])
        at = np.clip(self._times - latency + 2 * dt, 0.0, len(sent) * dt) / dt
        low = np.minimum(at.astype(int), len(sent) - 1)
        until = summed[low] + (at - low)[:, None] * dt * sent[low]
        return np.diff(until, axis=0) / STEP

    def _misfit(self, parameters: Any, predicted: Any, measured: Any, model: Any, every: bool, *, state: Any) -> Any:
        """Return the misfit of the next window; they come in order, once for each column."""
        record, start = self._record, self._starts[self._window % len(self._starts)]
        self._window += 1
        steps = np.arange(1, WINDOW + 1) * round(self._spec.control_dt / STEP) - 1
        rows, ticks = state[steps, 1:], start + 1 + np.arange(WINDOW)
        differences = [
            (rows[:, 7:19] - record.position[ticks]) / SCALES["position"],
            (rows[:, 25:37] - record.rate[ticks]) / SCALES["velocity"],
            (rows[:, 22:25] - record.angular_velocity[ticks]) / SCALES["rates"],
            (predicted.data[steps] - record.torque[ticks]) / SCALES["torque"],
        ]
        misfit = np.clip(np.nan_to_num(np.concatenate(differences, axis=1), nan=10.0), -10.0, 10.0)
        return misfit, predicted, predicted


def _xml(spec: RobotSpec) -> str:
    servos = "\n".join(
        f'<position name="{name}" joint="{name}" kp="{spec.kp}" kv="{spec.kd}" forcerange="-{limit} {limit}"/>'
        for name, limit in zip(spec.joint_names, spec.torque_limit, strict=True)
    )
    torques = "\n".join(f'<actuatorfrc name="{name}_torque" actuator="{name}"/>' for name in spec.joint_names)
    return f"""<mujoco model="{spec.name}">
  <option timestep="{STEP}" integrator="implicitfast" cone="elliptic"/>
  {mjcf.header()}
  <worldbody><geom type="plane" class="ground" size="0 0 1"/>{mjcf.robot_body(spec)}</worldbody>
  <actuator>{servos}</actuator>
  <sensor>{torques}</sensor>
</mujoco>"""
