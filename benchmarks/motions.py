"""The motions that `dmcm bench motion` compares: what a robot may be told to do for 20 s."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy.calibration_motion import MOTION, Motion, Phase

SECONDS = 20.0
REACH = 1.1  # m from the start, what a random walk may use of the 3 x 3 m
STEP = 1.0  # s that a random walk keeps a velocity
FASTEST = (0.8, 0.4, 1.0)
COMPENSATED = "compensated"  # the shipped motion as `dmcm field --compensate` walks it, its first seconds twice
UNSTEERED = ("forward", "circle", "unsteered")  # the two at constant speed, and the shipped phases left alone


def candidates() -> dict[str, Motion]:
    """Return all motions by name; all but `UNSTEERED` are steered to stay near their start (`deploy.steer`)."""
    slow = [replace(phase, velocity=tuple(0.5 * v for v in phase.velocity)) for phase in MOTION.phases]
    return {
        "shipped": MOTION,
        COMPENSATED: MOTION,
        "unsteered": MOTION,
        "forward": Motion([Phase("forward", SECONDS, (0.5, 0.0, 0.0))]),
        "circle": Motion([Phase("circle", SECONDS, (0.5, 0.0, 0.5))]),
        "slow": Motion(slow),
        "standing": _half_standing(),
        "shuttle": _shuttle(),
        "random": random_steps(),
        "pendulum": _pendulum(),
        "arcs": _arcs(),
        "circles": _circles(),
    }


def _phases(*parts: tuple[float, float, float, float]) -> Motion:
    """Return the motion of (seconds, forward, left, turning)."""
    return Motion([Phase("", part[0], (part[1], part[2], part[3])) for part in parts])


def _pendulum() -> Motion:
    """Return a walk forward and, twice as long, backward, with stands: robots walk back more slowly than told."""
    return _phases(
        *[(1.0, 0, 0, 0), (1.2, 0.4, 0, 0), (2.0, -0.6, 0, 0), (1.0, 0.8, 0, 0), (2.4, -0.8, 0, 0), (0.8, 0, 0, 0)],
        *[(1.6, 0.6, 0, 0), (2.4, -0.7, 0, 0), (0.8, 0, 0, 0), (1.2, 0.5, 0, 0), (1.8, -0.5, 0, 0)],
        *[(1.0, 0.7, 0, 0), (2.0, -0.7, 0, 0), (0.8, 0, 0, 0)],
    )


def _arcs() -> Motion:
    """Return the shipped motion without steps to the side and turns on the spot, which topple soft robots."""
    return _phases(
        *[(1.0, 0, 0, 0), (1.2, 0.4, 0, 0), (0.9, 0.8, 0, 0), (1.8, -0.6, 0, 0), (1.6, 0.3, 0, 0.8), (0.8, 0, 0, 0)],
        *[(1.6, 0.3, 0, -0.8), (1.5, -0.7, 0, 0), (1.2, 0.6, 0, 0), (1.8, 0.5, 0, -0.8), (0.8, 0, 0, 0)],
        *[(1.8, 0.5, 0, 0.8), (1.2, -0.5, 0, 0), (1.0, 0.7, 0, 0), (1.0, -0.6, 0, 0), (0.8, 0, 0, 0)],
    )


def _circles() -> Motion:
    """Return a circle to the left and one to the right at several speeds, with stands."""
    return _phases(
        *[(1.0, 0, 0, 0), (2.6, 0.3, 0, 0.9), (2.6, 0.5, 0, 1.0), (2.0, 0.7, 0, 1.2), (1.0, 0, 0, 0)],
        *[(2.0, 0.7, 0, -1.2), (2.4, 0.5, 0, -1.0), (2.0, 0.3, 0, -0.9), (0.8, 0, 0, 0)],
        *[(1.4, 0.6, 0, 1.0), (1.4, 0.4, 0, -1.0), (0.8, 0, 0, 0)],
    )


def _half_standing() -> Motion:
    """Return the shipped motion with its phases cut to half, and as long a stand after each."""
    phases = []
    for phase in MOTION.phases:
        phases.append(replace(phase, seconds=0.5 * phase.seconds))
        phases.append(Phase("stand", 0.5 * phase.seconds, (0.0, 0.0, 0.0)))
    return Motion(phases)


def _shuttle() -> Motion:
    """Return a walk forward and backward along one line, faster every time."""
    phases = []
    for speed in (0.3, 0.5, 0.7, 0.8, 0.6):
        phases += [Phase("forward", 2.0, (speed, 0.0, 0.0)), Phase("backward", 2.0, (-speed, 0.0, 0.0))]
    return Motion(phases)


def random_steps(seed: int = 0) -> Motion:
    """Return velocities drawn anew every second; those that lead out of the area are taken back."""
    rng, phases, failed = np.random.default_rng(seed), [Phase("stand", STEP, (0.0, 0.0, 0.0))], 0
    while len(phases) < round(SECONDS / STEP):
        drawn = tuple(float(v) for v in rng.uniform(-1.0, 1.0, 3) * FASTEST)
        longer = [*phases, Phase("random", STEP, drawn)]
        inside = np.abs(Motion(longer).ideal_path(0.05)[:, :2]).max() < REACH
        failed = 0 if inside else failed + 1
        phases = longer if inside else phases[: max(1, len(phases) - failed // 10)]
    return Motion(phases)
