"""Gains that make up for the motors as they were read: kp and kd divided by what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from calibration.adapt import Reading
from calibration.errors import RefusedError
from calibration.torques import Direct
from deploy.gains import LEAST, MOST, Gains

KP, KD = "kp_strength", "kd_strength"
T = TypeVar("T", Reading, Direct)
SURE = 0.25  # spread of a reading over parts of the walk, beyond which it is not believed
LOWEST, HIGHEST = 0.3, 1.7  # strength that is believed


def compensation(readings: Sequence[Reading]) -> Gains:
    """Return the factors that make up for what was read of the motors, within LEAST and MOST.

    A damping that is not known stays as it is. A reading whose spread is not known is believed if a motor can have it.

    Raises:
        RefusedError: if the stiffness is not known, or a reading is too unsure, or is none that a motor can have.
    """
    known = {reading.name: reading for reading in readings if reading.known}
    if KP not in known:
        raise RefusedError(f"gains cannot be corrected: {KP} was not read; adapt without --compensate")
    return Gains(_factor(known[KP]), _factor(known[KD]) if KD in known else 1.0)


def _factor(reading: Reading) -> float:
    if not (LOWEST <= reading.value <= HIGHEST and (reading.spread is None or reading.spread <= SURE)):
        spread = "" if reading.spread is None else f" +- {reading.spread:.2f}"
        raise RefusedError(
            f"gains cannot be corrected: {reading.name} was read as {reading.value:.2f}{spread}; "
            "record the walk again, or adapt without --compensate"
        )
    return min(MOST, max(LEAST, 1.0 / reading.value))


def of_the_motors(reading: T, gains: Gains) -> T:
    """Return a reading made under corrected gains as what it says of the motors alone."""
    factor = {KP: gains.kp, KD: gains.kd}.get(reading.name, 1.0)
    scaled = [name for name in ("value", "spread", "median_error") if getattr(reading, name, None) is not None]
    return replace(reading, **{name: getattr(reading, name) / factor for name in scaled})


def doubtful(readings: Sequence[Direct]) -> str:
    """Return why joint torques cannot be what they should, "" if they may be."""
    stiffness = next((reading.value for reading in readings if reading.name == KP), 1.0)
    if LOWEST <= stiffness <= HIGHEST:
        return ""
    return (
        f"they tell a stiffness of x {stiffness:.2f}, which no motor has, and were left out: publish effort as the "
        "joints' torque in N m, not the motors' before the gear, currents or shares"
    )
