"""What the sine benchmark measures of trained learners: adaptation, zero-shot swaps, disentanglement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dynamics_model.meta import Batch, ContextLearner, Learner
from dynamics_model.sine import RANGE, Exclusion, SineTasks, sine

STEPS, BASE_STEPS, GRID, CHUNK = 10, 3, 100, 100
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}

Measured = dict[tuple[str, int], Tensor]


def measure(learner: Learner, exclusions: list[Exclusion], count: int = 1000, keep: bool = False) -> Measured:
    """Return errors by (metric, steps), each [M, count] for M stacked models; the same tasks for every learner.

    - "id", "ood": mean squared error after joint steps from zero, on tasks of the trained range and the excluded.
    - "one_factor": one factor of a task adapted with 3 steps changes; then only its context moves. A learner without
      named contexts starts anew: going on from what it had is worse.
    - "swap_id", "swap_ood": the amplitude context of one sine with the phase context of another, each adapted alone;
      no step on the composed task. "unswapped_id": the same task predicted with either source's whole context.
    - "phase_still", "phase_moved": distance that the phase context moves when only the amplitude changes, and when
      the phase does; "amplitude_still", "amplitude_moved" the other way round.

    Args:
        learner: its contexts, if it has several, are the amplitude's and the phase's, in this order, then others.
        exclusions: of every model.
        count: test tasks.
        keep: the changed context starts where it was, not at zero.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(20260101)
        chunks = [_measure(learner, exclusions, min(CHUNK, count - i), keep) for i in range(0, count, CHUNK)]
    return {key: torch.cat([chunk[key] for chunk in chunks], -1) for key in chunks[0]}


def _measure(learner: Learner, exclusions: list[Exclusion], count: int, keep: bool) -> Measured:
    tasks = SineTasks(exclusions, **_place(learner))
    found: Measured = {}
    trained, left_out = tasks.draw(count), tasks.draw_excluded(count)
    for name, factors in (("id", trained), ("ood", left_out)):
        for step, adapted in enumerate(learner.path(_points(tasks, factors), STEPS)):
            found[name, step] = error(learner, factors, adapted)
    found |= dict(_one_factor(learner, tasks, trained, keep))
    if isinstance(learner, ContextLearner) and len(learner.names) > 1:
        found |= dict(_swaps(learner, tasks, trained, "id"))
        found |= dict(_swaps(learner, tasks, left_out, "ood"))
    return found


def error(learner: Learner, factors: Tensor, adapted: Any) -> Tensor:
    """Return the mean squared error on the grid, [M, B]."""
    x = torch.linspace(-RANGE, RANGE, GRID, device=factors.device, dtype=factors.dtype)[:, None]
    x = x.expand(*factors.shape[:-1], GRID, 1)
    return learner.losses(Batch(x, sine(factors, x)), adapted)


def _one_factor(learner: Learner, tasks: SineTasks, factors: Tensor, keep: bool) -> Iterator[tuple[tuple, Tensor]]:
    which = torch.arange(factors.shape[1], device=factors.device).expand(factors.shape[:-1]) % 2
    start = only = None
    if isinstance(learner, ContextLearner) and len(learner.names) > 1:
        only, start = learner.mask(which), learner.adapt(_points(tasks, factors), BASE_STEPS)
        start = start if keep else start * ~only
    changed = tasks.change(factors, which)
    for step, adapted in enumerate(learner.path(_points(tasks, changed), STEPS, given=start, only=only)):
        yield ("one_factor", step), error(learner, changed, adapted)


def _swaps(
    learner: ContextLearner, tasks: SineTasks, target: Tensor, name: str
) -> Iterator[tuple[tuple[str, int], Tensor]]:
    whole = torch.zeros_like(target[..., 0], dtype=torch.long)
    same_amplitude, same_phase = tasks.change(target, whole + 1), tasks.change(target, whole)
    alone = (tasks.corner[..., 1] == 0)[..., None]  # a range excluded: such an amplitude has no partner in training
    anywhere = torch.stack([target[..., 0], torch.rand_like(target[..., 1])], -1)
    same_amplitude = torch.where(alone & torch.tensor(name == "ood"), anywhere, same_amplitude)
    paths = [learner.path(_points(tasks, f), 5) for f in (same_amplitude, same_phase, target)]
    amplitude, phase = learner.names[:2]
    for step, (a, p, own) in enumerate(zip(*paths, strict=True)):
        swapped = learner.recombine({n: p if n == phase else a for n in learner.names})
        yield (f"swap_{name}", step), error(learner, target, swapped)
        yield (f"unswapped_{name}", step), (error(learner, target, a) + error(learner, target, p)) / 2
        if name == "id":
            moved = {n: [(learner.split(c - own)[n]).norm(dim=-1) for c in (a, p)] for n in (amplitude, phase)}
            yield ("phase_still", step), moved[phase][1]
            yield ("phase_moved", step), moved[phase][0]
            yield ("amplitude_still", step), moved[amplitude][0]
            yield ("amplitude_moved", step), moved[amplitude][1]


def _points(tasks: SineTasks, factors: Tensor) -> Batch:
    return tasks.sample(factors, "support")._replace(weight=None)


def _place(learner: Learner) -> dict[str, Any]:
    first = next(learner.parameters())
    return {"device": first.device, "dtype": first.dtype}


RATIOS = {  # of seed means: name, over
    "swap_gain_id": ("swap_id", "unswapped_id"),
    "swap_gain_ood": ("swap_ood", "unswapped_ood"),
    "phase_leak": ("phase_still", "phase_moved"),
    "amplitude_leak": ("amplitude_still", "amplitude_moved"),
}


def rows(method: str, found: Measured, exclusions: list[Exclusion]) -> list[dict[str, Any]]:
    """Return rows {method, exclusion, metric, steps, mean, ci95, seeds} over the models of each exclusion.

    `ci95` is half the 95 % confidence interval of the mean over seeds (Student's t); with one seed, over its tasks.
    """
    made = []
    for exclusion in dict.fromkeys(exclusions):
        models = [i for i, e in enumerate(exclusions) if e == exclusion]
        errors = {key: value[models].double() for key, value in found.items()}
        means = {key: value.mean(-1) for key, value in errors.items()}
        for name, (over, under) in RATIOS.items():
            means |= {(name, s): v / means[under, s] for (m, s), v in list(means.items()) if m == over and s > 0}
        for (metric, steps), value in means.items():
            if ("ood" in metric and exclusion.kind == "none") or metric.endswith(("_still", "_moved")):
                continue
            made.append(
                {
                    "method": method,
                    "exclusion": str(exclusion),
                    "metric": metric,
                    "steps": steps,
                    "mean": float(value.mean()),
                    "ci95": _half_width(value, errors.get((metric, steps))),
                    "seeds": len(models),
                }
            )
    return made


def _half_width(seed_means: Tensor, errors: Tensor | None) -> float | None:
    count = len(seed_means)
    if count > 1:
        return float(T95.get(count, 1.96) * seed_means.std() / math.sqrt(count))
    return None if errors is None else float(1.96 * errors[0].std() / math.sqrt(errors.shape[-1]))


EXAMPLES = ((0.9, 0.25), (0.3, 0.8))  # normalised amplitude and phase of two sines; the first's amplitude with the
# second's phase lies in a block of 25 % left out


def fits(learner: Learner, models: int, model: int) -> dict[str, Any]:
    """Return curves of one of the stacked models for a figure: two sines, and both ways to swap their contexts.

    Keys: "x", "support" (x and y of either sine), "true" and "predicted", each the curves of sine 1, sine 2, sine 1
    with the other's phase, sine 2 with the other's phase; a prediction is None where there is nothing to swap.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        place = _place(learner)
        tasks = SineTasks([Exclusion()] * models, **place)
        one, two = EXAMPLES
        shown = torch.tensor([one, two, (one[0], two[1]), (two[0], one[1])], **place).expand(models, 4, 2)
        x = torch.linspace(-RANGE, RANGE, GRID, **place)[:, None].expand(models, 4, GRID, 1)
        support = _points(tasks, shown[:, :2].contiguous())
        adapted = learner.adapt(support, BASE_STEPS)
        predicted = [*learner.predict(x[:, :2], adapted)[model, ..., 0].tolist(), None, None]
        if isinstance(learner, ContextLearner) and len(learner.names) > 1:
            phase = learner.names[1]
            swapped = learner.recombine({n: adapted.flip(1) if n == phase else adapted for n in learner.names})
            predicted[2:] = learner.predict(x[:, 2:], swapped)[model, ..., 0].tolist()
        true = sine(shown, x)[model, ..., 0].tolist()
        points = [[c[model, k, :, 0].tolist() for c in (support.x, support.y)] for k in (0, 1)]
    return {"x": x[0, 0, :, 0].tolist(), "support": points, "true": true, "predicted": predicted}
