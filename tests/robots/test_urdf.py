"""The URDF against the MJCF: MuJoCo reads the same robot from both."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import robots
from robots import kinematics, mjcf, urdf
from robots.joints import LEGS

mujoco = pytest.importorskip("mujoco")

BODIES = [f"{leg}_{part}" for leg in LEGS for part in ("hip", "thigh", "calf", "foot")]


@pytest.fixture(params=robots.NAMES)
def spec(request):
    return robots.load(request.param)


@pytest.fixture
def models(spec):
    """Return the robot read from URDF, floating as it does in the MJCF, and from MJCF."""
    floating = (
        '<link name="world"/><joint name="root" type="floating"><parent link="world"/><child link="base"/></joint>'
    )
    options = '<mujoco><compiler fusestatic="false" discardvisual="false"/></mujoco>'
    text = urdf.robot(spec).replace("</robot>", f"{floating}{options}</robot>")
    other = f"<mujoco>{mjcf.header()}<worldbody>{mjcf.robot_body(spec)}</worldbody></mujoco>"
    return mujoco.MjModel.from_xml_string(text), mujoco.MjModel.from_xml_string(other)


def test_masses_and_inertias_are_the_same(spec, models):
    ours, other = models
    for name in ("trunk", *BODIES):
        body, twin = ours.body(name), other.body(name)
        assert body.mass == pytest.approx(twin.mass, rel=1e-6)
        np.testing.assert_allclose(body.ipos, twin.ipos, atol=1e-9)
        np.testing.assert_allclose(np.sort(body.inertia), np.sort(twin.inertia), rtol=1e-6)
    assert ours.body_mass.sum() == pytest.approx(spec.mass, rel=1e-6)


def test_joints_and_limits_are_those_of_the_specification(spec, models):
    ours, _ = models
    assert [ours.joint(i).name for i in range(1, ours.njnt)] == list(spec.joint_names)
    np.testing.assert_allclose(ours.jnt_range[1:].T, spec.position_limits)
    efforts = {j.get("name"): float(j.find("limit").get("effort")) for j in _joints(spec)}
    speeds = {j.get("name"): float(j.find("limit").get("velocity")) for j in _joints(spec)}
    np.testing.assert_allclose([efforts[name] for name in spec.joint_names], spec.torque_limit)
    np.testing.assert_allclose([speeds[name] for name in spec.joint_names], spec.velocity_limit)


def _joints(spec):
    return [joint for joint in ET.fromstring(urdf.robot(spec)).iter("joint") if joint.get("type") == "revolute"]


@pytest.mark.parametrize("seed", range(3))
def test_bodies_and_feet_are_where_the_mjcf_and_kinematics_put_them(spec, models, seed):
    q = np.random.default_rng(seed).uniform(*spec.position_limits)
    places = []
    for model in models:
        data = mujoco.MjData(model)
        data.qpos[:] = [0.1, -0.2, 0.7, 0.9, 0.1, -0.3, np.sqrt(1 - 0.91), *q]
        mujoco.mj_forward(model, data)
        places.append({name: (data.body(name).xpos.copy(), data.body(name).xmat.copy()) for name in ("trunk", *BODIES)})
        trunk, rotation = places[-1]["trunk"]
        feet = [rotation.reshape(3, 3).T @ (places[-1][f"{leg}_foot"][0] - trunk) for leg in LEGS]
        np.testing.assert_allclose(feet, kinematics.foot_positions(spec, q), atol=1e-8)
    for name in places[0]:
        for ours, other in zip(places[0][name], places[1][name], strict=True):
            np.testing.assert_allclose(ours, other, atol=1e-8)


def test_every_link_hangs_on_base_and_the_imu_is_there(spec):
    tree = ET.fromstring(urdf.robot(spec))
    children = {joint.find("child").get("link") for joint in tree.iter("joint")}
    links = {link.get("name") for link in tree.iter("link")}
    assert links - children == {urdf.BASE} and {"trunk", "imu"} < links
