"""Tell whether joints are swapped, reversed or stuck.

A joint's torque is its gains' answer to its own target, position and velocity, whatever the ground does: so of all
targets its own must explain best what its position and velocity leave open. How well positions follow targets tells
little: under load a soft joint hardly follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DELAYS = (1, 2)  # control periods between a target and the torque that answers it
SWAPPED = 0.06  # by how much two joints answer each other's targets better than their own, sum of the two
MIXED = 0.2  # the same for one joint
ANSWERS = 0.5  # partial correlation from which a joint answers a target
STUCK, ASKED = 0.005, 0.05  # spread of a joint that does not move, and of a target that asks it to, rad
SHORTEST = 100  # ticks


def check_wiring(
    target: np.ndarray, position: np.ndarray, velocity: np.ndarray, effort: np.ndarray, joint_names: Sequence[str]
) -> tuple[str, str]:
    """Return verdict and sentence on whether every joint answers its own target.

    Args:
        target: joint targets at the ticks of a walk, rad, (t, n).
        position: measured positions at the same ticks, rad, (t, n).
        velocity: measured velocities, rad/s, (t, n).
        effort: measured torques, N m, NaN where unknown, (t, n).
        joint_names: n names.
    """
    if len(target) < SHORTEST:
        return "ok", "too short a walk to compare joints with their targets"
    stuck = [n for n, q, u in zip(joint_names, position.std(0), target.std(0), strict=True) if q < STUCK and u > ASKED]
    if stuck:
        return "fail", f"{', '.join(stuck)} does not move though its target does: check motor and encoder"
    if not np.isfinite(effort).all() or (effort.std(axis=0) < 1e-6).any():
        return "warn", "joint torques are not in the log, so swapped joints cannot be told: record effort too"
    answer = answers(target, position, velocity, effort)
    own = np.diag(answer)
    remedy = "give every joint its own name in state and command messages, then record the walk again"
    pairs = swapped_pairs(answer)
    if pairs:
        found = ", ".join(f"{joint_names[i]} and {joint_names[j]}" for i, j in pairs[:3])
        found += f", and {len(pairs) - 3} pairs more" if len(pairs) > 3 else ""
        return "fail", f"joints look swapped, each answers the other's target ({found}): {remedy}"
    weakest = int(np.argmin(own))
    if own[weakest] < -ANSWERS:
        return "fail", f"{joint_names[weakest]} works against its target: check its sign, then record the walk again"
    for i in np.argsort(own):
        j = int(np.argmax(answer[i]))
        if answer[i, j] > max(ANSWERS, own[i] + MIXED):
            return "fail", f"{joint_names[i]} answers the target of {joint_names[j]}, not its own: {remedy}"
    fact = f"weakest {joint_names[weakest]}, partial correlation {own[weakest]:.2f}"
    if own[weakest] < ANSWERS / 2:
        return "warn", f"torques hardly answer the targets ({fact}): check that effort is the measured torque"
    return "ok", f"every joint answers its own target ({fact})"


def answers(target: np.ndarray, position: np.ndarray, velocity: np.ndarray, effort: np.ndarray) -> np.ndarray:
    """Return how much each joint's torque (row) answers each target (column), (n, n).

    It is the partial correlation of torque and target given the joint's own position and velocity, at the delay where
    it is strongest.
    """
    longest, count = max(DELAYS), effort.shape[1]
    best = np.zeros((count, count))
    for i in range(count):
        known = np.column_stack([np.ones(len(effort) - longest), position[longest:, i], velocity[longest:, i]])
        basis = np.linalg.qr(known)[0]
        torque = _remove(basis, effort[longest:, i])
        for delay in DELAYS:
            asked = _remove(basis, target[longest - delay : len(target) - delay])
            scale = np.linalg.norm(torque) * np.linalg.norm(asked, axis=0)
            here = torque @ asked / np.maximum(scale, 1e-12)
            best[i] = np.where(np.abs(here) > np.abs(best[i]), here, best[i])
    return best


def swapped_pairs(answer: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of joints that answer each other's target, the plainest first, each joint in one pair at most."""
    own = np.diag(answer)
    gain = answer + answer.T - own[:, None] - own[None, :]
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for flat in np.argsort(-gain, axis=None):
        i, j = (int(k) for k in np.unravel_index(flat, gain.shape))
        if gain[i, j] <= SWAPPED:
            break
        if i < j and not taken & {i, j} and answer[i, j] + answer[j, i] > 2 * ANSWERS:
            pairs.append((i, j))
            taken |= {i, j}
    return sorted(pairs)


def _remove(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values - basis @ (basis.T @ values)
