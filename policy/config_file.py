"""Reads and writes a training's configuration: YAML or JSON, nested as `PolicyConfig`; what is left out is default."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from policy.config import PolicyConfig

Config = TypeVar("Config")


def read(path: Path) -> PolicyConfig:
    """Return the configuration in the file; a run's own config.json is one, whether or not that run was resumed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not YAML or JSON, or a field is unknown or not what it should be; names the field.
    """
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}: give a YAML or JSON file, e.g. a run's config.json")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if isinstance(values, dict):
            for name in ("origin", "resume"):  # a run's record says where it comes from, and how it was called last
                values.pop(name, None)
        return fill(PolicyConfig(), values)
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path} is not YAML or JSON: {' '.join(str(problem).split())}") from None
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None


def write(path: Path, values: Mapping[str, Any], comments: Sequence[str] = ()) -> None:
    """Write fields of a configuration as YAML, atomically, the comments above it."""
    import yaml

    text = "".join(f"# {line}\n" for line in comments) + yaml.safe_dump(dict(values), sort_keys=False, width=100)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def fill(config: Config, values: Any, where: str = "") -> Config:
    """Return a dataclass with the given fields replaced, those of nested ones too.

    Raises:
        ValueError: if a field is unknown or not of its type; names it.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"'{where.rstrip('.') or 'the file'}' should hold fields, not {values!r}")
    hints, known = get_type_hints(type(config)), [item.name for item in fields(config)]  # type: ignore[arg-type]
    new = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown field '{where}{name}': known are {', '.join(known)}")
        now = getattr(config, name)
        nested = is_dataclass(now)
        new[name] = fill(now, value, f"{where}{name}.") if nested else _typed(value, hints[name], f"{where}{name}")
    return replace(config, **new)  # type: ignore[type-var]


def _typed(value: Any, kind: Any, name: str) -> Any:
    """Return a value as the type that its field has."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in inside:
            return None
        return _typed(value, next(part for part in inside if part is not NoneType), name)
    if origin is Literal and value in inside:
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [inside[0]] * len(value) if inside[-1] is Ellipsis else inside
        if len(kinds) == len(value):
            return tuple(_typed(item, part, name) for item, part in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {_typed(key, inside[0], name): _typed(item, inside[1], name) for key, item in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):  # YAML 1.1 reads 1e-5, which has no point, as text
            if math.isfinite(number := float(value)):
                return number
    if kind in (int, bool, str) and type(value) is kind:
        return value
    wanted = " or ".join(map(str, inside)) if origin is Literal else getattr(kind, "__name__", kind)
    raise ValueError(f"'{name}' is {value!r}, expected {wanted if origin in (None, Literal) else kind}")
