"""Values of a configuration, checked, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class FieldError(Exception):
    """What is wrong with a configuration."""


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Return the value if it holds fields."""
    if not isinstance(value, Mapping):
        raise FieldError(f"'{name}' is missing, or does not hold fields")
    return value


def choice(config: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    """Return the field if it is one of the known words."""
    if config[key] not in known:
        raise FieldError(f"'{key}' is {config[key]!r}: give one of {', '.join(known)}")
    return config[key]


def number(config: Mapping[str, Any], key: str) -> float:
    """Return a finite number."""
    return float(numbers(config, key, 1)[0])


def numbers(config: Mapping[str, Any], key: str, count: int) -> np.ndarray:
    """Return `count` finite numbers."""
    if config.get(key) is None:
        raise FieldError(f"field '{key}' is missing")
    return spread(config[key], count, f"'{key}'")


def spread(value: Any, count: int, what: str, finite: bool = True) -> np.ndarray:
    """Return `count` numbers, from one or from as many, float64."""
    try:
        given = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise FieldError(f"{what} is not a number or {count} numbers") from None
    if given.shape not in ((), (count,)):
        raise FieldError(f"{what} has {given.size} values, expected one or {count}")
    if np.isnan(given).any() or (finite and np.isinf(given).any()):
        raise FieldError(f"{what} holds values that are not finite")
    return np.broadcast_to(given, (count,)).copy()
