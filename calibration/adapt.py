"""Find the robot's context by gradient steps on a walk, and say how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.errors import RefusedError
from calibration.model import DynamicsModel, Probe
from calibration.resample import Samples

HELD_OUT = 4.0  # s at the end of the log, on which the context is judged
HELD_OUT_SHARE = 0.25  # of a log shorter than 16 s
LONGEST = 60.0  # s of the log's end that are used
BLOCK = 1.0  # s: what lies within is taken to be correlated
SPLITS = 4  # random halvings of the blocks, two adaptations each
KNOWN_R2 = 0.5  # a probe that explains less of the variance knows nothing
CLEARLY = 0.9  # ratio of two contexts' errors, below which one is better than the other by more than chance


@dataclass(frozen=True)
class Reading:
    """What a probe reads from the context.

    Attributes:
        name, unit, value: such as payload, kg, 1.4.
        spread: standard deviation of the value over parts of the log, in the unit; None without halvings.
        r2, median_error: of the probe on robots that it was not fitted to.
        known: whether the probe is good enough to be believed.
    """

    name: str
    unit: str
    value: float
    spread: float | None
    r2: float
    median_error: float
    known: bool


@dataclass(frozen=True)
class Adaptation:
    """The robot's context and what is known about it.

    Attributes:
        context: (n,).
        uncertainty: standard deviation of every entry, from adapting to halves of the log, (n,); NaN without halvings.
        before, after: held-out error with the nominal and with the found context, in units of the targets' variance.
        readings: in the order of the model's probes.
        samples: transitions adapted on.
        nominal: whether the nominal context was kept, because none better was found.
    """

    context: np.ndarray
    uncertainty: np.ndarray
    before: float
    after: float
    readings: tuple[Reading, ...]
    samples: int
    nominal: bool = False


def adapt(
    model: DynamicsModel,
    samples: Samples,
    terrain: np.ndarray,
    nominal: np.ndarray,
    dt: float,
    seed: int = 0,
    splits: int = SPLITS,
) -> Adaptation:
    """Return the context of the robot that made the samples.

    A robot that differs from the nominal one by noise alone, or by so little that the walk's end is not predicted
    clearly worse nor at all better with the context found, keeps the nominal context.

    Args:
        model: the dynamics model.
        samples: transitions of one walk in order of time.
        terrain: context of the ground that was walked on, (n,).
        nominal: context of the robot as it is built, (n,).
        dt: control period, s.
        seed: of the halvings.
        splits: how many halvings uncertainty and spreads rest on; with 0 they are not known, nor can they be from a few
            seconds: halves scatter as much for robots that are read well. What is found does not depend on it.

    Raises:
        RefusedError: if there are too few samples, or if the context found predicts the walk's end clearly worse than
            the nominal one although it fits the rest better.
    """
    learn, judge = split(samples, model.history, dt)
    start = np.zeros(model.robot_size)
    context = descend(model, learn, start, terrain)
    before, after = (float(model.error(judge, robot, terrain).mean()) for robot in (nominal, context))
    keep = not after < before
    if keep and not CLEARLY * after <= before and not _is_nominal(model, learn, terrain, nominal, context):
        raise RefusedError(
            f"the context found predicts the end of the walk worse than the nominal robot's (error {after:.4g} against "
            f"{before:.4g}), though it fits the rest: walk on flat ground as `calibrate` does and record it again"
        )
    if keep:
        context, after = np.array(nominal, dtype=float), before
    differences = halves(model, learn, start, terrain, dt, seed, splits) if splits else None
    return Adaptation(
        context=context,
        uncertainty=np.full(len(context), np.nan) if differences is None else _spread(differences),
        before=before,
        after=after,
        readings=read_probes(model.probes, context, differences),
        samples=len(learn),
        nominal=keep,
    )


def _is_nominal(
    model: DynamicsModel, learn: Samples, terrain: np.ndarray, nominal: np.ndarray, context: np.ndarray
) -> bool:
    """Return whether a context that fails on the walk's end gained nothing on the rest either."""
    if not np.isfinite(context).all():
        return False
    known, found = (float(model.error(learn, robot, terrain).mean()) for robot in (nominal, context))
    return np.isfinite(known) and not found < CLEARLY * known


def split(samples: Samples, history: int, dt: float) -> tuple[Samples, Samples]:
    """Return the samples to learn from and the last ones, held out; no frame is in both.

    Raises:
        RefusedError: if the walk is in too many pieces to leave enough.
    """
    used = samples.take(slice(-round(LONGEST / dt), None))
    held = round(min(HELD_OUT, HELD_OUT_SHARE * len(used) * dt) / dt)
    judge = used.take(slice(len(used) - held, None))
    first = judge.tick[0] - history + 1 if held else 0
    learn = used.take(used.tick + 1 < first)
    if len(learn) * dt < 2 * BLOCK or held * dt < BLOCK:
        raise RefusedError(
            f"only {len(used) * dt:.1f} s of uninterrupted steps are left of the walk: record it again without gaps"
        )
    return learn, judge


def descend(model: DynamicsModel, samples: Samples, start: np.ndarray, terrain: np.ndarray) -> np.ndarray:
    """Return the robot context after the model's gradient steps, (n,)."""
    context = np.array(start, dtype=float)
    for _ in range(model.steps):
        context = context - model.rate * model.loss_and_gradient(samples, context, terrain)[1]
    return context


def halves(
    model: DynamicsModel,
    samples: Samples,
    start: np.ndarray,
    terrain: np.ndarray,
    dt: float,
    seed: int,
    splits: int = SPLITS,
) -> np.ndarray:
    """Return half the difference of the contexts of the two halves of random splits of one-second blocks, (s, n).

    Two halves are two independent robots' worth of data, so half their difference scatters as the whole's context does:
    a bootstrap over blocks that needs half the samples.
    """
    block = ((samples.tick - samples.tick[0]) * dt // BLOCK).astype(int)
    names = np.unique(block)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        first = np.isin(block, random.permutation(names)[: len(names) // 2])
        one, other = (descend(model, samples.take(rows), start, terrain) for rows in (first, ~first))
        found.append((one - other) / 2)
    return np.array(found)


def read_probes(probes: Sequence[Probe], context: np.ndarray, differences: np.ndarray | None) -> tuple[Reading, ...]:
    """Return what the probes read from the context; `differences` as from `halves`, (s, n), or None."""
    return tuple(
        Reading(
            name=probe.name,
            unit=probe.unit,
            value=float(probe.read(context)),
            spread=None if differences is None else float(_spread(differences @ probe.weights)),
            r2=probe.r2,
            median_error=probe.median_error,
            known=probe.r2 >= KNOWN_R2,
        )
        for probe in probes
    )


def _spread(differences: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(differences**2, axis=0))
