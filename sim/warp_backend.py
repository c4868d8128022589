"""MuJoCo Warp: the training model in thousands of worlds on a GPU, or a few on the CPU to compare with."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp

from robots.joints import LEGS
from robots.mjcf import PAYLOAD_BODY
from robots.spec import RobotSpec
from sim import scene
from sim.batched import Draw
from sim.ground import Ground
from sim.physical import physical
from sim.shapes import TILE
from sim.terrain import KINDS, LEVELS, TerrainWorld

MAX_SPEED = 60.0  # rad/s or m/s; no joint and no trunk moves faster in a valid simulation
CHECK_PERIOD = 50  # steps between the host's looks at the overflow flags of a GPU
TRIAL_WORLDS, TRIAL_ROUNDS = 16, 4
MARGIN = 1.5  # of the buffers over what the trial needs
FEWEST_CONTACTS = 256  # in all worlds: what a robot has more than the average weighs among few
# Fields of the model that differ between worlds.
PER_WORLD = (
    *("geom_size", "geom_aabb", "geom_rbound", "geom_friction", "geom_solref"),
    *("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_delay"),
    *("dof_frictionloss", "dof_armature", "body_mass", "body_ipos", "body_inertia", "body_subtreemass"),
)
_CONTACTS = mjw.OverflowType.BROADPHASE | mjw.OverflowType.NARROWPHASE | mjw.OverflowType.CCD
_CONSTRAINTS = mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ
_DROPPED = mjw.OverflowType.HFIELD | mjw.OverflowType.EPA_HORIZON
log = logging.getLogger(__name__)


class WarpSimulator:
    """`sim.simulator.Simulator` on MuJoCo Warp, with the same model as the CPU's simulator.

    Every world has the boxes of the tile alone that its robot is on, at that tile's place in the one grid, so that a
    robot is tested against tens of pairs of shapes instead of thousands. All state is views of Warp's arrays; resets,
    factors and pushes go by mask; the physics of a control period is one graph. The host waits for the
    device only to look for overflown buffers, once a second.

    Args:
        spec: the robot.
        world: the terrain.
        num_envs: number of worlds.
        device: "cpu", "cuda:0", ..., or "auto": a GPU where there is one.
        contacts: places for contacts in a world, on average; 0 sizes them from a trial.
        constraints: places for constraints in every world; 0 sizes them from a trial.
    """

    def __init__(
        self,
        spec: RobotSpec,
        world: TerrainWorld,
        num_envs: int,
        device: str = "auto",
        contacts: int = 0,
        constraints: int = 0,
    ) -> None:
        wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # not a line for every kernel
        self.spec, self.world, self.num_envs, self.control_dt = spec, world, num_envs, spec.control_dt
        self.device = torch.device(choose_device(device))
        self.model = scene.training_model(spec, world)
        with wp.ScopedDevice(str(self.device)):
            if not (contacts and constraints):
                need = trial(spec, world, str(self.device))
                contacts = contacts or max(need[0], _ceil(FEWEST_CONTACTS / num_envs, 8))
                constraints = constraints or need[1]
            self.contacts, self.constraints = contacts, constraints
            self.m, self.d = _put(self.model, num_envs, contacts, constraints)
            wp.synchronize_device()
        self._steps, self._dropped = 0, 0
        self._ground = Ground(world, self.device)
        self._view_state()
        self._view_model()
        self._graph: wp.Graph | None = None
        self._refresh()

    def _view_state(self) -> None:
        d, n = self.d, self.num_envs
        qpos, qvel, sensors = (wp.to_torch(array) for array in (d.qpos, d.qvel, d.sensordata))
        self._qpos, self._qvel, self._sensors = qpos, qvel, sensors
        self.root_position, self.root_quaternion, self.joint_position = qpos[:, :3], qpos[:, 3:7], qpos[:, 7:]
        self.root_linear_velocity, self.root_angular_velocity = qvel[:, :3], qvel[:, 3:6]
        self.joint_velocity, self.joint_torque = qvel[:, 6:], wp.to_torch(d.actuator_force)
        self.foot_force, self.trunk_force, self.leg_force = sensors[:, :4], sensors[:, 4], sensors[:, 5:]
        self._ctrl, self._time, self._warmstart = (wp.to_torch(a) for a in (d.ctrl, d.time, d.qacc_warmstart))
        self._overflow, self._sites = wp.to_torch(d.overflow), wp.to_torch(d.site_xpos)
        self._feet = torch.tensor([self.model.site(f"{leg}_foot").id for leg in LEGS], device=self.device)
        self.foot_position = torch.zeros(n, 4, 3, device=self.device)
        self.diverged = torch.zeros(n, dtype=torch.bool, device=self.device)
        self._history = wp.to_torch(d.history)
        samples = int(self.model.actuator_history[0, 0])
        self._samples = self._history.view(n, 12, 2 + 2 * samples)[:, :, 2 + samples :]  # after user, cursor and times
        self._new_history = self._history[:1].clone()

    def _view_model(self) -> None:
        m, d, model, device = self.m, self.d, self.model, self.device
        self._field = {name: wp.to_torch(getattr(m, name)) for name in PER_WORLD}
        self._geom_pos, self._geom_mat = wp.to_torch(d.geom_xpos), wp.to_torch(d.geom_xmat)
        shapes = scene.tile_shapes(self.world)
        first = model.geom(scene.tile_geom(0)).id if shapes.slots else 0
        self._slots = slice(first, first + shapes.slots)
        shift = np.arange(LEVELS)[:, None] * TILE  # the shapes lie at level 0's place
        pos = shapes.pos + np.stack([shift, 0.0 * shift, 0.0 * shift], axis=-1)
        mats = np.array([_matrix(q) for q in shapes.quat.reshape(-1, 4)]).reshape(*shapes.quat.shape[:3], 3, 3)
        self._shapes = [torch.as_tensor(v, dtype=torch.float32, device=device) for v in (pos, mats, shapes.size)]
        self._payload = model.body(PAYLOAD_BODY).id
        parents = [self._payload]
        while parents[-1]:
            parents.append(int(model.body_parentid[parents[-1]]))
        self._carriers, self._base_mass = parents, torch.as_tensor(model.body_subtreemass[parents], device=device)
        feet = [model.geom(f"{leg}_foot").id for leg in LEGS]
        self._foot_geoms = slice(feet[0], feet[-1] + 1, feet[1] - feet[0])
        assert list(range(model.ngeom))[self._foot_geoms] == feet

    def step(self, targets: torch.Tensor) -> None:
        """Hold the joint targets (n, 12), rad, for one control period.

        Raises:
            OSError: if a buffer has overflown.
        """
        self._ctrl.copy_(targets)
        if self._graph is None:
            self._graph = self._capture()
        with on_torch_stream(self.device):
            wp.capture_launch(self._graph)
        self._refresh()
        valid = (self._qvel.abs().amax(dim=1) < MAX_SPEED) & self._qpos.isfinite().all(dim=1)
        self.diverged = ~valid
        self._steps += 1
        if self.device.type == "cpu" or self._steps % CHECK_PERIOD == 0:
            self.check_overflow()

    def _substeps(self) -> None:
        for _ in range(scene.CONTROL_STEPS):
            mjw.step(self.m, self.d)

    def _capture(self) -> wp.Graph:
        """Return a control period's physics as a graph, on a GPU a CUDA graph; the state stays as it is.

        On a CPU a graph is 25 times as fast for few worlds: what it saves is the launches from Python.
        """
        state = (self._qpos, self._qvel, self._warmstart, self._time, self._history)
        before = [value.clone() for value in state]
        with on_torch_stream(self.device):
            self._substeps()  # loads every kernel, which a capture cannot
            wp.synchronize_device()
        with wp.ScopedDevice(str(self.device)), wp.ScopedCapture() as capture:
            self._substeps()
        for value, old in zip(state, before, strict=True):
            value.copy_(old)
        return capture.graph

    def check_overflow(self) -> None:
        """Look whether contacts or constraints were dropped for want of space; waits for the device.

        Raises:
            OSError: if a buffer was too small; says which option makes it larger.
        """
        flags = _flags(self._overflow)
        if flags & _CONTACTS:
            raise OSError(
                f"the robots made more contacts than mujoco_warp's buffers hold ({self.contacts} a robot): "
                f"give --env.contacts {2 * self.contacts}"
            )
        if flags & _CONSTRAINTS:
            raise OSError(
                f"a robot had more constraints than mujoco_warp's buffers hold ({self.constraints} a robot): "
                f"give --env.constraints {2 * self.constraints}"
            )
        if flags & _DROPPED & ~self._dropped:
            log.warning("mujoco_warp dropped some of the contacts of one shape with a height field (flags %d)", flags)
            self._dropped |= flags

    def reset(self, mask: torch.Tensor, position: torch.Tensor, quaternion: torch.Tensor, joints: torch.Tensor) -> None:
        """Place the robots of `mask` at a pose, at rest: position (n, 3), m, quaternion (n, 4), joints (n, 12), rad."""
        put(self._qpos, mask, torch.cat([position, quaternion, joints], dim=1))
        for still in (self._qvel, self._warmstart, self._sensors, self.joint_torque, self._time):
            put(still, mask, 0.0)
        put(self._ctrl, mask, joints)
        put(self._history, mask, self._new_history)
        put(self._samples, mask, joints[:, :, None])
        put(self.foot_position, mask, position[:, None])
        self._shape_tiles(mask, position)

    def _shape_tiles(self, mask: torch.Tensor, position: torch.Tensor) -> None:
        """Give the robots of `mask` the boxes of the tiles at their positions."""
        row = (position[:, 1] / TILE).long().clamp(0, len(KINDS) - 1)
        level = (position[:, 0] / TILE).long().clamp(0, LEVELS - 1)
        pos, mat, size = (shape[row, level] for shape in self._shapes)
        put(self._geom_pos[:, self._slots], mask, pos)
        put(self._geom_mat[:, self._slots], mask, mat)
        put(self._field["geom_size"][:, self._slots], mask, size)
        put(self._field["geom_aabb"][:, self._slots, 1], mask, size)
        put(self._field["geom_rbound"][:, self._slots], mask, size.norm(dim=2))

    def set_factors(self, mask: torch.Tensor, factors: torch.Tensor, nuisances: torch.Tensor) -> None:
        """Give the robots of `mask` their factors (n, F) and nuisances (n, K), see `sim.factors`.

        How strongly constraints are softened (MuJoCo's invweight0) stays as it is for the nominal robot.
        """
        values, field = physical(self.spec, factors, nuisances), self._field
        put(field["actuator_gainprm"][:, :, 0], mask, values.kp)
        put(field["actuator_biasprm"][:, :, 1], mask, -values.kp)
        put(field["actuator_biasprm"][:, :, 2], mask, -values.kd)
        put(field["actuator_forcerange"], mask, torch.stack([-values.torque_limit, values.torque_limit], dim=2))
        put(field["actuator_delay"], mask, values.latency[:, None])
        put(field["dof_frictionloss"][:, 6:], mask, values.joint_friction[:, None])
        put(field["dof_armature"][:, 6:], mask, values.armature)
        put(field["geom_friction"][:, self._foot_geoms, 0], mask, values.friction[:, None])
        put(field["geom_solref"][:, self._foot_geoms], mask, values.contact[:, None])
        put(field["body_mass"][:, self._payload], mask, values.payload)
        put(field["body_ipos"][:, self._payload], mask, values.payload_center)
        put(field["body_inertia"][:, self._payload], mask, values.payload_inertia[:, None])
        for body, base in zip(self._carriers, self._base_mass, strict=True):
            put(field["body_subtreemass"][:, body], mask, values.payload + base)

    def push(self, velocity: torch.Tensor) -> None:
        """Add a velocity (n, 3), m/s, world, to the trunks; zero for those that are left alone."""
        self._qvel[:, :3] += velocity

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape."""
        return self._ground(x, y)

    def _refresh(self) -> None:
        self.foot_position.copy_(self._sites.index_select(1, self._feet))


def put(buffer: torch.Tensor, mask: torch.Tensor, values: torch.Tensor | float) -> None:
    """Write values (n or 1, ...) or a number into `buffer`, (n, ...), where the mask (n,) is set."""
    buffer.copy_(torch.where(mask.reshape(-1, *[1] * (buffer.ndim - 1)), values, buffer))


@contextlib.contextmanager
def on_torch_stream(device: torch.device) -> Iterator[None]:
    """Let Warp work on a device, after what torch has asked of it and before what it asks next."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(wp.ScopedDevice(str(device)))
        if device.type == "cuda":
            stack.enter_context(wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device))))
        yield


def choose_device(wanted: str) -> str:
    """Return "cpu" or "cuda:i".

    Raises:
        ValueError: if the wanted GPU is not there.
    """
    if wanted == "auto":
        return f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"there is no GPU for device '{wanted}': check driver and torch's CUDA build, or take 'cpu'")
    return "cuda:0" if wanted == "cuda" else wanted


def trial(spec: RobotSpec, world: TerrainWorld, device: str) -> tuple[int, int]:
    """Return places for contacts and for constraints that a robot needs, with a margin.

    Robots in random attitudes and poses, half sunk into every kind of ground of the world, make more of both than any
    that walks or falls.
    """
    sim = WarpSimulator(spec, world, TRIAL_WORLDS, device, contacts=256, constraints=512)
    draw, count = Draw(0, sim.device), TRIAL_WORLDS
    everyone = torch.ones(count, dtype=torch.bool, device=sim.device)
    kinds = torch.tensor([KINDS.index(kind) for kind in world.kinds], device=sim.device)
    lower, upper = (torch.as_tensor(v, dtype=torch.float32, device=sim.device) for v in spec.position_limits)
    contacts = constraints = 0
    for _ in range(TRIAL_ROUNDS):
        tile = torch.stack([draw.integers(LEVELS, count), kinds[draw.integers(len(kinds), count)]], dim=1)
        xy = (tile + 0.5) * TILE + draw.uniform(-2.0, 2.0, count, 2)
        z = sim.heights(xy[:, 0], xy[:, 1]) + draw.uniform(0.0, spec.standing_height, count)
        attitude = torch.nn.functional.normalize(draw.normal(count, 4))
        joints = lower + (upper - lower) * draw.uniform(0.0, 1.0, count, 12)
        sim.reset(everyone, torch.cat([xy, z[:, None]], dim=1), attitude, joints)
        with on_torch_stream(sim.device):
            mjw.fwd_position(sim.m, sim.d)  # collides and makes constraints
            contacts = max(contacts, int(sim.d.ncollision.numpy()[0]), int(sim.d.nacon.numpy()[0]))
            constraints = max(constraints, int(sim.d.nefc.numpy().max()))
    return _ceil(MARGIN * contacts / count, 8), _ceil(MARGIN * constraints, 32)


def _put(model: mujoco.MjModel, count: int, contacts: int, constraints: int) -> tuple[mjw.Model, mjw.Data]:
    m = mjw.put_model(model, dict.fromkeys(PER_WORLD, count))
    d = mjw.make_data(model, nworld=count, nconmax=contacts, njmax=constraints)
    m.opt.warn_overflow = 0  # `check_overflow` says it, with the option that helps
    return m, d


def _flags(overflow: torch.Tensor) -> int:
    """Return all flags that are set in any world."""
    bits = 2 ** torch.arange(31, device=overflow.device, dtype=overflow.dtype)
    return int((((overflow[:, None] & bits) != 0).any(dim=0) * bits).sum())


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def _ceil(value: float, step: int) -> int:
    return step * int(np.ceil(value / step))
