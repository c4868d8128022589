import numpy as np
import pytest

import robots
from robots.joints import LEGS

# The makers' figures, kg: trunk, hip, thigh, calf, foot without rotors; total with 12 rotors.
ROTOR = 0.089
LINKS = {"go1": (5.204, 0.591, 0.920, 0.136, 0.06), "go2": (6.921, 0.678, 1.152, 0.154, 0.04)}
TOTAL = {"go1": 13.10, "go2": 16.09}


@pytest.fixture(params=robots.NAMES)
def spec(request):
    return robots.load(request.param)


def test_masses_are_the_makers(spec):
    trunk, hip, thigh, calf, foot = LINKS[spec.name]
    assert spec.mass == pytest.approx(TOTAL[spec.name], rel=0.01)
    assert spec.trunk.mass - 4 * ROTOR == pytest.approx(trunk, rel=0.01)
    assert spec.hip.mass - ROTOR == pytest.approx(hip, rel=0.01)
    assert spec.thigh.mass - ROTOR == pytest.approx(thigh, rel=0.01)
    assert (spec.calf.mass, spec.foot.mass) == (pytest.approx(calf, rel=0.01), pytest.approx(foot, rel=0.01))


def test_inertias_are_those_of_solid_bodies(spec):
    for link in (spec.trunk, spec.hip, spec.thigh, spec.calf, spec.foot):
        inertia = np.array(link.inertia)
        assert (inertia > 0).all() and (2 * inertia <= inertia.sum() + 1e-12).all(), link


def test_default_pose_is_inside_the_limits_and_symmetric(spec):
    lower, upper = spec.position_limits
    assert (lower < spec.default_position).all() and (spec.default_position < upper).all()
    pose = spec.default_position.reshape(4, 3)
    np.testing.assert_array_equal(pose[0] * [-1, 1, 1], pose[1])
    np.testing.assert_array_equal(pose[2] * [-1, 1, 1], pose[3])


def test_left_and_right_limits_agree(spec):
    lower, upper = (side.reshape(4, 3) for side in spec.position_limits)
    for left, right in ((0, 1), (2, 3)):
        np.testing.assert_array_equal(lower[left], lower[right])
        np.testing.assert_array_equal(upper[left], upper[right])
    assert [leg[1] for leg in LEGS] == ["L", "R", "L", "R"]


def test_every_joint_array_has_twelve_values(spec):
    arrays = (spec.default_position, *spec.position_limits, spec.torque_limit, spec.velocity_limit, spec.armature)
    assert {array.shape for array in arrays} == {(12,)} and len(spec.joint_names) == 12


def test_digest_tells_robots_apart_and_is_stable():
    digests = {name: robots.load(name).digest() for name in robots.NAMES}
    assert len(set(digests.values())) == len(robots.NAMES)
    assert digests == {name: robots.load(name).digest() for name in robots.NAMES}


def test_unknown_robot_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="go1, go2"):
        robots.load("spot")
