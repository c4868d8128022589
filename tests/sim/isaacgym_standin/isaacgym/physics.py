"""What happens behind the stand-in's API: a MuJoCo model for each environment, with PhysX's conventions."""

import copy
import os

import mujoco
import numpy as np

SOLREF = 0.02  # s


class Asset:
    """A robot from a URDF file."""

    def __init__(self, rootpath, filename, options):
        with open(os.path.join(rootpath, filename)) as file:
            self.urdf = file.read()
        if options.collapse_fixed_joints or options.fix_base_link:
            raise NotImplementedError("floating robots with all their links only")
        self.options = options
        model = self.spec().compile()
        self.bodies = [model.body(i).name for i in range(1, model.nbody)]
        self.dofs = [model.joint(i).name for i in range(1, model.njnt)]

    def spec(self, collides_with_itself=False):
        """Return the robot as an editable model with a free root."""
        spec = mujoco.MjSpec.from_string(self.urdf)
        spec.compiler.fusestatic = False
        root = next(body for body in spec.bodies if body.name != "world")
        root.add_freejoint()
        for geom in spec.geoms:
            geom.contype, geom.conaffinity, geom.priority = int(collides_with_itself), 1, 1
            if self.options.replace_cylinder_with_capsule and geom.type == mujoco.mjtGeom.mjGEOM_CYLINDER:
                geom.type = mujoco.mjtGeom.mjGEOM_CAPSULE
        return spec


class Env:
    """One environment with one robot."""

    def __init__(self, sim):
        self.sim, self.number, self.asset = sim, len(sim.envs), None
        self.spent = set()
        sim.envs.append(self)

    def add(self, asset, position, collides_with_itself):
        if self.asset is not None:
            raise NotImplementedError("one actor in an environment")
        self.asset, self.position, self.collides = asset, position, collides_with_itself
        return 0

    def once_a_step(self, call):
        """Raise if the call was made since the last step: the real one then drops one of the two."""
        if call in self.spent:
            raise RuntimeError(f"{call} was called twice in a step for environment {self.number}")
        if self.sim.started:
            self.spent.add(call)

    def build(self, model):
        self.model, self.data = model, mujoco.MjData(model)
        self.data.qpos[:3] = self.position
        self.robot_bodies = np.arange(1, model.nbody)
        self.shapes = [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0]
        self.root_com = model.body_ipos[1].copy()
        mujoco.mj_forward(model, self.data)

    def masses(self):
        m = self.model
        return [(float(m.body_mass[b]), m.body_ipos[b], m.body_inertia[b]) for b in self.robot_bodies]

    def set_masses(self, rows):
        for body, (mass, com, inertia) in zip(self.robot_bodies, rows, strict=True):
            self.model.body_mass[body], self.model.body_ipos[body] = mass, com
            self.model.body_inertia[body] = inertia
        self._constants()

    def set_armature(self, armature):
        if self.sim.started:
            self.model.dof_armature[6:] = armature
            self._constants()

    def _constants(self):
        scratch = mujoco.MjData(self.model)
        mujoco.mj_setConst(self.model, scratch)

    def set_surface(self, rows):
        """PhysX takes the mean of both surfaces; a bounce is a less damped contact here."""
        ground = self.sim.ground
        for geom, (friction, restitution) in zip(self.shapes, rows, strict=True):
            self.model.geom_friction[geom, 0] = (friction + ground.dynamic_friction) / 2
            bounce = (restitution + ground.restitution) / 2
            log = np.log(max(bounce, 1e-6))
            self.model.geom_solref[geom] = (SOLREF, 1.0 if bounce == 0 else -log / np.hypot(np.pi, log))


class Sim:
    """All environments."""

    def __init__(self, params):
        self.params, self.envs, self.meshes, self.ground = params, [], [], None
        self.started, self.fetched, self.tensors = False, True, {}
        self.spent = set()

    @property
    def count(self):
        return len(self.envs)

    def before_start(self, call):
        if self.started:
            raise RuntimeError(f"{call} after prepare_sim")

    def start(self):
        self.before_start("prepare_sim")
        env = self.envs[0]
        spec = env.asset.spec(env.collides)
        spec.option.timestep = self.params.dt / self.params.substeps
        spec.option.gravity = [self.params.gravity.x, self.params.gravity.y, self.params.gravity.z]
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.iterations = 10
        if self.ground is not None:
            spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
        for vertices, triangles, _ in self.meshes:
            for component in components(vertices, triangles):
                add_component(spec, *component)
        model = spec.compile()
        for each in self.envs:
            each.build(copy.copy(model))
        self.started = True

    def tensor(self, kind):
        if not self.started:
            raise RuntimeError("prepare_sim must be called before tensors are acquired")
        bodies = len(self.envs[0].robot_bodies)
        shapes = {"root": (1, 13), "dof": (12, 2), "body": (bodies, 13), "force": (bodies, 3)}
        rows, width = shapes[kind]
        return self.tensors.setdefault(kind, np.zeros((self.count * rows, width), np.float32))

    def refresh(self, kind):
        if not self.fetched:
            raise RuntimeError("on the CPU pipeline fetch_results must be called between simulate and refresh")
        rows = np.stack([getattr(self, "_" + kind)(env) for env in self.envs])
        self.tensors[kind][:] = rows.reshape(self.tensors[kind].shape)

    def _root(self, env):
        d = env.data
        rotation = d.xmat[1].reshape(3, 3)
        spin = rotation @ d.qvel[3:6]
        linear = d.qvel[:3] + np.cross(spin, rotation @ env.root_com)  # of the centre of mass, as PhysX has it
        return np.concatenate([d.qpos[:3], d.qpos[[4, 5, 6, 3]], linear, spin])

    def _dof(self, env):
        return np.stack([env.data.qpos[7:], env.data.qvel[6:]], axis=1)

    def _body(self, env):
        rows = np.zeros((len(env.robot_bodies), 13))
        rows[:, :3], rows[:, 3:7] = env.data.xpos[1:], env.data.xquat[1:, [1, 2, 3, 0]]
        return rows

    def _force(self, env):
        forces, wrench = np.zeros((env.model.nbody, 3)), np.zeros(6)
        for i, contact in enumerate(env.data.contact):
            mujoco.mj_contactForce(env.model, env.data, i, wrench)
            world = contact.frame.reshape(3, 3).T @ wrench[:3]
            forces[env.model.geom_bodyid[contact.geom2]] += world
            forces[env.model.geom_bodyid[contact.geom1]] -= world
        return forces[1:]

    def _once_a_step(self, call):
        if call in self.spent:
            raise RuntimeError(f"{call} was called twice in a step: only the last would count")
        self.spent.add(call)

    def set_root(self, values, numbers):
        self._once_a_step("set_actor_root_state_tensor_indexed")
        for number in numbers:
            env, row = self.envs[number], values.reshape(-1, 13)[number].astype(float)
            env.data.qpos[:3], env.data.qpos[3:7] = row[:3], row[[6, 3, 4, 5]]
            rotation = np.zeros(9)
            mujoco.mju_quat2Mat(rotation, env.data.qpos[3:7])
            rotation = rotation.reshape(3, 3)
            env.data.qvel[:3] = row[7:10] - np.cross(row[10:13], rotation @ env.root_com)
            env.data.qvel[3:6] = rotation.T @ row[10:13]

    def set_dofs(self, values, numbers):
        self._once_a_step("set_dof_state_tensor_indexed")
        for number in numbers:
            rows = values.reshape(-1, 12, 2)[number]
            self.envs[number].data.qpos[7:], self.envs[number].data.qvel[6:] = rows[:, 0], rows[:, 1]
            self.envs[number].data.qacc_warmstart[:] = 0

    def set_torques(self, torques):
        if torques.dtype != np.float32:
            raise TypeError("torques must be float32")
        for env, torque in zip(self.envs, torques, strict=True):
            env.data.qfrc_applied[6:] = torque

    def simulate(self):
        if not self.started:
            raise RuntimeError("prepare_sim must be called before simulate")
        for env in self.envs:
            env.spent.clear()
            for _ in range(self.params.substeps):
                mujoco.mj_step(env.model, env.data)
            mujoco.mj_kinematics(env.model, env.data)  # positions of bodies as of the end of the step
        self.spent.clear()
        self.fetched = False


def components(vertices, triangles):
    """Yield the vertices and triangles of every connected part of a mesh."""
    label = np.arange(len(vertices))
    while True:
        lowest = label[triangles].min(axis=1)
        new = label.copy()
        np.minimum.at(new, triangles.ravel(), np.repeat(lowest, 3))
        new = new[new]
        if (new == label).all():
            break
        label = new
    order = np.argsort(label[triangles[:, 0]], kind="stable")
    groups = np.split(triangles[order], np.flatnonzero(np.diff(label[triangles[order, 0]])) + 1)
    for group in groups:
        used, local = np.unique(group, return_inverse=True)
        yield vertices[used], local.reshape(-1, 3)


def add_component(spec, vertices, triangles):
    """Add a part of a mesh to the ground: MuJoCo takes convex ones and height fields."""
    if is_convex(vertices, triangles):
        name = f"part_{len(spec.meshes)}"
        spec.add_mesh(name=name, uservert=vertices.ravel(), userface=triangles.ravel())
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, conaffinity=0)
        return
    x, column = np.unique(vertices[:, 0], return_inverse=True)
    y, row = np.unique(vertices[:, 1], return_inverse=True)
    if len(x) * len(y) != len(vertices):
        raise NotImplementedError("a part of the terrain is neither convex nor a height field")
    heights = np.zeros((len(y), len(x)))
    heights[row, column] = vertices[:, 2]
    low, high = heights.min(), heights.max()
    name, half = f"field_{len(spec.hfields)}", [(x[-1] - x[0]) / 2, (y[-1] - y[0]) / 2]
    scaled = (heights - low) / (high - low)
    spec.add_hfield(name=name, nrow=len(y), ncol=len(x), size=[*half, high - low, 0.1], userdata=scaled.ravel())
    place = [x[0] + half[0], y[0] + half[1], low]
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=name, pos=place, conaffinity=0)


def is_convex(vertices, triangles):
    """Return whether no vertex lies before a face."""
    if len(vertices) > 64:
        return False
    a, b, c = (vertices[triangles[:, i]].astype(float) for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return (np.einsum("tj,vtj->vt", normal, vertices[:, None] - a[None]) < 1e-3).all()
