import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robots import joints


@pytest.mark.parametrize("order", joints.ORDERS)
def test_order_round_trips(order):
    values = np.random.default_rng(0).normal(size=(5, 12))
    there = joints.permutation(joints.JOINT_NAMES, joints.ORDERS[order])
    back = joints.permutation(joints.ORDERS[order], joints.JOINT_NAMES)
    np.testing.assert_array_equal(values[:, there][:, back], values)


def test_orders_are_those_of_the_field():
    names = np.array(joints.JOINT_NAMES)
    to_sdk = joints.permutation(joints.JOINT_NAMES, joints.SDK)
    assert names[to_sdk].tolist() == list(joints.SDK)
    np.testing.assert_array_equal(to_sdk, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8])
    np.testing.assert_array_equal(to_sdk[to_sdk], np.arange(12))
    np.testing.assert_array_equal(joints.permutation(joints.JOINT_NAMES, joints.ISAAC_GYM), np.arange(12))
    np.testing.assert_array_equal(
        joints.permutation(joints.JOINT_NAMES, joints.ISAAC_LAB), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    )


@given(st.permutations(joints.JOINT_NAMES), st.permutations(joints.JOINT_NAMES))
def test_any_order_is_converted_by_name(source, target):
    assert [source[i] for i in joints.permutation(source, target)] == list(target)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (joints.JOINT_NAMES[1:], r"missing \['FL_hip_joint'\]"),
        ((*joints.JOINT_NAMES, "tail"), r"unknown \['tail'\]"),
        ((*joints.JOINT_NAMES, "FL_hip_joint"), r"repeated: \['FL_hip_joint'\]"),
        ((), "missing"),
    ],
)
def test_wrong_joints_are_refused(source, said):
    with pytest.raises(ValueError, match=said):
        joints.permutation(source, joints.JOINT_NAMES)
