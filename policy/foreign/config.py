"""What a policy from another stack sees and drives, read from a small YAML or JSON file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy.foreign.forms import REQUIRED, by_term, own_form, term_names
from policy.foreign.values import FieldError, choice, number, spread
from robots.drive import Drive
from robots.joints import JOINT_NAMES, LEGS, ORDERS, PARTS, permutation
from robots.observation import SIZES, ObservationTerm, size

JOINTS = ("joint_position", "joint_velocity", "last_action")  # terms with a value per joint
MAX_HISTORY = 200  # frames


@dataclass(frozen=True)
class ForeignPolicy:
    """What a policy expects; values of joints are in the internal order, the policy's own is `joint_order`.

    Attributes:
        terms: a frame of its observation, scaled, in its order.
        bounds: what it clips a scaled frame to, (2, size(terms)).
        history, newest_first, by_term: how many frames it sees, in which order, stacked by frame or by term.
        joint_order: names of the joints in the policy's order.
        drive: gains, pose, scale and rate.
        action_limit: what its actions are clipped to, up and down.
    """

    terms: tuple[ObservationTerm, ...]
    bounds: np.ndarray
    history: int
    newest_first: bool
    by_term: bool
    joint_order: tuple[str, ...]
    drive: Drive
    action_limit: float

    @property
    def width(self) -> int:
        """Number of values that it sees."""
        return self.history * size(self.terms)

    @property
    def actions(self) -> np.ndarray:
        """Where each joint, in internal order, is among the policy's actions, (12,)."""
        return permutation(self.joint_order, JOINT_NAMES)

    @property
    def layout(self) -> np.ndarray:
        """Where each value that it sees is among ours, (width,): frames oldest to newest, joints in internal order."""
        from_ours = permutation(JOINT_NAMES, self.joint_order)
        frames = np.arange(self.width).reshape(self.history, -1)
        frames = frames[::-1] if self.newest_first else frames
        parts, start = [], 0
        for term in self.terms:
            part = frames[:, start : start + term.size]
            parts.append(part[:, from_ours] if term.name in JOINTS else part)
            start += term.size
        return np.concatenate([part.ravel() for part in parts]) if self.by_term else np.hstack(parts).ravel()


def read(path: Path) -> ForeignPolicy:
    """Return what the file says of its policy.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a field is missing, unknown or not what it should be; names the field and the remedy.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}: write one (docs/import_policy.md shows it)")
    try:
        return _describe(own_form(_load(path)))
    except FieldError as problem:
        raise ValueError(f"{path}: {problem}") from None


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        if "python/" in str(problem):
            hint = "holds Python objects, as Isaac Lab's params/env.yaml does: write preset, gains and pose in a file"
            raise FieldError(f"{hint} of their own") from None
        raise FieldError(f"not YAML or JSON ({' '.join(str(problem).split())})") from None
    if not isinstance(config, dict):
        raise FieldError("expected fields with values, as docs/import_policy.md shows")
    return config


def _describe(config: dict[str, Any]) -> ForeignPolicy:
    missing = [key for key in REQUIRED if config.get(key) is None]
    if missing:
        raise FieldError(f"missing: {', '.join(missing)} (the policy was trained with them; see its training config)")
    order = _joint_order(config["joint_order"])
    terms = _terms(config["observation"], config["scales"], order)
    drive = Drive(
        kp=_joints(config, "kp", order),
        kd=_joints(config, "kd", order),
        default_position=_joints(config, "default_position", order),
        action_scale=_joints(config, "action_scale", order),
        control_dt=number(config, "control_dt"),
    )
    history = config["history"]
    if not isinstance(history, int) or isinstance(history, bool) or not 1 <= history <= MAX_HISTORY:
        raise FieldError(f"'history' is {history!r}, expected 1 to {MAX_HISTORY} frames")
    limit = number(config, "clip_actions")
    if limit <= 0:
        raise FieldError("'clip_actions' must be positive")
    return ForeignPolicy(
        terms=terms,
        bounds=_bounds(config["clip_observations"], terms),
        history=history,
        newest_first=choice(config, "history_order", ("oldest_first", "newest_first")) == "newest_first",
        by_term=choice(config, "stacking", ("frame", "term")) == "term",
        joint_order=order,
        drive=drive,
        action_limit=limit,
    )


def _joint_order(value: Any) -> tuple[str, ...]:
    legs = tuple(value.split()) if isinstance(value, str) else ()
    if isinstance(value, str) and value in ORDERS:
        return ORDERS[value]
    if sorted(legs) == sorted(LEGS):
        return tuple(f"{leg}_{part}_joint" for leg in legs for part in PARTS)
    if isinstance(value, list) and sorted(map(str, value)) == sorted(JOINT_NAMES):
        return tuple(value)
    known = ", ".join(ORDERS)
    raise FieldError(f"unknown 'joint_order' {value!r}: give {known}, four legs as in 'FR FL RR RL', or 12 joint names")


def _terms(value: Any, scales: Mapping[str, Any], order: Sequence[str]) -> tuple[ObservationTerm, ...]:
    if not isinstance(value, list) or not value:
        raise FieldError("'observation' is not a list of terms")
    terms = []
    for name in term_names(value):
        scale = spread(scales.get(name, 1.0), SIZES[name], f"scale of '{name}'")
        ordered = scale[permutation(order, JOINT_NAMES)] if name in JOINTS else scale
        terms.append(ObservationTerm(name, SIZES[name], tuple(ordered.tolist())))
        if terms[-1] in terms[:-1]:
            raise FieldError(f"'{name}' is in 'observation' more than once")
    return tuple(terms)


def _bounds(clip: Any, terms: Sequence[ObservationTerm]) -> np.ndarray:
    """Return the bounds of a scaled frame: one number is meant after scaling, bounds of a term before it."""
    if clip is not None and not isinstance(clip, Mapping):
        limit = float(spread(clip, 1, "'clip_observations'")[0])
        if limit <= 0:
            raise FieldError("'clip_observations' must be positive")
        return np.outer([-limit, limit], np.ones(size(terms)))
    bounds, limits = [], by_term(clip or {})
    for term in terms:
        raw = spread(limits.get(term.name, [-np.inf, np.inf]), 2, f"clip of '{term.name}'", finite=False)
        with np.errstate(invalid="ignore"):
            bounds.append(np.sort(np.outer(raw, term.scale), axis=0))
    return np.nan_to_num(np.concatenate(bounds, axis=1), nan=0.0, posinf=np.inf, neginf=-np.inf)


def _joints(config: dict[str, Any], key: str, order: Sequence[str]) -> np.ndarray:
    """Return a value per joint in internal order: from one number, 12 in the policy's order, or patterns of names."""
    value = config[key]
    if not isinstance(value, Mapping):
        return spread(value, 12, f"'{key}'")[permutation(order, JOINT_NAMES)]
    found = []
    for joint in JOINT_NAMES:
        try:
            matches = [value[pattern] for pattern in value if re.search(str(pattern), joint)]
        except re.error as problem:
            raise FieldError(f"'{key}' has a pattern that is not one ({problem})") from None
        if len(matches) != 1:
            raise FieldError(f"'{key}' has {len(matches)} values for {joint}, expected one")
        found.append(matches[0])
    return spread(found, 12, f"'{key}'")
