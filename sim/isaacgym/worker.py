"""Steps many robots in Isaac Gym Preview 4, for a trainer in another interpreter.

Isaac Gym lives in Python 3.8 and older, so this file runs there, as a process of its own: it is written in that syntax
and imports nothing but isaacgym, torch, numpy and the standard library. `sim.isaacgym.process` starts it and takes from
it the tables below, which are the protocol ("shared step"):

- A block of shared memory: a header, INPUT (what the trainer writes), OUTPUT (what this process writes). Both are
  float32 matrices with a row for each robot, so that each crosses to and from the GPU as one copy.
- A socket: the trainer sends one byte for one control period, this process answers with a line: `ready {...}` once,
  then `ok` for every period, or `error` and a sentence. End of file means that the other side is gone.

What is asked for by `place`, `push` and `change` happens at the beginning of the next period: Isaac Gym's setters may
be called only once between two steps.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import socket
import struct
import sys
import tempfile

import numpy as np

MAGIC, VERSION = b"DMCMSTEP", 1
HEADER = struct.Struct("<8sII")  # magic, version, number of robots
OFFSET = 64  # bytes before INPUT
# Columns of a robot's row; joints in the trainer's order, quaternions w x y z, SI units, world frame.
INPUT = (
    ("targets", 12),
    ("place", 1),  # 1: begin the period at rest at the following pose
    ("position", 3),
    ("quaternion", 4),
    ("joints", 12),
    ("push", 3),  # added to the trunk's velocity
    ("change", 1),  # 1: the following columns have changed
    ("kp", 12),
    ("kd", 12),
    ("torque_limit", 12),
    ("joint_friction", 1),  # dry, of every joint
    ("armature", 12),
    ("latency", 1),
    ("payload_mass", 1),
    ("payload_position", 3),  # of its centre of mass, trunk frame
    ("payload_inertia", 1),  # about its centre, every axis
    ("friction", 1),
    ("restitution", 1),
)
OUTPUT = (
    ("root_position", 3),
    ("root_quaternion", 4),
    ("root_linear_velocity", 3),  # of the trunk's origin
    ("root_angular_velocity", 3),  # trunk frame
    ("joint_position", 12),
    ("joint_velocity", 12),
    ("joint_torque", 12),
    ("foot_force", 4),
    ("foot_position", 12),
    ("trunk_force", 1),
    ("leg_force", 8),
    ("diverged", 1),
)

MAX_SPEED = 60.0  # rad/s or m/s; no joint and no trunk moves faster in a valid simulation
LIGHTEST = 1e-3  # kg; PhysX computes in float32
FRICTION_STEP = 0.01  # friction is rounded to this: PhysX holds at most 64 000 materials
NEWEST = (3, 9)  # Python from which on Isaac Gym has no bindings
PR_SET_PDEATHSIG = 1


def columns(table):
    """Return the slice of each field of INPUT or OUTPUT, by name, and the width of a row."""
    places, start = {}, 0
    for name, size in table:
        places[name] = slice(start, start + size)
        start += size
    return places, start


def size(num_envs):
    """Return the bytes of the shared block."""
    return OFFSET + 4 * num_envs * (columns(INPUT)[1] + columns(OUTPUT)[1])


def views(block, num_envs):
    """Return INPUT and OUTPUT of a shared block as arrays, (num_envs, width) float32 each."""
    wide, out = columns(INPUT)[1], columns(OUTPUT)[1]
    given = np.frombuffer(block, np.float32, num_envs * wide, OFFSET)
    made = np.frombuffer(block, np.float32, num_envs * out, OFFSET + given.nbytes)
    return given.reshape(num_envs, wide), made.reshape(num_envs, out)


class Robots:
    """The simulation: robots of one kind in one terrain, their joints driven by explicit PD.

    Args:
        setup: `sim.isaacgym_backend` says what is in it.
        urdf: the robot.
        vertices, triangles: of the terrain, (v, 3) float32 and (t, 3) uint32.
    """

    def __init__(self, setup, urdf, vertices, triangles):
        # Isaac Gym refuses to be imported after torch.
        # isort: off
        from isaacgym import gymapi, gymtorch
        import torch
        # isort: on

        torch.set_num_threads(1)  # the physics has threads of its own
        self.api, self.bridge, self.torch, self.setup = gymapi, gymtorch, torch, setup
        self.count, self.substeps = setup["num_envs"], setup["substeps"]
        self.device = choose_device(torch, setup["device"])
        self.on_gpu = self.device != "cpu"
        self.gym = gymapi.acquire_gym()
        self.sim = self._create()
        self._add_ground(vertices, triangles)
        self._add_robots(urdf)
        if not self.gym.prepare_sim(self.sim):
            raise RuntimeError("Isaac Gym could not prepare the simulation")
        self._acquire()
        self.history = torch.zeros(1 + -(-setup["max_delay"] // self.substeps), self.count, 12, device=self.device)
        self.delay = torch.zeros(self.count, dtype=torch.long, device=self.device)
        self.everyone = torch.arange(self.count, device=self.device)

    def _create(self):
        api, params = self.api, self.api.SimParams()
        params.dt, params.substeps = self.setup["dt"], 1
        params.up_axis = api.UP_AXIS_Z
        params.gravity = api.Vec3(0.0, 0.0, -9.81)
        params.use_gpu_pipeline = params.physx.use_gpu = self.on_gpu
        params.physx.num_threads = self.setup["threads"]
        # The rest as legged_gym has it.
        params.physx.solver_type = 1
        params.physx.num_position_iterations, params.physx.num_velocity_iterations = 4, 0
        params.physx.contact_offset, params.physx.rest_offset = 0.01, 0.0
        params.physx.bounce_threshold_velocity, params.physx.max_depenetration_velocity = 0.5, 1.0
        params.physx.max_gpu_contact_pairs, params.physx.default_buffer_size_multiplier = 2**23, 5
        number = int(self.device.split(":")[1]) if ":" in self.device else 0
        sim = self.gym.create_sim(number, -1, api.SIM_PHYSX, params)
        if sim is None:
            raise RuntimeError(f"Isaac Gym could not create a simulation on {self.device}: check the driver")
        return sim

    def _add_ground(self, vertices, triangles):
        """Add a plane at height 0 and the terrain's triangles.

        PhysX takes the mean of the two frictions (and restitutions) in a contact, so the ground has none and the robots
        twice theirs.
        """
        plane = self.api.PlaneParams()
        plane.normal = self.api.Vec3(0.0, 0.0, 1.0)
        plane.static_friction = plane.dynamic_friction = plane.restitution = 0.0
        self.gym.add_ground(self.sim, plane)
        if not len(triangles):
            return
        mesh = self.api.TriangleMeshParams()
        mesh.nb_vertices, mesh.nb_triangles = len(vertices), len(triangles)
        mesh.static_friction = mesh.dynamic_friction = mesh.restitution = 0.0
        self.gym.add_triangle_mesh(self.sim, vertices.flatten(order="C"), triangles.flatten(order="C"), mesh)

    def _add_robots(self, urdf):
        gym, api, setup = self.gym, self.api, self.setup
        options = api.AssetOptions()
        options.default_dof_drive_mode = int(api.DOF_MODE_EFFORT)
        options.collapse_fixed_joints = False  # feet and payload stay bodies of their own
        options.replace_cylinder_with_capsule = True
        options.angular_damping = options.linear_damping = 0.0
        options.max_angular_velocity = options.max_linear_velocity = 1000.0
        with tempfile.TemporaryDirectory() as folder:  # Isaac Gym reads files only
            with open(os.path.join(folder, "robot.urdf"), "w") as file:
                file.write(urdf)
            asset = gym.load_asset(self.sim, folder, "robot.urdf", options)
        if asset is None:
            raise RuntimeError("Isaac Gym could not load the robot's URDF")
        bodies, joints = gym.get_asset_rigid_body_names(asset), gym.get_asset_dof_names(asset)
        if sorted(joints) != sorted(setup["joints"]):
            raise RuntimeError(f"Isaac Gym read the joints {', '.join(joints)} from the URDF")
        self.bodies, self.payload = len(bodies), bodies.index("payload")
        self.trunk = bodies.index("trunk")
        self.feet, self.legs = ([bodies.index(name) for name in setup[key]] for key in ("feet", "legs"))
        self.ours = [joints.index(name) for name in setup["joints"]]  # where our joints are among Isaac Gym's
        self.theirs = [setup["joints"].index(name) for name in joints]
        self.dofs = gym.get_asset_dof_properties(asset)
        self.dofs["driveMode"].fill(api.DOF_MODE_EFFORT)
        for key in ("stiffness", "damping", "friction"):
            self.dofs[key].fill(0.0)
        corner, self.actors = api.Vec3(0.0, 0.0, 0.0), []
        for i in range(self.count):
            env = gym.create_env(self.sim, corner, corner, max(1, int(self.count**0.5)))
            pose = api.Transform()
            pose.p = api.Vec3(*setup["start"])
            actor = gym.create_actor(env, asset, pose, "robot", i, 1, 0)  # group i: alone; filter 1: no self-collision
            self.actors.append((env, actor))

    def _acquire(self):
        gym, wrap, n = self.gym, self.bridge.wrap_tensor, self.count
        self.root = wrap(gym.acquire_actor_root_state_tensor(self.sim)).view(n, 13)
        self.joint_states = wrap(gym.acquire_dof_state_tensor(self.sim)).view(n, 12, 2)
        self.body_states = wrap(gym.acquire_rigid_body_state_tensor(self.sim)).view(n, self.bodies, 13)
        self.forces = wrap(gym.acquire_net_contact_force_tensor(self.sim)).view(n, self.bodies, 3)
        numbers = [gym.get_actor_index(env, actor, self.api.DOMAIN_SIM) for env, actor in self.actors]
        self.numbers = self.torch.tensor(numbers, dtype=self.torch.int32, device=self.device)
        env, actor = self.actors[0]
        com = gym.get_actor_rigid_body_properties(env, actor)[self.trunk].com
        self.com = self.torch.tensor([com.x, com.y, com.z], device=self.device)
        self._refresh()

    def _refresh(self):
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_dof_state_tensor(self.sim)
        self.gym.refresh_rigid_body_state_tensor(self.sim)
        self.gym.refresh_net_contact_force_tensor(self.sim)

    def step(self, given, made):
        """Advance by one control period: INPUT rows `given` in, OUTPUT rows `made` out."""
        torch, place = self.torch, columns(INPUT)[0]
        changed = np.flatnonzero(given[:, place["change"].start])
        rows = torch.from_numpy(given).to(self.device)
        self.row = {name: rows[:, where] for name, where in place.items()}
        for i in changed.tolist():
            self._change(i, given[i], place)
        self.delay = torch.ceil(self.row["latency"][:, 0] / self.setup["dt"] - 1e-4).long()
        self.history = torch.roll(self.history, 1, 0)
        self.history[0] = self.row["targets"]
        self._place_and_push()
        for substep in range(self.substeps):
            self._drive(substep)
            self.gym.simulate(self.sim)
            if not self.on_gpu:
                self.gym.fetch_results(self.sim, True)
            self.gym.refresh_dof_state_tensor(self.sim)
        self._refresh()
        made[:] = self._outputs().cpu().numpy()

    def _change(self, i, row, place):
        """Give robot `i` its payload, friction, restitution and rotor inertia; the motors' part is read in `_drive`."""
        gym, (env, actor) = self.gym, self.actors[i]
        self.dofs["armature"][:] = row[place["armature"]][self.theirs]
        gym.set_actor_dof_properties(env, actor, self.dofs)
        body_properties = gym.get_actor_rigid_body_properties(env, actor)
        payload = body_properties[self.payload]
        payload.mass = max(LIGHTEST, float(row[place["payload_mass"]][0]))
        moment = max(LIGHTEST * 1e-3, float(row[place["payload_inertia"]][0]))
        payload.com = self.api.Vec3(*(float(value) for value in row[place["payload_position"]]))
        payload.inertia.x = self.api.Vec3(moment, 0.0, 0.0)
        payload.inertia.y = self.api.Vec3(0.0, moment, 0.0)
        payload.inertia.z = self.api.Vec3(0.0, 0.0, moment)
        gym.set_actor_rigid_body_properties(env, actor, body_properties, False)
        shapes = gym.get_actor_rigid_shape_properties(env, actor)
        for shape in shapes:
            shape.friction = 2.0 * round(float(row[place["friction"]][0]) / FRICTION_STEP) * FRICTION_STEP
            shape.restitution = 2.0 * float(row[place["restitution"]][0])
        gym.set_actor_rigid_shape_properties(env, actor, shapes)

    def _place_and_push(self):
        """Set the states of robots that start anew or are pushed, each kind of state by a single call."""
        row = self.row
        new = (row["place"][:, 0] > 0.5).nonzero(as_tuple=False).flatten()
        if len(new):
            self.root[new, :3] = row["position"][new]
            self.root[new, 3:7] = row["quaternion"][new][:, [1, 2, 3, 0]]
            self.root[new, 7:] = 0.0
            self.joint_states[new, :, 0] = row["joints"][new][:, self.theirs]
            self.joint_states[new, :, 1] = 0.0
            self.history[1:, new] = row["joints"][new]
            self.new = self.numbers[new].contiguous()  # kept: Isaac Gym reads it when it steps
            states = self.bridge.unwrap_tensor(self.joint_states.view(-1, 2))
            self.gym.set_dof_state_tensor_indexed(self.sim, states, self.bridge.unwrap_tensor(self.new), len(new))
        self.root[:, 7:10] += row["push"]
        moved = ((row["place"][:, 0] > 0.5) | (row["push"] != 0.0).any(dim=1)).nonzero(as_tuple=False).flatten()
        if len(moved):
            self.moved = self.numbers[moved].contiguous()
            states = self.bridge.unwrap_tensor(self.root)
            self.gym.set_actor_root_state_tensor_indexed(
                self.sim, states, self.bridge.unwrap_tensor(self.moved), len(moved)
            )

    def _drive(self, substep):
        """Compute and apply the joint torques of one physics step."""
        torch, row = self.torch, self.row
        position, velocity = self.joint_states[:, self.ours, 0], self.joint_states[:, self.ours, 1]
        late = torch.clamp(self.delay - substep + self.substeps - 1, min=0) // self.substeps  # control periods back
        target = self.history[torch.clamp(late, max=len(self.history) - 1), self.everyone]
        torque = row["kp"] * (target - position) - row["kd"] * velocity
        self.torque = torch.max(torch.min(torque, row["torque_limit"]), -row["torque_limit"])
        # Dry friction: at most what stops the bare rotor within the step, so that it never turns a joint around.
        stop = velocity * row["armature"] / self.setup["dt"]
        friction = torch.max(torch.min(stop, row["joint_friction"]), -row["joint_friction"])
        self.applied = (self.torque - friction)[:, self.theirs].contiguous()
        self.gym.set_dof_actuation_force_tensor(self.sim, self.bridge.unwrap_tensor(self.applied))

    def _outputs(self):
        torch, root, n = self.torch, self.root, self.count
        quaternion = root[:, 3:7]
        # Isaac Gym tells the velocity of the centre of mass.
        lever = _rotate(torch, quaternion, self.com.expand(n, 3))
        linear = root[:, 7:10] - torch.cross(root[:, 10:13], lever, dim=1)
        inverse = torch.cat([-quaternion[:, :3], quaternion[:, 3:]], dim=1)
        joint_states, force = self.joint_states[:, self.ours], self.forces.norm(dim=2)
        moving = torch.cat([root[:, 7:13], joint_states[:, :, 1]], dim=1)
        broken = ~(moving.abs().max(dim=1)[0] < MAX_SPEED) | ~torch.isfinite(root).all(dim=1)
        found = {
            "root_position": root[:, :3],
            "root_quaternion": quaternion[:, [3, 0, 1, 2]],
            "root_linear_velocity": linear,
            "root_angular_velocity": _rotate(torch, inverse, root[:, 10:13]),
            "joint_position": joint_states[:, :, 0],
            "joint_velocity": joint_states[:, :, 1],
            "joint_torque": self.torque,
            "foot_force": force[:, self.feet],
            "foot_position": self.body_states[:, self.feet, :3].reshape(n, 12),
            "trunk_force": force[:, [self.trunk]],
            "leg_force": force[:, self.legs],
            "diverged": broken.float()[:, None],
        }
        return torch.cat([found[name] for name, _ in OUTPUT], dim=1)


def choose_device(torch, wanted):
    """Return "cpu" or the wanted GPU; "auto" takes one where this interpreter's torch sees it.

    Raises:
        RuntimeError: if a GPU is wanted and torch sees none.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        remedy = "install a torch that knows this GPU, or give --env.device cpu"
        raise RuntimeError(f"torch {torch.__version__} of {sys.executable} sees no GPU: {remedy}")
    return "cuda:0" if wanted in ("auto", "cuda") else wanted


def _rotate(torch, quaternion, vector):
    """Return vectors (n, 3) turned by quaternions (n, 4), x y z w."""
    axis, w = quaternion[:, :3], quaternion[:, 3:]
    twice = 2.0 * torch.cross(axis, vector, dim=1)
    return vector + w * twice + torch.cross(axis, twice, dim=1)


def open_block(number):
    """Return the shared block behind a file descriptor, and the number of robots.

    Raises:
        RuntimeError: if the trainer speaks another protocol.
    """
    block = mmap.mmap(number, 0)
    magic, version, num_envs = HEADER.unpack_from(block, 0)
    if magic != MAGIC or version != VERSION:
        remedy = "take both from the same release"
        raise RuntimeError(
            f"the trainer speaks protocol {version} and the worker {__file__} protocol {VERSION}: {remedy}"
        )
    return block, num_envs


def load(number):
    """Return the simulation that the file behind a descriptor describes: setup, robot, terrain.

    Raises:
        RuntimeError: if Isaac Gym is missing or does not start; says what to do.
    """
    with os.fdopen(number, "rb") as file:
        given = dict(np.load(file))
    try:
        return Robots(json.loads(str(given["setup"])), str(given["urdf"]), given["vertices"], given["triangles"])
    except ImportError as problem:
        python = f"{sys.executable} (Python {sys.version_info[0]}.{sys.version_info[1]})"
        if problem.name == "isaacgym":
            why = "has no Isaac Gym: install Preview 4 into it (pip install -e isaacgym/python)"
        elif sys.version_info > NEWEST and "_bindings" in str(problem):
            why = "is too new for Isaac Gym, which runs in Python 3.6 to 3.8: name one of those"
        else:
            why = f"cannot load Isaac Gym: {problem}"
        raise RuntimeError(f"{python} {why}") from problem


def die_with(parent):
    """End this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the trainer is gone")


def serve(channel, robots, given, made):
    """Step whenever the trainer asks, until it closes the channel."""
    while channel.recv(1):
        robots.step(given, made)
        channel.sendall(b"ok\n")


def main(arguments):
    """Run the worker: descriptors of the socket, the shared block and the setup, and the trainer's process."""
    channel_number, block_number, setup_number, trainer = map(int, arguments)
    channel = socket.socket(fileno=channel_number)
    die_with(trainer)
    try:
        block, num_envs = open_block(block_number)
        robots = load(setup_number)
        channel.sendall(b"ready " + json.dumps({"device": robots.device}).encode() + b"\n")
        serve(channel, robots, *views(block, num_envs))
    except (ConnectionError, BrokenPipeError):
        pass  # the trainer is gone
    except Exception as problem:
        channel.sendall(b"error " + " ".join(str(problem).split()).encode() + b"\n")
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
