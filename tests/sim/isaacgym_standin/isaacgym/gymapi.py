"""Isaac Gym's API as far as the worker uses it, with the documented signatures; what happens is in `isaacgym.physics`.

Attributes that the real classes lack cannot be set on these, either; a call in the wrong order raises.
"""

import math

import numpy as np

from isaacgym import physics

SIM_PHYSX, UP_AXIS_Z, DOMAIN_SIM = 1, 1, 2
DOF_MODE_NONE, DOF_MODE_POS, DOF_MODE_VEL, DOF_MODE_EFFORT = 0, 1, 2, 3
DOF_FIELDS = [
    *(("hasLimits", "?"), ("lower", "f4"), ("upper", "f4"), ("driveMode", "i4"), ("velocity", "f4"), ("effort", "f4")),
    *(("stiffness", "f4"), ("damping", "f4"), ("friction", "f4"), ("armature", "f4")),
]


class Tensor:
    def __init__(self, values):
        self.values = values


class Vec3:
    __slots__ = ("x", "y", "z")

    def __init__(self, x=0.0, y=0.0, z=0.0):
        self.x, self.y, self.z = float(x), float(y), float(z)


class Quat:
    __slots__ = ("w", "x", "y", "z")

    def __init__(self, x=0.0, y=0.0, z=0.0, w=1.0):
        self.x, self.y, self.z, self.w = float(x), float(y), float(z), float(w)


def _record(name, **defaults):
    """Return a class with these attributes and no others; callable defaults are made anew."""

    def start(self):
        for key, value in defaults.items():
            setattr(self, key, value() if callable(value) else value)

    return type(name, (), {"__slots__": tuple(defaults), "__init__": start})


Transform = _record("Transform", p=Vec3, r=Quat)
Mat33 = _record("Mat33", x=Vec3, y=Vec3, z=Vec3)
PhysXParams = _record(
    "PhysXParams",
    use_gpu=False,
    num_threads=0,
    solver_type=1,
    num_position_iterations=4,
    num_velocity_iterations=1,
    contact_offset=0.02,
    rest_offset=0.001,
    bounce_threshold_velocity=0.2,
    max_depenetration_velocity=100.0,
    max_gpu_contact_pairs=2**20,
    default_buffer_size_multiplier=2.0,
)
SimParams = _record(
    "SimParams", dt=1 / 60, substeps=2, up_axis=0, gravity=Vec3, use_gpu_pipeline=False, physx=PhysXParams
)
PlaneParams = _record(
    "PlaneParams", normal=Vec3, distance=0.0, static_friction=1.0, dynamic_friction=1.0, restitution=0.0
)
TriangleMeshParams = _record(
    "TriangleMeshParams",
    nb_vertices=0,
    nb_triangles=0,
    transform=Transform,
    static_friction=1.0,
    dynamic_friction=1.0,
    restitution=0.0,
)
AssetOptions = _record(
    "AssetOptions",
    angular_damping=0.5,
    armature=0.0,
    collapse_fixed_joints=False,
    default_dof_drive_mode=0,
    density=1000.0,
    disable_gravity=False,
    fix_base_link=False,
    flip_visual_attachments=False,
    linear_damping=0.0,
    max_angular_velocity=64.0,
    max_linear_velocity=1000.0,
    replace_cylinder_with_capsule=False,
    thickness=0.02,
)
RigidBodyProperties = _record("RigidBodyProperties", mass=0.0, com=Vec3, inertia=Mat33, flags=0)
RigidShapeProperties = _record(
    "RigidShapeProperties",
    friction=1.0,
    rolling_friction=0.0,
    torsion_friction=0.0,
    restitution=0.0,
    compliance=0.0,
    thickness=0.0,
    filter=0,
)


def acquire_gym():
    return Gym()


def _need(value, kind):
    if not isinstance(value, kind):
        raise TypeError(f"incompatible function arguments: expected {kind.__name__}, not {type(value).__name__}")


def _flat(array, dtype, count):
    if array.ndim != 1 or array.dtype != dtype or len(array) != count:
        raise TypeError(f"expected {count} {np.dtype(dtype).name} in one dimension, not {array.dtype}{array.shape}")


class Gym:
    """The functions on simulations."""

    def create_sim(self, compute_device=0, graphics_device=0, type=SIM_PHYSX, params=None):
        _need(params, SimParams)
        if type != SIM_PHYSX or params.use_gpu_pipeline or params.up_axis != UP_AXIS_Z:
            return None
        return physics.Sim(params)

    def add_ground(self, sim, params):
        _need(params, PlaneParams)
        sim.before_start("add_ground")
        sim.ground = params

    def add_triangle_mesh(self, sim, vertices, triangles, params):
        _need(params, TriangleMeshParams)
        sim.before_start("add_triangle_mesh")
        _flat(vertices, np.float32, 3 * params.nb_vertices)
        _flat(triangles, np.uint32, 3 * params.nb_triangles)
        sim.meshes.append((vertices.reshape(-1, 3), triangles.reshape(-1, 3).astype(int), params))

    def load_asset(self, sim, rootpath, filename, options=None):
        _need(options, AssetOptions)
        return physics.Asset(rootpath, filename, options)

    def get_asset_rigid_body_names(self, asset):
        return list(asset.bodies)

    def get_asset_dof_names(self, asset):
        return list(asset.dofs)

    def get_asset_dof_properties(self, asset):
        values = np.zeros(len(asset.dofs), DOF_FIELDS)
        values["driveMode"], values["hasLimits"] = asset.options.default_dof_drive_mode, True
        return values

    def create_env(self, sim, lower, upper, num_per_row):
        _need(lower, Vec3), _need(upper, Vec3), _need(num_per_row, int)
        sim.before_start("create_env")
        return physics.Env(sim)

    def create_actor(self, env, asset, pose, name=None, group=-1, filter=-1, segmentationId=0):
        _need(pose, Transform)
        env.sim.before_start("create_actor")
        return env.add(asset, (pose.p.x, pose.p.y, pose.p.z), collides_with_itself=filter == 0)

    def get_actor_index(self, env, handle, domain):
        if domain != DOMAIN_SIM:
            raise NotImplementedError("DOMAIN_SIM only")
        return env.number

    def set_actor_dof_properties(self, env, handle, props):
        if props.dtype != np.dtype(DOF_FIELDS):
            raise TypeError("expected what get_asset_dof_properties returns")
        if (props["driveMode"] != DOF_MODE_EFFORT).any() or props["stiffness"].any() or props["damping"].any():
            raise NotImplementedError("DOF_MODE_EFFORT without drives only")
        env.set_armature(props["armature"])
        return True

    def get_actor_rigid_body_properties(self, env, handle):
        found = []
        for mass, com, inertia in env.masses():
            body = RigidBodyProperties()
            body.mass, body.com = mass, Vec3(*com)
            body.inertia.x, body.inertia.y, body.inertia.z = (Vec3(*row) for row in np.diag(inertia))
            found.append(body)
        return found

    def set_actor_rigid_body_properties(self, env, handle, props, recomputeInertia=False):
        env.once_a_step("set_actor_rigid_body_properties")
        rows = [(b.mass, (b.com.x, b.com.y, b.com.z), (b.inertia.x.x, b.inertia.y.y, b.inertia.z.z)) for b in props]
        env.set_masses(rows)
        return True

    def get_actor_rigid_shape_properties(self, env, handle):
        return [RigidShapeProperties() for _ in env.shapes]

    def set_actor_rigid_shape_properties(self, env, handle, props):
        env.once_a_step("set_actor_rigid_shape_properties")
        if len(props) != len(env.shapes):
            raise RuntimeError(f"the actor has {len(env.shapes)} shapes, {len(props)} were given")
        if not all(math.isfinite(shape.friction) and shape.friction >= 0 for shape in props):
            raise RuntimeError("friction must not be negative")
        env.set_surface([(shape.friction, shape.restitution) for shape in props])
        return True

    def prepare_sim(self, sim):
        sim.start()
        return True

    def acquire_actor_root_state_tensor(self, sim):
        return Tensor(sim.tensor("root"))

    def acquire_dof_state_tensor(self, sim):
        return Tensor(sim.tensor("dof"))

    def acquire_rigid_body_state_tensor(self, sim):
        return Tensor(sim.tensor("body"))

    def acquire_net_contact_force_tensor(self, sim):
        return Tensor(sim.tensor("force"))

    def refresh_actor_root_state_tensor(self, sim):
        sim.refresh("root")

    def refresh_dof_state_tensor(self, sim):
        sim.refresh("dof")

    def refresh_rigid_body_state_tensor(self, sim):
        sim.refresh("body")

    def refresh_net_contact_force_tensor(self, sim):
        sim.refresh("force")

    def set_actor_root_state_tensor_indexed(self, sim, tensor, index_tensor, num_indices):
        sim.set_root(*_indexed(tensor, index_tensor, num_indices, sim.count * 13))
        return True

    def set_dof_state_tensor_indexed(self, sim, tensor, index_tensor, num_indices):
        sim.set_dofs(*_indexed(tensor, index_tensor, num_indices, sim.count * 24))
        return True

    def set_dof_actuation_force_tensor(self, sim, tensor):
        _need(tensor, Tensor)
        sim.set_torques(tensor.values.reshape(sim.count, 12))
        return True

    def simulate(self, sim):
        sim.simulate()

    def fetch_results(self, sim, wait):
        sim.fetched = True


def _indexed(tensor, index_tensor, num_indices, size):
    _need(tensor, Tensor), _need(index_tensor, Tensor)
    if index_tensor.values.dtype != np.int32:
        raise TypeError("indices must be int32")
    if tensor.values.size != size or len(index_tensor.values) < num_indices:
        raise RuntimeError("the state tensor holds all actors; the indices say which of them are set")
    return tensor.values, index_tensor.values[:num_indices]
