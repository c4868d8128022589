"""Gains by what was read of the motors, and what was read by the gains."""

from __future__ import annotations

import pytest

from calibration.adapt import Reading
from calibration.compensation import SURE, compensation, of_the_motors
from calibration.errors import RefusedError
from calibration.torques import Direct
from deploy.gains import LEAST, MOST, NOMINAL, Gains


def reading(name, value, spread=0.01, known=True):
    return Reading(name, "x", value, spread, 0.9, 0.04, known)


def test_the_reciprocal_of_what_was_read():
    assert compensation([reading("kp_strength", 0.8), reading("kd_strength", 0.625)]) == Gains(1.25, 1.6)
    assert compensation([reading("kp_strength", 0.8), reading("kd_strength", 0.5, known=False)]) == Gains(1.25, 1.0)
    assert compensation([reading("kp_strength", 0.35), reading("kd_strength", 1.6)]) == Gains(MOST, LEAST)
    assert compensation([reading("kp_strength", 0.8, spread=None)]) == Gains(1.25, 1.0)


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([], "kp_strength was not read"),
        ([reading("kp_strength", 0.8, known=False)], "kp_strength was not read"),
        ([reading("kp_strength", 0.2)], "was read as 0.20"),
        ([reading("kd_strength", 1.8), reading("kp_strength", 1.0)], "kd_strength was read as 1.80"),
        ([reading("kp_strength", -0.3)], "was read as -0.30"),
        ([reading("kp_strength", float("nan"))], "was read as nan"),
        ([reading("kp_strength", 0.2, spread=None)], "was read as 0.20; record"),
        ([reading("kp_strength", 0.8, 2 * SURE)], r"was read as 0.80 \+- 0.50"),
        ([reading("kp_strength", 0.8), reading("kd_strength", 0.8, float("nan"))], r"kd_strength was read as 0.80 \+-"),
    ],
)
def test_readings_that_gains_cannot_be_set_by(readings, said):
    with pytest.raises(RefusedError, match=said):
        compensation(readings)


def test_what_corrected_gains_hide_is_told_of_the_motors():
    one = of_the_motors(reading("kp_strength", 1.0), Gains(1.25, 2.0))
    assert (one.value, one.spread, one.median_error) == pytest.approx((0.8, 0.008, 0.032))
    assert of_the_motors(Direct("kp_strength", "x", 1.0, 0.1), Gains(2.0, 1.0)) == Direct("kp_strength", "x", 0.5, 0.05)
    payload = reading("payload", 2.0)
    assert of_the_motors(payload, Gains(1.25, 2.0)) == payload and str(Gains(1.25, 2.0)) == "kp x 1.25, kd x 2.00"
    assert of_the_motors(reading("kp_strength", 1.0, spread=None), Gains(1.25, 2.0)).spread is None
    assert of_the_motors(reading("kd_strength", 0.9), NOMINAL).value == 0.9 and str(NOMINAL) == "nominal"
