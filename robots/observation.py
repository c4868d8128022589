"""The one definition of what the policy sees, evaluated on torch batches in training and on numpy on the robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ObservationTerm:
    """A named part of the observation.

    Attributes:
        name: key of the value it reads.
        size: number of components.
        scale: factor per component, (size,).
    """

    name: str
    size: int
    scale: tuple[float, ...]


def _term(name: str, size: int, scale: float | tuple[float, ...]) -> ObservationTerm:
    return ObservationTerm(name, size, scale if isinstance(scale, tuple) else (scale,) * size)


# Order and scales of the deployable 45 values in common use (legged_gym's scales, no base velocity):
# rad/s in the base frame; unit vector; m/s, m/s, rad/s; rad from the default pose; rad/s; unscaled policy output.
PROPRIOCEPTION = (
    _term("angular_velocity", 3, 0.25),
    _term("projected_gravity", 3, 1.0),
    _term("command", 3, (2.0, 2.0, 0.25)),
    _term("joint_position", 12, 1.0),
    _term("joint_velocity", 12, 0.05),
    _term("last_action", 12, 1.0),
)

# Of the base, in its own frame, m/s: legged_gym's policies see it; hardware does not measure it, leg odometry tells it.
LINEAR_VELOCITY = _term("linear_velocity", 3, 2.0)

SIZES = {term.name: term.size for term in (LINEAR_VELOCITY, *PROPRIOCEPTION)}  # all that a policy may see


def size(terms: Sequence[ObservationTerm]) -> int:
    """Return the number of values that the terms make."""
    return sum(term.size for term in terms)


def scales(terms: Sequence[ObservationTerm]) -> list[float]:
    """Return the factor of every value, in order."""
    return [factor for term in terms for factor in term.scale]


def assemble(
    terms: Sequence[ObservationTerm], values: Mapping[str, Any], scale: Any, concatenate: Callable[..., Any]
) -> Any:
    """Return the scaled observation, (..., size(terms)).

    Args:
        terms: what to read, in order.
        values: an array (..., term.size) for every term's name, numpy or torch.
        scale: `scales(terms)` as an array of the same library.
        concatenate: joins a list of arrays along the last axis.
    """
    return concatenate([values[term.name] for term in terms]) * scale


def as_metadata(terms: Sequence[ObservationTerm]) -> list[dict[str, Any]]:
    """Return the terms as JSON-ready dictionaries."""
    return [{"name": t.name, "size": t.size, "scale": list(t.scale)} for t in terms]


def from_metadata(terms: Sequence[Mapping[str, Any]]) -> tuple[ObservationTerm, ...]:
    """Return the terms written by `as_metadata`.

    Raises:
        ValueError: if a term's scale does not have its size.
    """
    read = tuple(ObservationTerm(t["name"], int(t["size"]), tuple(map(float, t["scale"]))) for t in terms)
    for term in read:
        if len(term.scale) != term.size:
            raise ValueError(f"observation term '{term.name}' has {len(term.scale)} scales for {term.size} values")
    return read
