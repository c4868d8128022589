"""Factors on gains as rows of numbers, which logs and messages hold."""

import numpy as np
import pytest

from deploy.gains import NOMINAL, Gains


def test_rows_are_read_back_and_older_ones_have_legs_alike():
    gains = Gains(1.25, 1.1, (0.9, 0.9, 0.9, 1.3))
    assert Gains.from_row(gains.row()) == gains and Gains.from_row([1.0, 1.0]) == NOMINAL
    np.testing.assert_allclose(gains.joint_kp[[0, 11]], [1.125, 1.625])
    assert gains.toward(NOMINAL, 0.5).legs == pytest.approx((0.95, 0.95, 0.95, 1.15))


@pytest.mark.parametrize("row", [[], [1.0], [1.0] * 3, [1.0] * 7])
def test_rows_of_other_lengths_are_refused(row):
    with pytest.raises(ValueError, match=r"gains have|not enough values"):
        Gains.from_row(row)
