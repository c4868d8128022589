"""Steering a planned walk: it is walked as planned near the start, and mirrored where that leads back."""

from types import SimpleNamespace

import numpy as np

import robots
from deploy.calibration_motion import MOTION, Motion, Phase
from deploy.steer import Steering

SPEC, DT = robots.load("go1"), 0.02


class Drifting(Steering):
    """A robot that goes exactly as told, and drifts."""

    drift = np.zeros(2)

    def velocity(self, time, measured):
        told = super().velocity(time, measured)
        self.position = self.position + DT * (told[:2] + self.drift)
        return told


def still():
    return SimpleNamespace(
        angular_velocity=np.zeros(3),
        quaternion=np.array([1.0, 0, 0, 0]),
        joint_position=SPEC.default_position,
        joint_velocity=np.zeros(12),
    )


def walked(motion, drift=(0.0, 0.0)):
    steering = Drifting(SPEC, motion, DT)
    steering.drift = np.array(drift)
    told, places = [], []
    for time in np.arange(0, motion.seconds, DT):
        told.append(steering.velocity(time, still()))
        places.append(steering.position.copy())
    return np.array(told), np.array(places)


def test_near_the_start_the_plan_is_walked_as_it_is():
    motion = Motion([Phase("", 1.0, (0.3, 0.0, 0.5)), Phase("", 1.0, (0.0, 0.2, 0.0))])
    told, _ = walked(motion)
    np.testing.assert_allclose(told, [motion.velocity_at(t) for t in np.arange(0, 2.0, DT)], atol=1e-12)


def test_a_drifting_robot_is_led_back_and_turns_as_planned():
    plain, steered = (walked(m, (0.12, 0.0))[1] for m in (Motion([Phase("", 20.0, (0, 0, 0))]), MOTION))
    assert np.linalg.norm(plain[-1]) > 2.3 and np.linalg.norm(steered, axis=1).max() < 1.5
    told = walked(MOTION, (0.12, 0.0))[0]
    np.testing.assert_allclose(told[:, 2], [MOTION.velocity_at(t)[2] for t in np.arange(0, 20.0, DT)], atol=1e-12)


def test_where_both_ways_lead_too_far_it_walks_straight_back():
    motion = Motion([Phase("right", 1.0, (0.0, -0.4, 0.0))])
    for place, told in (((1.2, 0.0), (-0.4, 0.0)), ((-1.2, 0.1), (0.4, 0.0)), ((0.0, 1.2), (0.0, -0.4))):
        steering = Drifting(SPEC, motion, DT)
        steering.position = np.array(place)
        commands = [steering.velocity(time, still()) for time in np.arange(0, motion.seconds, DT)]
        np.testing.assert_allclose(commands[-1], [*told, 0.0])


def test_feet_that_carry_tell_the_way_not_the_lowest_ones():
    """A leg that swings back near the ground would be taken for one that pushes the robot ahead."""
    motion = Motion([Phase("", 1.0, (0.3, 0.0, 0.0))])
    rates = np.zeros(12)
    rates[1] = 1.0  # the front left thigh
    ways = []
    for forces in (np.array([0.0, 50.0, 50.0, 50.0]), None):
        steering = Steering(SPEC, motion, DT)
        measured = SimpleNamespace(**{**vars(still()), "joint_velocity": rates, "foot_force": forces})
        for time in np.arange(0, motion.seconds, DT):
            steering.velocity(time, measured)
        ways.append(abs(steering.position[0]))
    assert ways[0] < 1e-3 < ways[1]


def test_commands_never_jump_and_end_at_rest():
    told, _ = walked(MOTION, (-0.1, 0.1))
    assert np.abs(np.diff(told, axis=0)).max() < 2.0 * DT / 0.3 * 1.01
    steering = Steering(SPEC, MOTION, DT)
    assert not steering.velocity(20.0, still()).any() and not steering.velocity(-1.0, still()).any()


def test_a_motion_begun_anew_still_leads_to_where_the_first_began():
    motion = Motion([Phase("forward", 3.0, (0.4, 0.0, 0.0))])
    steering = Drifting(SPEC, motion, DT)
    for time in np.arange(0, motion.seconds, DT):
        steering.velocity(time, still())
    away = steering.position[0]
    steering.begin()
    back = [steering.velocity(time, still()) for time in np.arange(0, motion.seconds, DT)]
    assert away > 1.0 and abs(steering.position[0]) < 0.1 and back[0][0] == 0.0 and back[-1][0] == -0.4
    steering.reset()
    assert steering.velocity(1.0, still())[0] == 0.4
