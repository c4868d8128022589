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
from deploy.driver import JointCommand, Operator, StateLike
from deploy.gains import NOMINAL, RAMP, Gains
from deploy.guards import SafetyConfig
from deploy.policy import OnnxPolicy
from deploy.runner import PolicyFaultError, Runner
from deploy.safety import Supervisor
from deploy.states import FAULT, FOLDED_LEG, INITIAL, JOINT_SPEED, NEAR_DEFAULT, STATES, State, next_state
from deploy.steer import Steering
from deploy.trajectory import JointPath
from robots.spec import RobotSpec

NOT_THERE = "did not get there"  # what a state's fault says whose path ended elsewhere
COMMAND_AGE = 0.5  # s: at a velocity command older than this the robot stops


@dataclass(frozen=True)
class ControllerConfig:
    """What may be set per deployment.

    Attributes:
        command_dt: time between two commands, s; divides the policy's period.
        velocity_limit: operator's commands are clipped to it: forward m/s, left m/s, turning rad/s.
        acceleration_limit: how fast the policy's command follows the operator's, also to rest: m/s², m/s², rad/s². A
            robot that goes back fast falls over if it is told to stop at once.
        interpolate: whether targets go linearly from one action to the next, a policy period later, instead of at once.
        safety: where the guards trip.
    """

    command_dt: float = 0.002
    velocity_limit: tuple[float, float, float] = (1.0, 0.6, 1.2)
    acceleration_limit: tuple[float, float, float] = (1.0, 1.0, 3.0)
    interpolate: bool = False
    safety: SafetyConfig = field(default_factory=SafetyConfig)

    def __post_init__(self) -> None:
        if not all(0.0 <= value < np.inf for value in self.velocity_limit):
            raise ValueError(f"velocity_limit {self.velocity_limit}: give finite numbers, 0 or above")
        if not all(0.0 < value < np.inf for value in self.acceleration_limit):
            raise ValueError(f"acceleration_limit {self.acceleration_limit}: give finite numbers above 0")


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
        walk: the policy that walks; without one "walk" is refused.
        calibration: the policy that walks while calibrating; without one "calibrate" is refused.
        bank: contexts from simulation; needed by a policy that takes contexts.
        config: rates and limits.

    Attributes:
        state: name of the state, a key of `deploy.states.STATES`.
        cause: why it is in that state.
        fault: why the robot is in state "fault", until the operator resets it; else "".
        refusal: why the operator's last event was refused, "" if it was accepted.
        trips: number of faults so far.
        history: the last transitions.
        transitions: number of transitions so far.
        policy_tick: whether the last step was one at the policy's rate.
        contexts: the contexts in use.
        calibration_gains: factors on the gains of calibrating, from the next time on; its owner may set them.
        supervisor: its guards and limits.
        runner: the policy in use, None without one.
        target: joint target within the joint limits, before the torque limit, rad, (12,).
        velocity: velocity command in effect: m/s, m/s, rad/s.
        limited: joints limited in the last step.
        stale_command: whether the operator's velocity is too old to walk at, so that the robot stops.

    Raises:
        ContextError: if a policy needs contexts and the bank is missing or belongs to another dynamics model.
        ValueError: if the command period does not divide the policy's, or an imported policy should calibrate.
    """

    def __init__(
        self,
        spec: RobotSpec,
        walk: OnnxPolicy | None = None,
        calibration: OnnxPolicy | None = None,
        bank: ContextBank | None = None,
        config: ControllerConfig | None = None,
    ) -> None:
        self.spec = spec
        self.config = config or ControllerConfig()
        given = {"walk": walk, "calibration": calibration}
        policies = {name: policy for name, policy in given.items() if policy is not None}
        if calibration is not None and calibration.origin != "trained":
            raise ValueError(
                f"{calibration.path}: an imported policy cannot calibrate; give the robot's own calibration policy"
            )
        dt = self.config.command_dt
        self._runners = {name: Runner(policy, spec, dt) for name, policy in policies.items()}
        self.runner = self._runners.get("walk")
        self._steering = Steering(spec, calibration_motion.MOTION, spec.control_dt)
        self.supervisor = Supervisor(spec, dt, self.config.safety)
        self._default = spec.default_position if walk is None else walk.default_position
        self._gains = np.full(12, spec.kp), np.full(12, spec.kd)
        self._poses = {"default": self._default, "folded": np.clip(np.tile(FOLDED_LEG, 4), *spec.position_limits)}
        self._tick, self._entered, self._acted, self._changed = -1, 0, 0, 0
        self.history: deque[Transition] = deque(maxlen=256)
        self.state, self.cause, self.fault, self.refusal = INITIAL, "start", "", ""
        self.trips = self.limited = self.transitions = 0
        self.policy_tick = self.stale_command = False
        self.target, self.velocity = self._default.copy(), np.zeros(3)
        self._from = self.target
        self._path: JointPath | None = None
        self._shares: list[np.ndarray] = []
        self.contexts = ActiveContexts(bank)
        self._before = self._wanted = self.calibration_gains = NOMINAL
        for policy in policies.values():
            self.contexts.check(policy)

    def set_context(self, context: RobotContext | None) -> None:
        """Use a robot's context from now on, with its gains; None is the nominal robot's.

        Raises:
            ContextError: if there is no bank, or the context belongs to another dynamics model, has another size or is
                far from every robot in the bank.
        """
        self.contexts.set_robot(context)
        if STATES[self.state].motion == "policy" and self.runner is self._runners.get("walk"):
            self._change_gains(self.gains, self.contexts.gains)

    def set_terrain(self, name: str) -> None:
        """Use the context of a terrain of the bank from now on.

        Raises:
            ContextError: if there is no bank or no such terrain in it.
        """
        self.contexts.set_terrain(name)

    # The step

    def step(self, state: StateLike | None, operator: Operator, problem: str | None = None) -> JointCommand:
        """Return the command for this period.

        Args:
            state: the latest measurement, None if there is none yet.
            operator: what the operator wants.
            problem: what the driver knows to be wrong, or None.
        """
        self._tick += 1
        self.policy_tick = self._tick % self._decimation == 0
        fault = self.supervisor.check(state, problem)
        if fault:
            self.trip(fault)
        if operator.event is not None:
            self._request(operator.event, fault)
        self._finish()
        if self.policy_tick:
            self._run_policy(operator)
        command = self._command()
        self.limited = self.supervisor.limit(command, self._share())
        return command

    @property
    def _decimation(self) -> int:
        if self.runner is not None:
            return self.runner.decimation
        return max(1, round(self.spec.control_dt / self.config.command_dt))

    def damping_command(self) -> JointCommand:
        """Return a command that lets the robot sink, for when control ends."""
        row, (kp, kd) = STATES[FAULT], self._gains
        command = _to(self.supervisor.position, row.kp * kp, row.kd * kd)
        self.supervisor.limit(command)
        return command

    def trip(self, reason: str) -> None:
        """Go to "fault", where the operator's reset alone leads out; harmless while the motors are not powered."""
        if not STATES[self.state].powered:
            return
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
        elif event == "reset" and self.supervisor.blind:
            self.refusal = f"'{event}' refused: {self.supervisor.blind}"
        elif STATES[target].policy not in (None, *self._runners):
            self.refusal = f"'{event}' refused: no {STATES[target].policy} policy is loaded"
        else:
            self.refusal = ""
            if target == INITIAL:
                self.fault = ""
            if target != self.state or STATES[target].done:  # a motion with an end begins anew
                self._enter(target, f"operator: {event}")

    def _finish(self) -> None:
        """Go on to the next state if this one's motion has ended."""
        row, seconds = STATES[self.state], self._seconds()
        if not row.done or seconds is None or self._elapsed < seconds - 1e-9:
            return
        off = np.abs(self.target - self.supervisor.position)
        if row.motion == "path" and off.max() > row.reach:
            i = int(off.argmax())
            self.trip(f"{self.state} {NOT_THERE}: {self.spec.joint_names[i]} is {off[i]:.2f} rad off")
            return
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
        self.history.append(Transition(self.supervisor.reading.stamp, self.state, target, cause))
        self.transitions += 1
        walking, before, runner = STATES[self.state].motion == "policy", self.gains, self.runner
        row, anew = STATES[target], target == self.state
        self.state, self.cause, self._entered, self._path = target, cause, self._tick, None
        if not (walking and row.motion == "policy"):
            self.velocity = np.zeros(3)
        if row.motion == "path":
            self._path = self._plan(row)
        if row.policy is not None:
            self.runner = self._runners[row.policy]
        if row.policy is not None or row.motion != "policy":
            own = {"walk": self.contexts.gains, "calibration": self.calibration_gains}
            wanted = own.get(row.policy or "", NOMINAL)
            self._change_gains(before if walking and row.motion == "policy" else wanted, wanted)
        if row.motion == "policy" and self.runner is not None and not (walking and self.runner is runner):
            self.runner.reset()
            self._from = self.target
        if row.velocity == "calibration":
            self._steering.begin() if anew else self._steering.reset()

    def _change_gains(self, before: Gains, wanted: Gains) -> None:
        self._before, self._wanted, self._changed = before, wanted, self._tick

    def _plan(self, row: State) -> JointPath:
        measured = self.supervisor.position.copy()
        near = np.abs(measured - self._default).max() < NEAR_DEFAULT
        poses = {**self._poses, "measured": measured}
        way = row.path_near if near and row.path_near else row.path
        start = measured if row.start == "measured" else self.target
        self._shares = [share * self.contexts.gains.joint_kp for _, _, share in way]
        return JointPath(start, [(poses[pose], seconds) for pose, seconds, _ in way], JOINT_SPEED)

    def _share(self) -> np.ndarray:
        """Return the share of the torque limits that may be used now, of the torque that is commanded, (12,).

        Motors that need corrected gains give as much less than they are told as the gains are raised.
        """
        return self.gains.joint_kp if self._path is None else self._shares[self._path.way(self._elapsed)]

    # What the motors are told

    def _run_policy(self, operator: Operator) -> None:
        row, runner = STATES[self.state], self.runner
        self.stale_command = row.velocity == "operator" and not operator.age <= COMMAND_AGE
        if row.motion != "policy" or runner is None:
            return
        wanted = (0.0, 0.0, 0.0) if self.stale_command else operator.velocity
        self.velocity = self._velocity(row.velocity, wanted)
        try:
            target = runner.target(self.supervisor.reading, self.velocity, self.contexts)
        except PolicyFaultError as fault:
            self.trip(str(fault))
            return
        limits = self.supervisor.limits
        self._from, self._acted = self.target, self._tick
        self.target = np.clip(target, limits.lower, limits.upper)

    @property
    def gains(self) -> Gains:
        """Factors on the gains of the policy that runs, else 1; under a robot that walks they change gradually."""
        return self._before.toward(self._wanted, (self._tick - self._changed) * self.config.command_dt / RAMP)

    def _velocity(self, source: str, operator: Sequence[float] | np.ndarray) -> np.ndarray:
        if source == "calibration":
            return self._steering.velocity(self._elapsed, self.supervisor.reading)
        wanted = np.asarray(operator, dtype=float)
        if source == "zero" or wanted.shape != (3,) or not np.isfinite(wanted).all():
            wanted = np.zeros(3)
        most = np.array(self.config.velocity_limit)
        step = np.array(self.config.acceleration_limit) * self._decimation * self.config.command_dt
        return self.velocity + np.clip(np.clip(wanted, -most, most) - self.velocity, -step, step)

    @property
    def action(self) -> np.ndarray:
        """Last output of the policy in use, (12,)."""
        return np.zeros(12) if self.runner is None else self.runner.action

    def observation(self) -> np.ndarray:
        """Return what the policy in use saw last, scaled, in its own order; empty before it ran."""
        return np.zeros(0) if self.runner is None else self.runner.seen

    def _command(self) -> JointCommand:
        row = STATES[self.state]
        if row.motion == "none":
            self.target = self.supervisor.position.copy()
        elif self._path is not None:
            self.target = self._path.position(self._elapsed)
        ramp = min(1.0, self._elapsed / row.gain_ramp) if row.gain_ramp else 1.0
        if row.motion == "policy" and self.runner is not None:
            policy = self.runner.policy
            gains = self.gains
            return _to(self._interpolated(), row.kp * gains.joint_kp * policy.kp, row.kd * gains.joint_kd * policy.kd)
        return _to(self.target, ramp * row.kp * self._gains[0], row.kd * self._gains[1])

    def _interpolated(self) -> np.ndarray:
        """Return where the target is on its way from the action before the last to the last one."""
        if not self.config.interpolate:
            return self.target
        part = (self._tick - self._acted + 1) / self._decimation
        return self._from + min(1.0, part) * (self.target - self._from)

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
                "stale_command": self.stale_command,
                "context": self.contexts.robot_source,
                "context_warning": self.contexts.warning,
                "terrain": self.contexts.terrain_name,
                "gains": self.gains.row(),
            }
        )

    def provenance(self) -> dict[str, str]:
        """Return what the log should say of the robot and of what runs on it."""
        policies = {name: runner.policy for name, runner in self._runners.items()}
        return {
            "robot": self.spec.name,
            "robot_digest": self.spec.digest(),
            **{f"{name}_policy_sha256": policy.sha256 for name, policy in policies.items()},
            **{f"{name}_policy_origin": policy.origin for name, policy in policies.items()},
            "dynamics_digest": self.contexts.bank.dynamics_digest if self.contexts.bank else "",
            "context": self.contexts.robot_source,
            "terrain": self.contexts.terrain_name,
        }


def _to(position: np.ndarray, kp: np.ndarray, kd: np.ndarray) -> JointCommand:
    """Return the command to go to joint positions; every array its own."""
    return JointCommand(position.copy(), np.zeros(12), np.zeros(12), kp.copy(), kd.copy())
