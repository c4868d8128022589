"""Typed reading of JSON that comes from files, with errors that name the file and the field."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class ArtifactError(ValueError):
    """An artifact (policy, context, bank) that must not be used, and why."""


def read_bytes(path: Path, what: str, error: type[ArtifactError] = ArtifactError) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ArtifactError: or the given type of it, if it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{what} not found: {path}") from None
    except OSError as problem:
        raise error(f"cannot read {what} {path}: {problem.strerror}") from None


class Fields:
    """The fields of a JSON object.

    Args:
        text: JSON.
        where: the file, for the errors.
        error: the type of error to raise.

    Raises:
        ArtifactError: from every method, if the field is missing or is not what is asked for.
    """

    def __init__(self, text: str | bytes, where: str, error: type[ArtifactError] = ArtifactError) -> None:
        self.where, self.error = where, error
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise error(f"{where}: not valid JSON ({problem}); write the file again") from None
        if not isinstance(data, dict):
            raise error(f"{where}: expected a JSON object, found {type(data).__name__}")
        self.data: Mapping[str, Any] = data

    def get(self, name: str) -> Any:
        """Return the field as it is; a dot descends into an object."""
        value: Any = self.data
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise self.error(f"{self.where}: field '{name}' is missing")
            value = value[part]
        return value

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self.error(f"{self.where}: field '{name}' is not a string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"{self.where}: field '{name}' is not a list of strings")
        return tuple(value)

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            raise self.error(f"{self.where}: field '{name}' is not a finite number")
        return float(value)

    def integer(self, name: str) -> int:
        """Return an integer."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{self.where}: field '{name}' is not an integer")
        return value

    def array(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
        """Return finite numbers of the given shape (None: any length), float64."""
        content = self.get(name)
        try:
            value = np.array(content, dtype=float)
        except (TypeError, ValueError, OverflowError):
            raise self.error(f"{self.where}: field '{name}' is not an array of numbers") from None
        fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
        if not fits:
            wanted = " x ".join("any" if n is None else str(n) for n in shape)
            raise self.error(f"{self.where}: field '{name}' has shape {value.shape}, expected {wanted}")
        if not np.isfinite(value).all():
            raise self.error(f"{self.where}: field '{name}' holds values that are not finite")
        return value

    def expect(self, name: str, value: object) -> None:
        """Raise unless the field has that value."""
        found = self.get(name)
        if found != value:
            raise self.error(f"{self.where}: field '{name}' is {found!r}, expected {value!r}")
