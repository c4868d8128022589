"""Shapes lie where MuJoCo puts them."""

import numpy as np
import pytest

import robots
from viewer.body import Body, payload_scale, rotate

mujoco = pytest.importorskip("mujoco")


@pytest.mark.parametrize("name", robots.NAMES)
def test_shapes_lie_where_mujoco_puts_them(name):
    from sim.scene import field_model

    spec, rng = robots.load(name), np.random.default_rng(0)
    body, model = Body(spec), field_model(spec, [])
    quaternion = rng.standard_normal((3, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    position, joints = rng.standard_normal((3, 3)), rng.uniform(-1, 1, (3, 12))
    places, turns = body.place(position, quaternion, joints)
    data, geoms = mujoco.MjData(model), [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0]
    assert len(geoms) == len(body.shapes)
    for i in range(3):
        data.qpos[:] = np.concatenate([position[i], quaternion[i], joints[i]])
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(places[i], data.geom_xpos[geoms], atol=1e-9)
        along = data.geom_xmat[geoms].reshape(-1, 3, 3)[:, :, 2]
        aligned = np.abs((rotate(turns[i], np.array([0.0, 0.0, 1.0])) * along).sum(axis=1))
        np.testing.assert_allclose(aligned, 1.0, atol=1e-9)


def test_shapes_of_a_kind_are_drawn_together(spec):
    groups = Body(spec).groups
    assert sorted(index for group in groups for index in group) == list(range(len(Body(spec).shapes)))
    assert len(groups) == 4  # boxes, cylinders, capsules, spheres


def test_the_drawn_payload_grows_with_its_mass():
    none, one, eight = payload_scale(np.array([0.0, 1.0, 8.0]))
    assert none < 1e-5
    assert eight == pytest.approx(2 * one)
