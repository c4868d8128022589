"""Gains by what was read of the motors, and what was read by the gains."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.adapt import Reading
from calibration.compensation import PROBES, SHARES, SURE, compensation, of_the_motors
from calibration.errors import RefusedError
from calibration.torques import Direct
from deploy.gains import LEAST, MOST, NOMINAL, Gains


def reading(name, value, spread=0.01, known=True, r2=0.9):
    return Reading(name, "x", value, spread, r2, 0.04, known)


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


def legs(values, r2=(0.9,) * 4):
    return [reading(name, value, r2=r2) for name, value, r2 in zip(PROBES, values, r2, strict=True)]


def test_a_weak_leg_gets_gains_of_its_own():
    found = compensation([reading("kp_strength", 0.9), reading("kd_strength", 0.9), *legs((1.0, 1.0, 1.0, 0.6))])
    np.testing.assert_allclose(found.joint_kp, 1 / np.repeat([1.0, 1.0, 1.0, 0.6], 3))
    assert str(found) == "kp x 1.11, kd x 1.11 (FL x 0.90, FR x 0.90, RL x 0.90, RR x 1.50)"
    one_of_use = legs((1.0, 1.0, 1.0, 0.6), (-2.0, 0.1, 0.3, -1.0))
    assert compensation([reading("kp_strength", 0.9), *one_of_use]).legs == found.legs
    of_no_use = legs((1.0, 1.0, 1.0, 0.6), (-2.0, 0.1, 0.2, -1.0))
    assert compensation([reading("kp_strength", 0.9), *of_no_use]) == Gains(1 / 0.9)


def test_legs_are_told_apart_only_where_all_are_read():
    """A dataset in which a leg was never weak has no probe for it."""
    some = legs((1.0, 1.0, 1.0, 0.6))[1:]
    assert compensation([reading("kp_strength", 0.9), *some]) == Gains(1 / 0.9)
    gains = Gains(1.25, 1.0, (0.9, 0.9, 0.9, 1.3))
    found = of_the_motors([reading("kp_strength", 1.0), *some], gains)
    assert [one.value for one in found] == pytest.approx([0.8, 1.0, 1.0, 0.6])


def test_no_leg_gets_more_than_gains_may_be():
    found = compensation([reading("kp_strength", 0.55), reading("kd_strength", 1.4), *legs((1.0, 1.0, 1.0, 0.5))])
    factors = np.concatenate([found.joint_kp, found.joint_kd])
    assert factors.min() == pytest.approx(LEAST) and factors.max() == pytest.approx(MOST)


def test_legs_that_no_robot_has_are_refused():
    with pytest.raises(RefusedError, match=r"weak_leg_fr was read as 0\.10"):
        compensation([reading("kp_strength", 0.8), *legs((1.0, 0.1, 1.0, 1.0))])


def told(one, gains):
    return of_the_motors([one], gains)[0]


def test_what_corrected_gains_hide_is_told_of_the_motors():
    one = told(reading("kp_strength", 1.0), Gains(1.25, 2.0))
    assert (one.value, one.spread, one.median_error) == pytest.approx((0.8, 0.008, 0.032))
    assert told(Direct("kp_strength", "x", 1.0, 0.1), Gains(2.0, 1.0)) == Direct("kp_strength", "x", 0.5, 0.05)
    payload = reading("payload", 2.0)
    assert told(payload, Gains(1.25, 2.0)) == payload and str(Gains(1.25, 2.0)) == "kp x 1.25, kd x 2.00"
    assert told(reading("kp_strength", 1.0, spread=None), Gains(1.25, 2.0)).spread is None
    assert told(reading("kd_strength", 0.9), NOMINAL).value == 0.9 and str(NOMINAL) == "nominal"


def test_what_gains_of_legs_hide_is_told_of_the_motors():
    strength = np.array([1.0, 1.0, 1.0, 0.6])
    gains = compensation([reading("kp_strength", 0.9), reading("kd_strength", 0.9), *legs(strength)])
    probes = [reading("kp_strength", 1.0), reading("kd_strength", 1.0), *legs(strength * gains.legs)]
    values = [one.value for one in of_the_motors(probes, gains)]
    np.testing.assert_allclose(values, [0.9, 0.9, *strength])
    shares = [Direct("kp_strength", "x", 1.0, 0.1), *(Direct(name, "x", 1.0, 0.1) for name in SHARES)]
    np.testing.assert_allclose([one.value for one in of_the_motors(shares, gains)], [0.9, *strength])
