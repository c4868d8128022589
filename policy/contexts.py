"""What contexts a policy's training sees: which robots, and which terrain context for every tile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

import robots
from policy.config import PolicyConfig
from policy.modes import NEEDS_BANK, Mode
from robots.spec import RobotSpec
from sim import truth
from sim.contexts import ContextTable
from sim.factors import FACTOR_NAMES, RANGES
from sim.terrain import KINDS, LEVELS, TERRAINS, name

DRAWN = 4096  # robots that a policy's training draws from


def contexts_for(config: PolicyConfig) -> ContextTable | None:
    """Return the contexts that the training sees, and the robots that it draws from; None without either.

    Raises:
        FileNotFoundError, ValueError: if the bank is missing, or does not fit the robot or the mode.
    """
    drawn = RANGES[config.env.factors].sample(np.random.default_rng(config.seed), DRAWN)
    if config.mode == "oracle":
        return true_table(drawn)
    if not config.bank:
        return None
    table = load_table(config.bank, robots.load(config.env.robot))
    if config.mode in ("single", "multi") and (config.mode == "single") != table.paired:
        wanted = "one context for robot and terrain" if config.mode == "single" else "two contexts"
        raise ValueError(f"{config.bank} is of another kind than mode '{config.mode}' needs: give a bank with {wanted}")
    return with_robots(table, drawn, config.seed)


def with_robots(table: ContextTable, factors: np.ndarray, seed: int) -> ContextTable:
    """Return the table with other robots than the bank's, which are too few to have a weak leg of every strength.

    A robot's context is what the bank's make of its factors (`sim.truth.from_factors`), with what that leaves of a
    bank's robot at random, so that contexts scatter about their factors as the bank's do.

    Args:
        table: of a bank.
        factors: of the robots, (n, 12).
        seed: of the scatter.
    """
    known, contexts = np.asarray(table.robot_factors), np.asarray(table.robot_contexts)
    made = truth.from_factors(known, contexts)
    rows = np.random.default_rng(seed).integers(len(known), size=len(factors))
    return replace(table, robot_factors=factors, robot_contexts=made(factors) + (contexts - made(known))[rows])


def table_for(about: Mapping[str, Any], bank: Path, spec: RobotSpec, factors: np.ndarray) -> ContextTable | None:
    """Return the contexts that an exported policy walks with; a bank that is there for one that sees none.

    Args:
        about: what the policy says of itself.
        bank: context bank.
        spec: the robot.
        factors: of the robots, (n, 12), for a policy that sees the truth.

    Raises:
        FileNotFoundError, ValueError: if it needs the bank, and that is missing, or of another dynamics model.
    """
    mode = about.get("mode")
    if mode == "oracle":
        return true_table(factors)
    if mode not in NEEDS_BANK and not bank.exists():
        return None
    table = load_table(bank, spec)
    if mode in NEEDS_BANK and read_bank(mode, bank)[0] != about["dynamics_digest"]:
        raise ValueError(f"{bank} is of another dynamics model than the policy: give the bank that it was trained with")
    return table


def read_bank(mode: Mode, bank: Path | None) -> tuple[str | None, tuple[int, int] | None]:
    """Return the digest that gives the policy's contexts their meaning, and their sizes if a bank says them.

    Raises:
        ValueError: if the mode needs a bank and there is none.
    """
    if mode not in NEEDS_BANK:
        return (truth.DIGEST if mode == "oracle" else None), None
    if bank is None:
        raise ValueError(f"mode '{mode}' needs the context bank it was trained with: give --bank")
    meta, arrays = _open(bank)
    sizes = arrays["robot_contexts"].shape[-1], arrays["terrain_contexts"].shape[-1]
    return meta["dynamics_digest"], sizes


def _open(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a bank says of itself, and its arrays.

    Raises:
        FileNotFoundError: if there is no bank.
        ValueError: if the file is none.
    """
    if not path.exists():
        raise FileNotFoundError(f"no context bank at {path}: train the dynamics model first (dmcm train dynamics)")
    try:
        with safe_open(path, framework="np") as bank:
            meta = json.loads(bank.metadata()["dmcm"])
            arrays = {key: bank.get_tensor(key).astype(float) for key in bank.keys()}
        missing = {"robot_factors", "robot_contexts", "terrain_contexts", "nominal_robot"} - set(arrays)
    except Exception as problem:  # safetensors raises errors of many kinds
        raise ValueError(
            f"{path} is not a context bank, or damaged: give one that `dmcm train dynamics` wrote"
        ) from problem
    if missing:
        raise ValueError(f"{path} is not a context bank ({', '.join(sorted(missing))} missing)")
    broken = sorted(name for name, values in arrays.items() if not values.size or not np.isfinite(values).all())
    if broken:
        raise ValueError(f"{path}: {broken[0]} is empty or not all numbers: train the dynamics model again")
    return meta, arrays


def true_table(factors: np.ndarray) -> ContextTable:
    """Return the true factors (r, 12) as contexts."""
    terrain = np.array([[truth.terrain_context(kind, level) for level in range(LEVELS)] for kind in KINDS])
    return ContextTable(factors, truth.robot_contexts(factors), terrain, np.zeros(len(truth.SPREAD)))


def load_table(path: Path, spec: RobotSpec) -> ContextTable:
    """Return the bank's robots, and its terrain contexts by kind and level.

    A tile whose own terrain is not in the bank takes the nearest level of its kind.

    Raises:
        FileNotFoundError: if there is no bank.
        ValueError: if the bank belongs to another robot, or has no terrain of a kind.
    """
    meta, arrays = _open(path)
    if meta["robot"] != spec.name:
        raise ValueError(f"{path} was made for robot '{meta['robot']}', not '{spec.name}'")
    if tuple(meta["factor_names"]) != FACTOR_NAMES:
        raise ValueError(f"{path} names other robot factors than this version: train the dynamics model again")
    names, factors = list(meta["terrains"]), arrays["robot_factors"]
    if "pair_contexts" not in arrays:
        terrain = _tiles(path, names, arrays["terrain_contexts"])
        return ContextTable(factors, arrays["robot_contexts"], terrain, arrays["nominal_robot"])
    pairs = np.moveaxis(_tiles(path, names, np.moveaxis(arrays["pair_contexts"], 1, 0)), 2, 0)
    nominal = arrays["nominal_robot"] + _tiles(path, names, arrays["terrain_contexts"])
    return ContextTable(factors, pairs, np.zeros_like(nominal), nominal)


def _tiles(path: Path, names: list[str], contexts: np.ndarray) -> np.ndarray:
    """Return `contexts` (terrains, ...) by kind and level, (len(KINDS), LEVELS, ...).

    A kind that is not in the bank takes its kin's (`sim.terrain.Kind.kin`).
    """
    table = np.zeros((len(KINDS), LEVELS, *contexts.shape[1:]))
    for k, kind in enumerate(KINDS):
        own = kind if any(name(kind, level) in names for level in range(LEVELS)) else TERRAINS[kind].kin or kind
        known = [level for level in range(LEVELS) if name(own, level) in names]
        if not known:
            raise ValueError(f"{path} has no terrain of kind '{kind}'")
        for level in range(LEVELS):
            nearest = min(known, key=lambda other: abs(other - level))
            table[k, level] = contexts[names.index(name(own, nearest))]
    return table
