"""What each context knows: linear probes to the robot's factors and to the terrain, from the right and wrong one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dynamics_model.comparison import SECONDS, Bench
from dynamics_model.probes import r_squared, readings, ridge

SHOWN = ("payload", "kp_strength", "kd_strength", "torque_limit_scale", "joint_friction", "latency", "weak_leg_rr")
RATE, STEPS = 0.5, 20  # of the adaptation of terrain contexts, which nothing has tuned


@torch.no_grad()
def probes(bench: Bench, name: str) -> list[dict[str, Any]]:
    """Return the rows of a method: what can be read from robot contexts found on flat ground, and from terrains'."""
    train, data = bench.parts.train, bench.data
    context = "single" if bench.model.config.single else "robot"
    found = bench.adapt(train, SECONDS[-1], bench.flat)
    made = []
    for part, rows in bench.parts.test.items():
        held = bench.adapt(rows, SECONDS[-1], bench.flat)
        made += _factors(bench, found, train, held, rows, {"method": name, "split": part, "context": context})
    everywhere = torch.stack([bench.adapt(train, SECONDS[-1], column) for column in range(len(data.terrain_ids))], 1)
    held = torch.stack(
        [bench.adapt(bench.parts.test["id"], SECONDS[-1], column) for column in range(len(data.terrain_ids))], 1
    )
    about = {"method": name, "split": "id", "context": context}
    made.append({**about, "factor": "terrain", **_classes(everywhere, held)})
    if not bench.model.config.single:
        ground, ground_held = (terrain_contexts(bench, rows) for rows in (train, bench.parts.test["id"]))
        about = {**about, "context": "terrain"}
        made.append({**about, "factor": "terrain", **_classes(ground, ground_held)})
        stairs = ground[:, bench.stairs], ground_held[:, bench.stairs]
        made += _factors(bench, stairs[0], train, stairs[1], bench.parts.test["id"], about)
    return made


@torch.no_grad()
def spread(bench: Bench, name: str) -> dict[str, Any]:
    """Return how far contexts of one robot from several terrains differ over how far robots differ, and likewise."""
    rows = bench.parts.test["id"]
    everywhere = torch.stack([bench.adapt(rows, SECONDS[-1], c) for c in range(len(bench.data.terrain_ids))], 1)
    figures = {"method": name, "robot_within_between": _ratio(everywhere)}
    if not bench.model.config.single:
        figures["terrain_within_between"] = _ratio(terrain_contexts(bench, rows).transpose(0, 1))
    return figures


def terrain_contexts(bench: Bench, rows: Tensor) -> Tensor:
    """Return the terrain contexts adapted on each robot's log with its own robot context held, [R, K, terrain]."""
    learner, columns = bench.model.learner, []
    robot = bench.adapt(rows, SECONDS[-1], bench.flat)
    for column in range(len(bench.data.terrain_ids)):
        log = bench.data.log(bench.data.grid[rows, column], 0, bench.transitions(SECONDS[-1], column), bench.noise)
        found = learner.adapt(
            bench.model.normalise(log), STEPS, only="terrain", given={"robot": robot}, rate=learner.rate() * RATE
        )
        columns.append(found[:, learner.slices["terrain"]])
    return torch.stack(columns, 1)


def _factors(
    bench: Bench, found: Tensor, train: Tensor, held: Tensor, rows: Tensor, about: dict[str, Any]
) -> list[dict[str, Any]]:
    names, units, values = readings(bench.data)
    weights, bias = ridge(found, values[train])
    read, true = held @ weights + bias, values[rows]
    score, error = r_squared(read, true), (read - true).abs().median(0).values
    return [
        {**about, "factor": n, "unit": units[i], "r2": float(score[i]), "median_error": float(error[i]), "noise": True}
        for i, n in enumerate(names)
        if n in SHOWN
    ]


def _classes(contexts: Tensor, held: Tensor) -> dict[str, Any]:
    """Return how well a linear map tells terrains from contexts [R, K, size]: share of variance, share told wrong."""
    count = contexts.shape[1]
    weights, bias = ridge(contexts.flatten(0, 1), torch.eye(count).repeat(len(contexts), 1))
    told, true = held.flatten(0, 1) @ weights + bias, torch.eye(count).repeat(len(held), 1)
    wrong = (told.argmax(1) != true.argmax(1)).float().mean()
    return {
        "unit": "share wrong",
        "r2": float(r_squared(told, true).mean()),
        "median_error": float(wrong),
        "noise": True,
    }


def _ratio(contexts: Tensor) -> float:
    """Return the variance along the second dimension over that of the means along the first, of [A, B, size]."""
    return float(contexts.var(1).mean() / contexts.mean(1).var(0).mean().clamp_min(1e-12))
