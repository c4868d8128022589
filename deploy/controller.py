"""The controller: a state machine over the table in `deploy.states`, behind the guards and limits of `deploy.safety`.

It knows no driver, no clock and no ROS: whoever owns it calls `step` once per command period.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deploy import calibration_motion
from deploy.context import ActiveContexts, ContextBank, RobotContext
from deploy.driver import JointCommand, StateLike
from deploy.policy import OnnxPolicy
from deploy.safety import SafetyConfig, Supervisor
from deploy.states import FAULT, FOLDED_LEG, INITIAL, NEAR_DEFAULT, STATES, State, next_state
from deploy.trajectory import JointPath
from robots.kinematics import projected_gravity
from robots.observation import assemble
from robots.spec import RobotSpec


@dataclass(frozen=True)
class ControllerConfig:
    """What may be set per deployment.

    Attributes:
        command_dt: time between two commands, s; divides the policy's period.
        velocity_limit: operator's commands are clipped to it: forward m/s, left m/s, turning rad/s.
        safety: where the guards trip.
    """

    command_dt: float = 0.002
    velocity_limit: tuple[float, float, float] = (1.0, 0.6, 1.2)
    safety: SafetyConfig = field(default_factory=SafetyConfig)


@dataclass(frozen=True)
class Transition:
    """A change of state: the robot's time, s, from where to where, and why."""

    stamp: float
    source: str
    target: str
    cause: str


class Controller:
    """Turns robot states into joint commands.

    Args:
        spec: the robot.
        walk: the policy that walks.
        calibration: the policy that walks while calibrating; without one "calibrate" is refused.
        bank: contexts from simulation; needed by a policy that takes contexts.
        config: rates and limits.

    Attributes:
        state: name of the state, a key of `deploy.states.STATES`.
        cause: why it is in that state.
        fault: why the robot went to damping, until the operator resets it to passive; else "".
        refusal: why the operator's last event was refused, "" if it was accepted.
        trips: number of faults so far.
        history: the last transitions.
        policy_tick: whether the last step was one at the policy's rate.
        contexts: the contexts in use.
        action: last output of the policy, (12,).
        target: joint target within the joint limits, before the torque limit, rad, (12,).
        velocity: velocity command in effect: m/s, m/s, rad/s.
        limited: joints limited in the last step.

    Raises:
        ContextError: if a policy needs contexts and the bank is missing or belongs to another dynamics model.
        ValueError: if the command period does not divide the policy's.
    """

    def __init__(
        self,
        spec: RobotSpec,
        walk: OnnxPolicy,
        calibration: OnnxPolicy | None = None,
        bank: ContextBank | None = None,
        config: ControllerConfig | None = None,
    ) -> None:
        self.spec = spec
        self.config = config or ControllerConfig()
        self._policies = {"walk": walk} if calibration is None else {"walk": walk, "calibration": calibration}
        self._decimation = round(spec.control_dt / self.config.command_dt)
        if self._decimation < 1 or abs(self._decimation * self.config.command_dt - spec.control_dt) > 1e-9:
            raise ValueError(
                f"command period {self.config.command_dt:g} s does not divide the policy's {spec.control_dt:g} s"
            )
        self._supervisor = Supervisor(spec, self.config.command_dt, self.config.safety)
        self._default = spec.default_position
        self._gains = np.full(12, spec.kp), np.full(12, spec.kd)
        self._poses = {"default": self._default, "folded": np.clip(np.tile(FOLDED_LEG, 4), *spec.position_limits)}
        self._tick, self._entered = -1, 0
        self.history: deque[Transition] = deque(maxlen=256)
        self.state, self.cause, self.fault, self.refusal = INITIAL, "start", "", ""
        self.trips = self.limited = 0
        self.policy_tick = False
        self.action, self.target, self.velocity = np.zeros(12), self._default.copy(), np.zeros(3)
        self._running = walk
        self._path: JointPath | None = None
        self.contexts = ActiveContexts(bank)
        for policy in self._policies.values():
            self.contexts.check(policy)

    def set_context(self, context: RobotContext | None) -> None:
        """Use a robot's context from now on; None is the nominal robot's.

        Raises:
            ContextError: if there is no bank, or the context belongs to another dynamics model or has another size.
        """
        self.contexts.set_robot(context)

    def set_terrain(self, name: str) -> None:
        """Use the context of a terrain of the bank from now on.

        Raises:
            ContextError: if there is no bank or no such terrain in it.
        """
        self.contexts.set_terrain(name)

    # The step

    def step(
        self, state: StateLike | None, velocity: Sequence[float] | np.ndarray, event: str | None = None
    ) -> JointCommand:
        """Return the command for this period.

        Args:
            state: the latest measurement, None if there is none yet.
            velocity: operator's command: forward m/s, left m/s, turning left rad/s.
            event: what the operator asks for, one of `deploy.states.EVENTS`.
        """
        self._tick += 1
        self.policy_tick = self._tick % self._decimation == 0
        fault = self._supervisor.check(state)
        if fault and STATES[self.state].powered:
            self._trip(fault)
        if event is not None:
            self._request(event, fault)
        self._finish()
        if self.policy_tick:
            self._run_policy(velocity)
        command = self._command()
        self.limited = self._supervisor.limit(command)
        return command

    def damping_command(self) -> JointCommand:
        """Return a command that lets the robot sink, for when control ends."""
        command = self._assemble(self._supervisor.position, STATES[FAULT].kp, STATES[FAULT].kd)
        self._supervisor.limit(command)
        return command

    def _trip(self, reason: str) -> None:
        self.fault = reason
        self.trips += 1
        self._enter(FAULT, reason)

    def _request(self, event: str, fault: str | None) -> None:
        try:
            target = next_state(self.state, event)
        except ValueError as refused:
            self.refusal = str(refused)
            return
        if STATES[target].powered and fault:
            self.refusal = f"'{event}' refused: {fault}"
        elif STATES[target].policy not in (None, *self._policies):
            self.refusal = f"'{event}' refused: no {STATES[target].policy} policy is loaded"
        else:
            self.refusal = ""
            if target == INITIAL:
                self.fault = ""
            self._enter(target, f"operator: {event}")

    def _finish(self) -> None:
        """Go on to the next state if this one's motion has ended."""
        row, seconds = STATES[self.state], self._seconds()
        if row.done and seconds is not None and self._elapsed >= seconds - 1e-9:
            self._enter(row.done, f"{self.state} completed")

    def _seconds(self) -> float | None:
        if self._path is not None:
            return self._path.seconds
        row = STATES[self.state]
        return calibration_motion.SECONDS if row.velocity == "calibration" else row.seconds

    @property
    def _elapsed(self) -> float:
        """Time in this state, s."""
        return (self._tick - self._entered) * self.config.command_dt

    @property
    def progress(self) -> float | None:
        """Part of the present motion that is done, 0 to 1; None for a state without an end."""
        seconds = self._seconds() if STATES[self.state].done else None
        return None if seconds is None else min(1.0, self._elapsed / seconds)

    def _enter(self, target: str, cause: str) -> None:
        self.history.append(Transition(self._supervisor.reading.stamp, self.state, target, cause))
        walking = STATES[self.state].motion == "policy"
        row = STATES[target]
        self.state, self.cause, self._entered, self._path = target, cause, self._tick, None
        self.velocity = np.zeros(3)
        if row.motion == "path":
            self._path = self._plan(row)
        if row.policy is not None:
            self._running = self._policies[row.policy]
        if row.motion == "policy" and not walking:
            self.action = np.zeros(12)

    def _plan(self, row: State) -> JointPath:
        measured = self._supervisor.position.copy()
        near = np.abs(measured - self._default).max() < NEAR_DEFAULT
        poses = {**self._poses, "measured": measured}
        way = row.path_near if near and row.path_near else row.path
        start = measured if row.start == "measured" else self.target
        return JointPath(start, [(poses[pose], seconds) for pose, seconds in way])

    # What the motors are told

    def _run_policy(self, velocity: Sequence[float] | np.ndarray) -> None:
        row = STATES[self.state]
        if row.motion != "policy":
            return
        self.velocity = self._velocity(row.velocity, velocity)
        try:
            action = self._running(self.observation(), self.contexts.robot, self.contexts.terrain)
        except Exception as problem:  # whatever it is, the robot must not be left without a command
            self._trip(f"policy failed: {problem}")
            return
        reason = self._supervisor.check_action(action, self._running.action_limit)
        if reason is not None:
            self._trip(reason)
            return
        self.action = np.clip(action, -self._running.action_limit, self._running.action_limit)
        target = self._default + self.spec.action_scale * self.action
        self.target = np.clip(target, self._supervisor.limits.lower, self._supervisor.limits.upper)

    def _velocity(self, source: str, operator: Sequence[float] | np.ndarray) -> np.ndarray:
        if source == "calibration":
            return calibration_motion.velocity_at(self._elapsed)
        wanted = np.asarray(operator, dtype=float)
        if source == "zero" or wanted.shape != (3,) or not np.isfinite(wanted).all():
            return np.zeros(3)
        most = np.array(self.config.velocity_limit)
        return np.clip(wanted, -most, most)

    def observation(self) -> np.ndarray:
        """Return what the policy in use sees now, scaled, in its own order."""
        reading = self._supervisor.reading
        values = {
            "angular_velocity": reading.angular_velocity,
            "projected_gravity": projected_gravity(reading.quaternion),
            "command": self.velocity,
            "joint_position": reading.joint_position - self._default,
            "joint_velocity": reading.joint_velocity,
            "last_action": self.action,
        }
        return assemble(self._running.terms, values, self._running.scale, np.concatenate)

    def _command(self) -> JointCommand:
        row = STATES[self.state]
        if row.motion == "none":
            self.target = self._supervisor.position.copy()
        elif self._path is not None:
            self.target = self._path.position(self._elapsed)
        ramp = min(1.0, self._elapsed / row.gain_ramp) if row.gain_ramp else 1.0
        return self._assemble(self.target, ramp * row.kp, row.kd)

    def _assemble(self, position: np.ndarray, kp: float, kd: float) -> JointCommand:
        return JointCommand(position.copy(), np.zeros(12), np.zeros(12), kp * self._gains[0], kd * self._gains[1])

    # For logs and operators

    def status(self) -> str:
        """Return the state for logs and operators, JSON."""
        return json.dumps(
            {
                "state": self.state,
                "cause": self.cause,
                "fault": self.fault,
                "refusal": self.refusal,
                "trips": self.trips,
                "limited": self.limited,
                "context": self.contexts.robot_source,
                "terrain": self.contexts.terrain_name,
            }
        )

    def provenance(self) -> dict[str, str]:
        """Return what the log should say of the robot and of what runs on it."""
        digests = {f"{name}_policy_sha256": policy.sha256 for name, policy in self._policies.items()}
        return {
            "robot": self.spec.name,
            "robot_digest": self.spec.digest(),
            **digests,
            "dynamics_digest": self.contexts.bank.dynamics_digest if self.contexts.bank else "",
            "context": self.contexts.robot_source,
            "terrain": self.contexts.terrain_name,
        }
