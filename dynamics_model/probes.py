"""Plain readings of a robot context: linear probes to kilograms and gains, judged on held-out robots."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics_model.dataset import Dataset

LEGS = ("weak_leg_fl", "weak_leg_fr", "weak_leg_rl", "weak_leg_rr")
PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
GATE = ("payload", "kp_strength", "kd_strength")


@dataclass(frozen=True)
class Probe:
    """A linear reading: value = weights . context + bias.

    Attributes:
        name, unit: what is read.
        weights, bias: of the reading.
        r2: share of the variance explained on robots that took no part in training or fitting.
        median_error: median absolute error on those, in `unit`.
    """

    name: str
    unit: str
    weights: list[float]
    bias: float
    r2: float
    median_error: float

    def metadata(self) -> dict[str, Any]:
        """Return the probe as a JSON-ready dictionary."""
        return asdict(self)


def readings(data: Dataset) -> tuple[list[str], list[str], Tensor]:
    """Return names, units and true values [R, P] of what there is to read of every robot.

    A leg's strength scales its gains, so the gains that act are the nominal ones times the legs' mean strength.
    Factors that do not vary are left out.
    """
    column = {name: data.factors[:, i] for i, name in enumerate(data.factor_names)}
    unit = dict(zip(data.factor_names, data.factor_units, strict=True))
    legs = [column[name] for name in LEGS if name in column]
    strength = torch.stack(legs).mean(0) if legs else torch.ones(len(data.factors))
    found: list[tuple[str, str, Tensor]] = []
    for name, values in column.items():
        if name in ("kp_scale", "kd_scale"):
            found.append((name.replace("scale", "strength"), "x", values * strength))
        elif name in ("payload_x", "payload_y") and "payload" in column:
            found.append((f"payload_moment_{name[-1]}", f"{unit['payload']} {unit[name]}", values * column["payload"]))
        else:
            found.append((name, unit[name], values))
    found = [entry for entry in found if float(entry[2].std()) > 1e-6]
    if not found:
        return [], [], torch.zeros(len(data.factors), 0)
    names, units, values = zip(*found, strict=True)
    return list(names), list(units), torch.stack(values, 1)


def ridge(contexts: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights [D, P] and bias [P] of ridge regression, each column's penalty chosen by leaving one out."""
    x = contexts.double()
    mean, centre = x.mean(0), values.double().mean(0)
    u, s, vt = torch.linalg.svd(x - mean, full_matrices=False)
    y = values.double() - centre
    best_error = torch.full((values.shape[1],), float("inf"), dtype=torch.float64)
    best = torch.zeros(x.shape[1], values.shape[1], dtype=torch.float64)
    scale = s.square().mean().clamp_min(1e-12)
    for penalty in PENALTIES:
        shrink = s.square() / (s.square() + penalty * scale)
        residual = y - u @ (shrink[:, None] * (u.T @ y))
        leverage = (u.square() * shrink).sum(1, keepdim=True) + 1.0 / len(x)
        error = (residual / (1.0 - leverage).clamp_min(1e-3)).square().mean(0)
        weights = vt.T @ ((shrink / s.clamp_min(1e-12))[:, None] * (u.T @ y))
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best = torch.where(better, weights, best)
    return best.float(), (centre - mean @ best).float()


def r_squared(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the share of each column's variance that is explained, [P]."""
    return 1.0 - (predicted - true).square().sum(0) / (true - true.mean(0)).square().sum(0).clamp_min(1e-12)


def farther(data: Dataset, robots: Tensor) -> Tensor:
    """Return which half of `robots` (rows), at least three, is farther from the nominal one, as places in `robots`.

    Factors are measured by their spread; without a robot 0 the mean robot takes its place.
    """
    factors = data.factors
    nominal = factors[data.robot_ids.index(0)] if 0 in data.robot_ids else factors.mean(0)
    off = ((factors[robots] - nominal) / factors.std(0).clamp_min(1e-6)).square().sum(1)
    return off.argsort(descending=True)[: max(3, len(robots) // 2)].sort().values


def fit_probes(data: Dataset, train: Tensor, contexts: Tensor, held: Tensor, held_contexts: Tensor) -> list[Probe]:
    """Return one probe per reading, fitted on the robots `train` (rows) and judged on `held`.

    Their contexts are [R, robot] each. Legs are judged together: hardly any robot has a given leg weak.

    Raises:
        ValueError: if there are fewer than 3 robots on either side.
    """
    if min(len(train), len(held)) < 3:
        raise ValueError(f"probes: {len(train)} training and {len(held)} held-out robots are too few, collect more")
    names, units, values = readings(data)
    weights, bias = ridge(contexts, values[train])
    predicted, true = held_contexts @ weights + bias, values[held]
    score, error = r_squared(predicted, true), (predicted - true).abs().median(0).values
    legs = [i for i, name in enumerate(names) if name in LEGS]
    if legs:
        score[legs] = r_squared(predicted[:, legs].reshape(-1, 1), true[:, legs].reshape(-1, 1))
    return [
        Probe(name, unit, weights[:, i].tolist(), float(bias[i]), float(score[i]), float(error[i]))
        for i, (name, unit) in enumerate(zip(names, units, strict=True))
    ]


def gate(probes: list[Probe]) -> float:
    """Return the mean R2 of the readings that matter in the field, of all where none of these is known."""
    chosen = [p.r2 for p in probes if p.name in GATE] or [p.r2 for p in probes]
    return sum(max(r, -1.0) for r in chosen) / len(chosen) if chosen else 0.0
