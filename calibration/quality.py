"""Judge a log before anything is learned from it: every check is data, with one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration import ground
from calibration.read import RawLog, Series
from calibration.resample import STALE, Ticks
from calibration.wiring import check_wiring
from robots.spec import RobotSpec

OK, WARN, FAIL = "ok", "warn", "fail"
AGAIN, IT_AGAIN = "record the walk again", "record it again"

MIN_WALK, SHORT_WALK, FULL_WALK = 12.0, 17.0, 20.0  # s: the least, the least that is not warned of, what to walk
MIN_MOTION = 2.0  # s of moving joints below which a robot stood
BACKWARD = 0.02  # s that a clock may step back, as messages overtake each other
JUMP = 0.5  # s by which the headers' clock leaves the recorder's from one message to the next
CROWDED = 1.5  # times the usual number of messages in one second: two stretches of time on top of each other
MAX_MISSING = 0.1  # share of the walk
MAX_SATURATED, SOME_SATURATED = 0.25, 0.05  # share of the walk
AT_TORQUE, AT_POSITION = 0.95, 0.02  # share of the limit; rad
FALLEN = 45.0  # degrees of the body's tilt
MAX_SLOPE, SOME_SLOPE = 5.0, 3.0  # degrees of the ground, median over the walk's seconds
MAX_STEEP, SOME_STEEP = 10.0, 5.0  # the same, in the steepest tenth of the seconds
BEYOND = 0.1  # rad outside the limits: no joint of this robot gets there
OFF_POSE = 0.8  # rad between a joint's mean and the default pose
SPIKE_GYRO, SPIKE_JOINT = 50.0, 3.0  # rad/s; times the joint's velocity limit
GRAVITY_ANGLE = 15.0  # degrees between the accelerometer's mean and the orientation's up


@dataclass(frozen=True)
class Check:
    """One judgement of a log.

    Attributes:
        name: what was looked at.
        verdict: "ok", "warn" or "fail".
        text: one sentence; a warning or failure names the remedy.
    """

    name: str
    verdict: str
    text: str


def judge(log: RawLog, ticks: Ticks, spec: RobotSpec) -> list[Check]:
    """Return all checks of a log, the most telling first; those of the walk are left out where there is none."""
    checks = [
        check_robot(log, ticks, spec),
        check_numbers(log, spec),
        check_clock(log),
        check_rate(log, ticks, spec),
        check_walking(ticks, spec),
    ]
    if ticks.usable.any():
        checks += [
            check_gaps(ticks, spec),
            check_length(ticks, spec),
            check_pose(ticks, spec),
            check_joints(ticks, spec),
            check_saturation(ticks, spec),
            check_flat(ticks, spec),
            check_imu(ticks, spec),
        ]
    return checks


def refusal(checks: Sequence[Check]) -> str | None:
    """Return the sentence of the first failed check, if any."""
    return next((check.text for check in checks if check.verdict == FAIL), None)


def check_robot(log: RawLog, ticks: Ticks, spec: RobotSpec) -> Check:
    """Compare the robot that the log names, if it names one, and ask whose gains it walked with."""
    name, digest = log.metadata.get("robot"), log.metadata.get("robot_digest")
    if name not in (None, spec.name):
        return Check("robot", FAIL, f"the log is of a {name}, not of a {spec.name}: adapt with --robot {name}")
    if digest not in (None, spec.digest()):
        text = f"the log was recorded with other constants of the {spec.name} ({digest}, here {spec.digest()})"
        return Check("robot", FAIL, f"{text}: adapt with the version that recorded it, or {AGAIN}")
    if log.metadata.get(f"{ticks.state}_policy_origin") == "imported":
        text = "an imported policy walked, with gains of its own, and not the robot's calibration policy"
        return Check("robot", FAIL, f"{text}: walk as `dmcm field` or the state `calibrate` does and {IT_AGAIN}")
    return Check("robot", OK, f"{name} {digest}" if name else f"not named by the log, taken for a {spec.name}")


def check_numbers(log: RawLog, spec: RobotSpec) -> Check:
    """Look for values that are no numbers, or that no robot can reach."""
    names, axes = spec.joint_names, ("x", "y", "z")
    columns = [
        (log.imu, "angular_velocity", "IMU angular velocity", axes, np.full(3, SPIKE_GYRO)),
        (log.imu, "quaternion", "IMU orientation", ("w", "x", "y", "z"), np.full(4, 2.0)),
        (log.joints, "position", "measured position of", names, np.full(12, 100.0)),
        (log.joints, "velocity", "measured velocity of", names, SPIKE_JOINT * spec.velocity_limit),
        (log.commands, "position", "target of", names, np.full(12, 100.0)),
    ]
    for series, key, label, parts, limit in columns:
        values = series.values[key]
        for bad, what in (
            (~np.isfinite(values), "not a number"),
            (np.abs(np.nan_to_num(values)) > limit, "out of reach"),
        ):
            if bad.any():
                part = int(np.argmax(bad.sum(axis=0)))
                text = f"{label} {parts[part]} is {what} in {bad[:, part].sum()} of {len(values)} messages"
                return Check("numbers", FAIL, f"{text}: check that sensor and its driver, then {AGAIN}")
    flat = np.linalg.norm(log.imu.values["quaternion"], axis=1) < 0.5
    if flat.any():
        text = f"the IMU gives no orientation (quaternion near zero in {flat.sum()} of {len(flat)} messages)"
        return Check("numbers", FAIL, f"{text}: publish it, then {AGAIN}")
    return Check("numbers", OK, "all finite and in reach")


def check_clock(log: RawLog) -> Check:
    """Look for clocks that step back or jump."""
    remedy = f"keep the clock steady while recording (no time synchronisation), then {AGAIN}"
    for topic, series in (("IMU", log.imu), ("joint state", log.joints), ("joint command", log.commands)):
        for clock, time in (("recorder's", series.log_time), ("header's", series.stamp)):
            steps = np.diff(time)
            if (steps < -BACKWARD).any():
                back = int(np.argmin(np.where(np.isnan(steps), 0.0, steps)))
                text = f"the {clock} clock of the {topic} messages goes back {-steps[back]:.2f} s at {time[back]:.1f} s"
                return Check("clock", FAIL, f"{text}: {remedy}")
        # A recorder that stalls writes late while headers go on; only a header that jumps alone is a clock's fault.
        step = np.diff(series.stamp)
        jump = np.where(step > JUMP, step - np.diff(series.log_time), 0.0)
        if (jump > JUMP).any():
            at = int(np.argmax(jump))
            text = f"the clock of the {topic} messages jumps by {jump[at]:.2f} s at {series.log_time[at]:.1f} s"
            return Check("clock", FAIL, f"{text}: {remedy}")
        if (crowded := _crowded(series)) is not None:
            text = f"the {topic} messages come in double number at {crowded:.0f} s, as after a clock that went back"
            return Check("clock", FAIL, f"{text}: {remedy}, with one publisher for each topic")
    return Check("clock", OK, "steady")


def _crowded(series: Series) -> float | None:
    """Return the second of the log in which messages are far more than usual, None if there is none."""
    time = series.log_time if np.isnan(series.stamp).any() else series.stamp
    seconds, count = np.unique((time - time.min()).astype(int), return_counts=True)
    most = int(np.argmax(count))
    return float(seconds[most]) if len(count) >= 3 and count[most] > CROWDED * np.median(count) + 2 else None


def check_rate(log: RawLog, ticks: Ticks, spec: RobotSpec) -> Check:
    """Compare the rates of the messages with the policy's."""
    wanted = 1.0 / spec.control_dt
    rates = [(t, _rate(s)) for t, s in (("IMU", log.imu), ("joint state", log.joints), ("joint command", log.commands))]
    for topic, rate in rates:
        if rate < wanted / STALE:
            text = f"{topic} messages come at {rate:.0f} Hz, the policy runs at {wanted:.0f} Hz"
            return Check("rate", FAIL, f"{text}: record every message, on a faster disk or network")
    target = log.commands.values["position"]
    lasting = log.commands.log_time[-1] - log.commands.log_time[0]
    changes = float((target[1:] != target[:-1]).any(axis=1).sum() / max(lasting, spec.control_dt))
    if changes > CROWDED * wanted:
        text = f"joint targets change {changes:.0f} times a second, the policy runs at {wanted:.0f} Hz"
        return Check("rate", FAIL, f"{text}: record the policy's own targets, not interpolated ones")
    fact = ", ".join(f"{topic} {rate:.0f} Hz" for topic, rate in rates)
    age = float(np.mean(ticks.age[ticks.usable])) if ticks.usable.any() else 0.0
    if age > 0.5 * spec.control_dt:
        text = f"states are {1e3 * age:.0f} ms old when the commands answer them: record states at 200 Hz or more"
        return Check("rate", WARN, text)
    return Check("rate", OK, fact)


def _rate(series: Series) -> float:
    return 1.0 / max(float(np.median(np.diff(series.log_time))), 1e-6) if len(series) > 1 else 0.0


def check_walking(ticks: Ticks, spec: RobotSpec) -> Check:
    """Ask whether the joints move as in a walk."""
    moving = float((ticks.usable & ticks.moving).sum() * spec.control_dt)
    total = len(ticks.time) * spec.control_dt
    if moving >= MIN_MOTION:
        return Check("walking", OK, f"{moving:.1f} s of {total:.1f} s")
    asked = "" if ticks.command is None or not (np.abs(ticks.command) > 0.1).any() else ", though asked to walk"
    text = f"the robot stood still (its joints moved for {moving:.1f} s of {total:.1f} s){asked}"
    return Check("walking", FAIL, f"{text}: walk it for {FULL_WALK:.0f} s on flat ground and {IT_AGAIN}")


def check_gaps(ticks: Ticks, spec: RobotSpec) -> Check:
    """Add up what is missing between the walk's first and last tick."""
    walk = np.flatnonzero(ticks.usable)
    inside = slice(walk[0], walk[-1] + 1)
    steps = np.diff(ticks.time[inside])
    holes = steps[steps >= STALE * spec.control_dt] - spec.control_dt
    old = ticks.age[inside] > STALE * spec.control_dt
    ends = np.flatnonzero(np.diff(np.r_[False, old, False]))
    stale = (ends[1::2] - ends[::2]) * spec.control_dt
    missing = float(holes.sum() + stale.sum())
    total = float(ticks.time[walk[-1]] - ticks.time[walk[0]]) + spec.control_dt
    if missing == 0.0:
        return Check("gaps", OK, "none")
    longest = max([*holes, *stale])
    text = f"{missing:.2f} s of {total:.1f} s are missing (longest {longest:.2f} s)"
    if missing > MAX_MISSING * total:
        return Check("gaps", FAIL, f"{text}: record on the robot, not over the network, and {IT_AGAIN}")
    return Check("gaps", WARN, f"{text}: left out; record on the robot itself to avoid it")


def check_length(ticks: Ticks, spec: RobotSpec) -> Check:
    """Ask for enough usable walking."""
    walk = float((ticks.usable & ticks.moving).sum() * spec.control_dt)
    if walk < MIN_WALK - 1e-6:
        text = f"the log holds {walk:.1f} s of usable walking, {MIN_WALK:.0f} s are needed"
        return Check("length", FAIL, f"{text}: walk {FULL_WALK:.0f} s on flat ground and {IT_AGAIN}")
    if walk < SHORT_WALK:
        return Check("length", WARN, f"{walk:.1f} s of usable walking: {FULL_WALK:.0f} s tell the payload better")
    return Check("length", OK, f"{walk:.1f} s of usable walking")


def check_pose(ticks: Ticks, spec: RobotSpec) -> Check:
    """Compare the joints with the robot's limits and default pose."""
    position = ticks.part("joint_position")
    lower, upper = spec.position_limits
    absolute = position + spec.default_position
    beyond = np.maximum(lower - absolute, absolute - upper).max(axis=0)
    off = np.abs(position.mean(axis=0))
    remedy = f"check the encoders' zeros and signs, and that this is a {spec.name}"
    joint = int(np.argmax(beyond))
    if beyond[joint] > BEYOND:
        text = f"{spec.joint_names[joint]} goes {beyond[joint]:.2f} rad beyond the {spec.name}'s limits"
        return Check("pose", FAIL, f"{text}: {remedy}")
    joint = int(np.argmax(off))
    if off[joint] > OFF_POSE:
        text = f"{spec.joint_names[joint]} stays {off[joint]:.2f} rad from the {spec.name}'s default pose"
        return Check("pose", FAIL, f"{text}: {remedy}")
    return Check("pose", OK, f"within limits, at most {off[joint]:.2f} rad from the default pose on average")


def check_joints(ticks: Ticks, spec: RobotSpec) -> Check:
    """Ask whether every joint answers its own target."""
    position, velocity = ticks.part("joint_position"), ticks.part("joint_velocity")
    target = spec.action_scale * ticks.part("action")
    return Check("joints", *check_wiring(target, position, velocity, ticks.effort[ticks.usable], spec.joint_names))


def check_saturation(ticks: Ticks, spec: RobotSpec) -> Check:
    """Ask how long the joints are at their torque or position limits."""
    effort = np.abs(ticks.effort[ticks.usable])
    absolute = ticks.part("joint_position") + spec.default_position
    lower, upper = spec.position_limits
    share = {
        "torque": (effort >= AT_TORQUE * spec.torque_limit).mean(axis=0),  # NaN, unmeasured, is not at the limit
        "position": ((absolute <= lower + AT_POSITION) | (absolute >= upper - AT_POSITION)).mean(axis=0),
    }
    kind = max(share, key=lambda k: share[k].max())
    joint = int(np.argmax(share[kind]))
    worst = float(share[kind][joint])
    text = f"{spec.joint_names[joint]} is at its {kind} limit for {worst:.0%} of the walk"
    if worst > MAX_SATURATED:
        return Check("saturation", FAIL, f"{text}: lighten the load or walk more slowly, and {IT_AGAIN}")
    if worst > SOME_SATURATED:
        return Check("saturation", WARN, f"{text}: walk more slowly for a cleaner context")
    measured = "" if np.isfinite(effort).any() else " (torque not in the log)"
    return Check("saturation", OK, f"at most {worst:.0%} of the walk at a limit{measured}")


def check_flat(ticks: Ticks, spec: RobotSpec) -> Check:
    """Ask whether the ground is flat and the robot stays on its feet."""
    gravity = ticks.part("projected_gravity")
    lean = ground.tilt(gravity)
    if (lean > FALLEN).any():
        return Check("flat", FAIL, f"the robot fell (tilt {lean.max():.0f} degrees): {AGAIN}")
    slope = np.linalg.norm(ground.slopes(ticks.part("joint_position") + spec.default_position, gravity, spec), axis=1)
    usual, steep = float(np.median(slope)), float(np.percentile(slope, 90))
    text = f"the ground slopes {usual:.1f} degrees in most seconds and {steep:.1f} in the steepest"
    if usual > MAX_SLOPE or steep > MAX_STEEP:
        return Check("flat", FAIL, f"{text}: walk on flat ground, check the IMU's mounting, and {IT_AGAIN}")
    if usual > SOME_SLOPE or steep > SOME_STEEP:
        return Check("flat", WARN, f"{text}: make sure that the ground is flat and the IMU is level")
    return Check("flat", OK, f"slope {usual:.1f} degrees, body leaning {lean.mean():.1f}")


def check_imu(ticks: Ticks, spec: RobotSpec) -> Check:
    """Compare the IMU's parts with each other: orientation with accelerometer, and its change with the gyroscope."""
    gravity, rate = ticks.part("projected_gravity"), ticks.part("angular_velocity")
    remedy = "check the IMU's axes and the order of its quaternion (x y z w in ROS messages)"
    up, felt = -gravity.mean(axis=0), ticks.acceleration[ticks.usable].mean(axis=0)
    if np.isfinite(felt).all() and np.linalg.norm(felt) > 5.0:
        angle = float(np.degrees(np.arccos(np.clip(up @ felt / np.linalg.norm(up) / np.linalg.norm(felt), -1, 1))))
        if angle > GRAVITY_ANGLE:
            text = f"accelerometer and orientation disagree on up by {angle:.0f} degrees"
            return Check("imu", FAIL, f"{text}: {remedy}")
    lag = max(1, round(0.1 / spec.control_dt))
    same = ticks.segment[ticks.usable]
    whole = same[lag:] == same[:-lag]
    if whole.sum() < 10:
        return Check("imu", OK, "too short a stretch to compare")
    turned = (gravity[lag:] - gravity[:-lag])[whole]
    # Gravity is fixed in the world, so in the body it moves with -omega x gravity.
    flow = np.vstack([np.zeros(3), np.cumsum(-np.cross(rate, gravity), axis=0)]) * spec.control_dt
    expected = (flow[lag:-1] - flow[: -lag - 1])[whole]
    match = _correlation(turned[:, :2].ravel(), expected[:, :2].ravel())
    if match < -0.3:
        return Check("imu", FAIL, f"the gyroscope turns against the orientation (correlation {match:.2f}): {remedy}")
    if match < 0.3:
        return Check("imu", WARN, f"gyroscope and orientation hardly agree (correlation {match:.2f}): {remedy}")
    return Check("imu", OK, f"gyroscope and orientation agree (correlation {match:.2f})")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-12 else 0.0
