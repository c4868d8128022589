"""Every judgement of a log, on logs that deserve it and on one that does not."""

import dataclasses

import numpy as np
import pytest

import robots
from calibration import quality
from calibration.ground import slopes, tilt
from calibration.read import Series, read
from calibration.resample import resample
from calibration.wiring import answers, check_wiring, swapped_pairs
from robots.joints import SDK, permutation
from robots.kinematics import foot_positions

SPEC = robots.load("go1")
NAMES = SPEC.joint_names


@pytest.fixture
def judge(bench):
    """Return the checks of a walk by name."""

    def by_name(walk, **options):
        return checks_of(bench.raw(walk, **options))

    return by_name


def checks_of(log):
    return {check.name: check for check in quality.judge(log, resample(log, SPEC), SPEC)}


def with_column(values, column, value, rows=slice(None)):
    changed = values.copy()
    changed[rows, column] = value
    return changed


def test_a_good_walk_passes_every_check(bag):
    checks = checks_of(read(bag(), NAMES))
    assert {name: check.text for name, check in checks.items() if check.verdict != "ok"} == {}
    assert list(checks)[:3] == ["robot", "numbers", "clock"]
    assert quality.refusal(list(checks.values())) is None


@pytest.mark.parametrize("state", [None, "calibrate"])
def test_five_seconds_are_too_short_and_it_says_how_long(bench, judge, state):
    walk = bench.walk.rows(slice(0, 250)).but(state=state and [state] * 250)
    check = judge(walk)["length"]
    assert check.verdict == "fail"
    assert "5.0 s of usable walking, 12 s are needed" in check.text


def test_sixteen_seconds_are_used_with_a_warning(bench, judge):
    assert judge(bench.walk.rows(slice(0, 800)))["length"].verdict == "warn"


@pytest.mark.parametrize("state", [None, "walk"])
def test_a_robot_that_stands_still(bench, judge, state):
    walk = bench.walk
    still = walk.but(position=SPEC.default_position + 0.01 * (walk.position - SPEC.default_position),
                     state=state and [state] * 1000)  # fmt: skip
    check = judge(still)["walking"]
    assert check.verdict == "fail" and "stood still" in check.text


def test_not_a_number_in_a_joint_names_it(bench, judge):
    check = judge(bench.walk.but(velocity=with_column(bench.walk.velocity, 5, np.nan, slice(100, 103))))["numbers"]
    assert check.verdict == "fail"
    assert "measured velocity of FR_calf_joint is not a number in 3 of 1000 messages" in check.text


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("velocity", 2, 1e4, "velocity of FL_calf_joint is out of reach"),
        ("target", 0, np.inf, "target of FL_hip_joint is not a number"),
        ("angular_velocity", 1, 200.0, "IMU angular velocity y is out of reach"),
        ("quaternion", slice(None), 0.0, "gives no orientation"),
    ],
)
def test_numbers_out_of_reach(bench, judge, name, column, value, words):
    changed = with_column(getattr(bench.walk, name), column, value, slice(10, 20))
    check = judge(bench.walk.but(**{name: changed}))["numbers"]
    assert check.verdict == "fail" and words in check.text


def test_a_header_clock_that_goes_back(bench, judge):
    time = bench.walk.time - np.where(np.arange(1000) >= 500, 2.0, 0.0)
    check = judge(bench.walk.but(time=time, log_time=bench.walk.time))["clock"]
    assert check.verdict == "fail" and "header's clock of the IMU messages goes back 1.98 s at 10.0 s" in check.text


def test_a_header_clock_that_jumps_ahead(bench, judge):
    time = bench.walk.time + np.where(np.arange(1000) >= 500, 2.0, 0.0)
    check = judge(bench.walk.but(time=time, log_time=bench.walk.time))["clock"]
    assert check.verdict == "fail" and "jumps by 2.00 s" in check.text


def test_a_board_that_learns_the_date_on_the_way(bench, judge):
    """Both clocks jump from 1970 to now; nothing may take memory in proportion."""
    time = bench.walk.time + np.where(np.arange(1000) >= 500, 1.77e9, 0.0)
    checks = judge(bench.walk.but(time=time, log_time=time))
    assert checks["clock"].verdict == "ok" and checks["gaps"].verdict == "fail"


def test_a_recorder_that_stalls_does_no_harm(bench, judge):
    late = bench.walk.time.copy()
    late[500:560] = late[560]
    checks = judge(bench.walk.but(log_time=late))
    assert checks["clock"].verdict == checks["gaps"].verdict == "ok"


@pytest.mark.parametrize("steady_header", [True, False])
def test_a_recorder_clock_that_goes_back(bench, bag, steady_header):
    """Readers sort by the recorder's time, so that the two stretches come out on top of each other."""
    back = bench.walk.time - np.where(np.arange(1000) >= 500, 4.0, 0.0)
    log = read(bag(bench.walk.but(time=bench.walk.time if steady_header else back, log_time=back)), NAMES)
    check = quality.check_clock(log)
    assert check.verdict == "fail" and ("goes back" in check.text or "went back" in check.text)


@pytest.mark.parametrize(("lost", "verdict"), [(40, "warn"), (300, "fail")])
def test_gaps(bench, judge, lost, verdict):
    keep = np.ones(1000, dtype=bool)
    keep[400 : 400 + lost] = False
    check = judge(bench.walk.rows(keep))["gaps"]
    assert check.verdict == verdict and f"longest {lost * 0.02:.2f} s" in check.text


def test_the_longest_gap_is_one_gap(bench):
    log = bench.raw()
    keep = np.ones(1000, dtype=bool)
    for begin in (300, 500, 700):
        keep[begin : begin + 10] = False
    some = Series(log.joints.log_time[keep], log.joints.stamp[keep], {k: v[keep] for k, v in log.joints.values.items()})
    check = checks_of(dataclasses.replace(log, joints=some))["gaps"]
    assert check.text.startswith("0.54 s of 20.0 s are missing (longest 0.18 s)")


def test_rates(bench, judge):
    check = judge(bench.walk.rows(slice(0, None, 3)))["rate"]
    assert check.verdict == "fail" and "come at 17 Hz" in check.text
    log = bench.raw()
    time = np.arange(0, 20, 0.005)
    wave = np.sin(time)[:, None] * np.ones(12)
    fast = type(log)(log.path, log.imu, log.joints, Series(time, time, {"position": wave}))
    check = quality.check_rate(fast, resample(fast, SPEC), SPEC)
    assert check.verdict == "fail" and "200 times a second" in check.text


def test_a_walk_with_gains_of_another_stack(bench, judge):
    origin = {"calibrate_policy_origin": "trained", "walk_policy_origin": "imported"}
    walk = bench.walk
    check = judge(walk.but(state=["walk"] * 1000), metadata=origin)["robot"]
    assert check.verdict == "fail" and "an imported policy walked, with gains of its own" in check.text
    assert judge(walk.but(state=["calibrate"] * 1000), metadata=origin)["robot"].verdict == "ok"


def test_a_log_of_another_robot(bench, judge):
    walk = bench.walk.rows(slice(0, 100))
    assert judge(walk, metadata={"robot": "go1", "robot_digest": SPEC.digest()})["robot"].verdict == "ok"
    check = judge(walk, metadata={"robot": "go2", "robot_digest": "0"})["robot"]
    assert check.verdict == "fail" and "--robot go2" in check.text
    check = judge(walk, metadata={"robot": "go1", "robot_digest": "0"})["robot"]
    assert check.verdict == "fail" and "other constants" in check.text


@pytest.mark.parametrize(("shift", "words"), [(-1.5, "beyond the go1's limits"), (0.85, "from the go1's default pose")])
def test_a_pose_of_another_robot(bench, judge, shift, words):
    walk = bench.walk
    check = judge(walk.but(position=walk.position + shift * (np.arange(12) == 4)))["pose"]
    assert check.verdict == "fail" and "FR_thigh_joint" in check.text and words in check.text


@pytest.mark.parametrize(("i", "j"), [(0, 3), (1, 10), (2, 11), (4, 5), (6, 8)])
def test_swapped_joints(bench, judge, i, j):
    names = list(NAMES)
    names[i], names[j] = names[j], names[i]
    index = [NAMES.index(name) for name in names]
    walk = bench.walk
    swapped = walk.but(position=walk.position[:, index], velocity=walk.velocity[:, index], effort=walk.effort[:, index])
    check = judge(swapped)["joints"]
    assert check.verdict == "fail" and "swapped" in check.text
    assert NAMES[i] in check.text and NAMES[j] in check.text


def test_targets_in_another_order(bench, judge):
    check = judge(bench.walk.but(target=bench.walk.target[:, permutation(SDK, NAMES)]))["joints"]
    assert check.verdict == "fail" and "pairs more" in check.text


def wired(**changes):
    """Return target, position, velocity, effort of four joints that answer their targets, but for the changes."""
    random = np.random.default_rng(0)
    target = np.sin(np.arange(500)[:, None] * 0.25) + random.normal(0, 0.2, (500, 4))
    position, velocity = random.normal(0, 0.3, (2, 500, 4))
    effort = 30 * (np.vstack([target[:1], target[:-1]]) - position) - 0.8 * velocity + random.normal(0, 1, (500, 4))
    return {**{"target": target, "position": position, "velocity": velocity, "effort": effort}, **changes}


def test_wiring_of_joints_with_nearly_the_same_targets():
    data = wired()
    four = ["a", "b", "c", "d"]
    assert np.corrcoef(data["target"].T)[0, 1] > 0.9
    assert check_wiring(**data, joint_names=four)[0] == "ok"
    turned = {k: v if k == "target" else v[:, [1, 2, 0, 3]] for k, v in data.items()}
    assert check_wiring(**turned, joint_names=four)[0] == "fail"
    assert swapped_pairs(answers(**{k: v if k == "target" else v[:, [0, 3, 2, 1]] for k, v in data.items()})) == [
        (1, 3)
    ]
    reversed_ = {k: v if k == "target" else v * [1, 1, -1, 1] for k, v in data.items()}
    assert "c works against its target" in check_wiring(**reversed_, joint_names=four)[1]
    stuck = {**data, "position": with_column(data["position"], 3, 0.0)}
    assert "d does not move" in check_wiring(**stuck, joint_names=four)[1]
    silent = {**data, "effort": np.full((500, 4), np.nan)}
    assert check_wiring(**silent, joint_names=four)[0] == "warn"


@pytest.mark.parametrize(("share", "verdict"), [(0.02, "ok"), (0.1, "warn"), (0.4, "fail")])
def test_saturated_joints(bench, judge, share, verdict):
    at = np.random.default_rng(0).permutation(1000)[: int(share * 1000)]
    effort = with_column(bench.walk.effort, 7, -SPEC.torque_limit[7], at)
    check = judge(bench.walk.but(effort=effort))["saturation"]
    assert check.verdict == verdict
    assert verdict == "ok" or "RL_thigh_joint is at its torque limit" in check.text
    position = with_column(bench.walk.position, 2, SPEC.position_limits[1][2], at)
    check = judge(bench.walk.but(position=position))["saturation"]
    assert check.verdict == verdict
    assert verdict == "ok" or "FL_calf_joint is at its position limit" in check.text


def tilted(walk, degrees, rows=slice(None)):
    quaternion = walk.quaternion.copy()
    quaternion[rows] = [np.cos(np.radians(degrees) / 2), 0, np.sin(np.radians(degrees) / 2), 0]
    return walk.but(quaternion=quaternion, acceleration=np.full((len(walk.time), 3), np.nan))


@pytest.mark.parametrize(("degrees", "verdict"), [(0, "ok"), (2, "warn"), (14, "fail")])
def test_ground_that_is_not_flat(bench, judge, degrees, verdict):
    check = judge(tilted(bench.walk, degrees))["flat"]
    assert check.verdict == verdict
    assert judge(tilted(bench.walk, 25, slice(300, 500)))["flat"].verdict == "fail"


def test_a_sagging_body_on_flat_ground_is_no_slope():
    """Rear knees that give way tilt the body and its feet alike."""
    pose = SPEC.default_position - 0.4 * np.isin(np.arange(12), [8, 11])
    feet = foot_positions(SPEC, pose)
    normal = np.linalg.svd(feet - feet.mean(axis=0))[2][-1]
    gravity = np.tile(-normal * np.sign(normal[2]), (100, 1))
    assert tilt(gravity[0]) > 5.0
    assert np.abs(slopes(np.tile(pose, (100, 1)), gravity, SPEC)).max() < 0.01
    assert slopes(np.tile(pose, (100, 1)), np.tile([0.0, 0, -1], (100, 1)), SPEC)[0, 0] == pytest.approx(
        tilt(gravity[0]), rel=0.05
    )


def test_a_fall(bench, judge):
    check = judge(tilted(bench.walk, 60, slice(700, 720)))["flat"]
    assert check.verdict == "fail" and "fell" in check.text


def test_an_imu_at_odds_with_itself(bench, judge):
    walk = bench.walk
    check = judge(walk.but(angular_velocity=-walk.angular_velocity))["imu"]
    assert check.verdict == "fail" and "gyroscope" in check.text
    side = np.roll(walk.acceleration, 1, axis=1)
    check = judge(walk.but(acceleration=side))["imu"]
    assert check.verdict == "fail" and "90 degrees" in check.text
