import numpy as np
import pytest

import robots
from robots.joints import LEGS

# The makers' figures, kg: a rotor, if it is named by itself; trunk, hip, thigh, calf, foot without it; the total.
MAKERS = {
    "a1": (0.0, (6.0, 0.696, 1.013, 0.166, 0.06), 13.74),
    "go1": (0.089, (5.204, 0.591, 0.920, 0.136, 0.06), 13.10),
    "go2": (0.089, (6.921, 0.678, 1.152, 0.154, 0.04), 16.09),
}


@pytest.fixture(params=robots.NAMES)
def spec(request):
    return robots.load(request.param)


@pytest.mark.parametrize("name", MAKERS)
def test_masses_are_the_makers(name):
    spec, (rotor, links, total) = robots.load(name), MAKERS[name]
    ours = (spec.trunk.mass - 4 * rotor, spec.hip.mass - rotor, spec.thigh.mass - rotor, spec.calf.mass, spec.foot.mass)
    assert ours == pytest.approx(links, rel=0.01) and spec.mass == pytest.approx(total, rel=0.01)


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
    with pytest.raises(ValueError, match="a1, go1, go2"):
        robots.load("spot")
