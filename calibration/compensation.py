"""Gains that make up for the motors as they were read, leg by leg: kp and kd divided by what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from calibration.adapt import Reading
from calibration.errors import RefusedError
from calibration.torques import Direct
from deploy.gains import LEAST, MOST, Gains
from robots.joints import LEGS

KP, KD = "kp_strength", "kd_strength"
PROBES = tuple(f"weak_leg_{leg.lower()}" for leg in LEGS)
SHARES = tuple(f"leg_{leg.lower()}" for leg in LEGS)  # of the strongest, by the torques
T = TypeVar("T", Reading, Direct)
OF_USE = 0.25  # R2 of the best leg's probe, from which legs are told apart
SURE = 0.25  # spread of a reading over parts of the walk, beyond which it is not believed
LOWEST, HIGHEST = 0.3, 1.7  # strength that is believed


def compensation(readings: Sequence[Reading]) -> Gains:
    """Return the factors that make up for what was read of the motors, within LEAST and MOST.

    A damping that is not known stays as it is. A reading whose spread is not known is believed if a motor can have it.
    Probes of legs read a weak one too near the others: they make up for part of what it lacks, the more the better they
    are, and where they know little for next to nothing. So legs need no probe that is known, but one of some use.

    Raises:
        RefusedError: if the stiffness is not known, or a reading is too unsure, or is none that a motor can have.
    """
    known = {reading.name: reading for reading in readings if reading.known}
    if KP not in known:
        raise RefusedError(f"gains cannot be corrected: {KP} was not read; adapt without --compensate")
    kp, kd = _factor(known[KP]), _factor(known[KD]) if KD in known else 1.0
    legs = [reading for reading in readings if reading.name in PROBES]
    if len(legs) < len(PROBES) or max(reading.r2 for reading in legs) < OF_USE:
        return Gains(kp, kd)
    strength = np.array([_believed(leg) for leg in legs])
    factors = np.clip(strength.mean() / strength, LEAST / min(kp, kd), MOST / max(kp, kd))
    return Gains(kp, kd, tuple(factors.tolist()))


def _factor(reading: Reading) -> float:
    return min(MOST, max(LEAST, 1.0 / _believed(reading)))


def _believed(reading: Reading) -> float:
    if not (LOWEST <= reading.value <= HIGHEST and (reading.spread is None or reading.spread <= SURE)):
        spread = "" if reading.spread is None else f" +- {reading.spread:.2f}"
        raise RefusedError(
            f"gains cannot be corrected: {reading.name} was read as {reading.value:.2f}{spread}; "
            "record the walk again, or adapt without --compensate"
        )
    return reading.value


def of_the_motors(readings: Sequence[T], gains: Gains) -> tuple[T, ...]:
    """Return readings made under corrected gains as what they say of the motors alone."""
    factors = {KP: 1.0 / gains.kp, KD: 1.0 / gains.kd}
    for names in (PROBES, SHARES):
        seen = np.array([reading.value for reading in readings if reading.name in names])
        if len(seen) == len(names):
            alone = seen / gains.legs
            strongest = alone.max() if names is SHARES else 1.0
            factors |= {name: 1.0 / (leg * strongest) for name, leg in zip(names, gains.legs, strict=True)}
            factors |= {name: factors[name] * alone.mean() / seen.mean() for name in (KP, KD)}
    return tuple(_scaled(reading, float(factors.get(reading.name, 1.0))) for reading in readings)


def _scaled(reading: T, factor: float) -> T:
    given = [name for name in ("value", "spread", "median_error") if getattr(reading, name, None) is not None]
    return replace(reading, **{name: getattr(reading, name) * factor for name in given})


def doubtful(readings: Sequence[Direct]) -> str:
    """Return why joint torques cannot be what they should, "" if they may be."""
    stiffness = next((reading.value for reading in readings if reading.name == KP), 1.0)
    if LOWEST <= stiffness <= HIGHEST:
        return ""
    return (
        f"they tell a stiffness of x {stiffness:.2f}, which no motor has, and were left out: publish effort as the "
        "joints' torque in N m, not the motors' before the gear, currents or shares"
    )
