"""The specification against MuJoCo: the MJCF written from it says the same as the analytic functions, and stands."""

import numpy as np
import pytest

import robots
from robots import kinematics, mjcf
from robots.joints import LEGS

mujoco = pytest.importorskip("mujoco")


@pytest.fixture(params=robots.NAMES)
def spec(request):
    return robots.load(request.param)


@pytest.fixture
def model(spec):
    motors = "".join(
        f'<position name="{name}" joint="{name}" kp="{spec.kp}" kv="{spec.kd}" forcerange="{-torque} {torque}"/>'
        for name, torque in zip(spec.joint_names, spec.torque_limit, strict=True)
    )
    return mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="0.002" integrator="implicitfast"/>{mjcf.header()}'
        f'<worldbody><geom type="plane" size="0 0 1"/>{mjcf.robot_body(spec)}</worldbody>'
        f"<actuator>{motors}</actuator><sensor>{mjcf.touch_sensors()}</sensor></mujoco>"
    )


def placed(model, spec, joints, quaternion=(1.0, 0.0, 0.0, 0.0), height=1.0):
    """Return the state of `model` with the trunk's origin at `height` and the given pose."""
    data = mujoco.MjData(model)
    data.qpos[:3] = 0.3, -0.2, height
    data.qpos[3:7] = quaternion
    data.qpos[7:] = joints
    mujoco.mj_forward(model, data)
    return data


def test_model_has_the_joints_masses_and_limits_of_the_specification(spec, model):
    assert [model.joint(i).name for i in range(1, model.njnt)] == list(spec.joint_names)
    payload = model.body(mjcf.PAYLOAD_BODY).mass.item()
    assert payload < 0.001 and model.body_mass.sum() - payload == pytest.approx(spec.mass, rel=1e-6)
    np.testing.assert_allclose(model.jnt_range[1:].T, spec.position_limits)
    np.testing.assert_allclose(model.dof_armature[6:], spec.armature)


def test_left_and_right_mirror(spec, model):
    for kind in ("hip", "thigh", "calf", "foot"):
        for end in "FR":
            left, right = model.body(f"{end}L_{kind}"), model.body(f"{end}R_{kind}")
            np.testing.assert_allclose(left.pos * [1, -1, 1], right.pos)
            np.testing.assert_allclose(left.ipos * [1, -1, 1], right.ipos)
            np.testing.assert_allclose(left.inertia, right.inertia)


@pytest.mark.parametrize("offset", [None, np.array([[0.01, -0.004, -0.02]] * 4)], ids=["centre", "beside"])
def test_feet_move_with_the_joints_as_the_jacobian_says(spec, model, offset):
    generator = np.random.default_rng(2)
    for _ in range(20):
        joints = generator.uniform(*spec.position_limits)
        data = placed(model, spec, joints)
        expected = kinematics.foot_jacobians(spec, joints, offset)
        for i, leg in enumerate(LEGS):
            foot = model.geom(f"{leg}_foot").id
            point = data.geom_xpos[foot] + (0.0 if offset is None else offset[i])
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jac(model, data, jacobian, None, point, model.geom_bodyid[foot])
            np.testing.assert_allclose(jacobian[:, 6 + 3 * i : 9 + 3 * i], expected[i], atol=1e-9)


def test_feet_are_where_kinematics_puts_them(spec, model):
    generator = np.random.default_rng(1)
    lower, upper = spec.position_limits
    poses = np.vstack([spec.default_position, generator.uniform(lower, upper, size=(50, 12))])
    expected = kinematics.foot_positions(spec, poses)
    feet = [model.geom(f"{leg}_foot").id for leg in LEGS]
    for pose, where in zip(poses, expected, strict=True):
        data = placed(model, spec, pose)
        np.testing.assert_allclose(data.geom_xpos[feet] - data.qpos[:3], where, atol=1e-3)


def test_projected_gravity_and_yaw_are_mujocos(spec, model):
    generator = np.random.default_rng(2)
    quaternions = generator.normal(size=(50, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    gravity, heading = kinematics.projected_gravity(quaternions), kinematics.yaw(quaternions)
    for quaternion, down, angle in zip(quaternions, gravity, heading, strict=True):
        data = placed(model, spec, spec.default_position, quaternion)
        rotation = data.body("trunk").xmat.reshape(3, 3)
        np.testing.assert_allclose(down, rotation.T @ [0, 0, -1], atol=1e-9)
        assert angle == pytest.approx(np.arctan2(rotation[1, 0], rotation[0, 0]), abs=1e-9)


def test_standing_height_puts_the_feet_on_the_ground(spec, model):
    data = placed(model, spec, spec.default_position, height=spec.standing_height)
    lowest = min(data.geom(f"{leg}_foot").xpos[2] - spec.foot_radius for leg in LEGS)
    assert abs(lowest) < 0.03  # front and rear thighs differ in the default pose


def test_robot_stands_for_five_seconds(spec, model):
    data = placed(model, spec, spec.default_position, height=spec.standing_height + 0.02)
    data.ctrl[:] = spec.default_position
    heights, uprightness = [], []
    for _ in range(round(5 / model.opt.timestep)):
        mujoco.mj_step(model, data)
        heights.append(data.qpos[2])
        uprightness.append(-kinematics.projected_gravity(data.qpos[3:7])[2])
    assert min(heights) > 0.8 * spec.standing_height and max(heights) < 1.2 * spec.standing_height
    assert min(uprightness) > np.cos(np.radians(10))
    # At rest at the end, on its feet, drifted nowhere.
    assert np.abs(data.qvel).max() < 0.02
    assert np.hypot(*(data.qpos[:2] - [0.3, -0.2])) < 0.05
    forces = {name: data.sensor(name).data.item() for name in [*(f"{leg}_foot" for leg in LEGS), "trunk"]}
    assert forces.pop("trunk") == 0.0 and min(forces.values()) > 0.05 * spec.mass * 9.81
    assert sum(forces.values()) == pytest.approx(spec.mass * 9.81, rel=0.1)
