"""Reads the context bank for training: which robots, and which terrain context for every tile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from robots.spec import RobotSpec
from sim.env import ContextTable
from sim.factors import FACTOR_NAMES, FactorRanges
from sim.terrain import KINDS, LEVELS, name


def load_table(path: Path, spec: RobotSpec, ranges: FactorRanges) -> ContextTable:
    """Return the bank's robots that lie in `ranges`, and its terrain contexts by kind and level.

    A tile whose own terrain is not in the bank takes the nearest level of its kind.

    Raises:
        FileNotFoundError: if there is no bank.
        ValueError: if the bank belongs to another robot, or has no robot in the ranges or no terrain of a kind.
    """
    if not path.exists():
        raise FileNotFoundError(f"no context bank at {path}: train the dynamics model first (dmcm train dynamics)")
    with safe_open(path, framework="np") as bank:
        meta = json.loads(bank.metadata()["dmcm"])
        arrays = {key: bank.get_tensor(key).astype(float) for key in bank.keys()}
    if meta["robot"] != spec.name:
        raise ValueError(f"{path} was made for robot '{meta['robot']}', not '{spec.name}'")
    if tuple(meta["factor_names"]) != FACTOR_NAMES:
        raise ValueError(f"{path} names other robot factors than this version: train the dynamics model again")
    inside = ranges.contains(arrays["robot_factors"])
    if not inside.any():
        raise ValueError(f"{path} has no robot inside the policy's factor ranges")
    terrain = _tile_contexts(path, list(meta["terrains"]), arrays["terrain_contexts"])
    return ContextTable(arrays["robot_factors"][inside], arrays["robot_contexts"][inside], terrain)


def _tile_contexts(path: Path, names: list[str], contexts: np.ndarray) -> np.ndarray:
    table = np.zeros((len(KINDS), LEVELS, contexts.shape[1]))
    for k, kind in enumerate(KINDS):
        known = [level for level in range(LEVELS) if name(kind, level) in names]
        if not known:
            raise ValueError(f"{path} has no terrain of kind '{kind}'")
        for level in range(LEVELS):
            nearest = min(known, key=lambda other: abs(other - level))
            table[k, level] = contexts[names.index(name(kind, nearest))]
    return table
