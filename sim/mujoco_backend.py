"""The default simulator: MuJoCo on the CPU, all simulations in one `mujoco.batch.Batch`."""

from __future__ import annotations

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch, SimulationError

from robots.joints import LEGS
from robots.mjcf import PAYLOAD_BODY
from robots.spec import RobotSpec
from sim import scene
from sim.ground import Ground
from sim.physical import physical
from sim.shapes import TILE
from sim.terrain import KINDS, LEVELS, TerrainWorld

_BROKEN = [int(w) for w in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL)]
_BROKEN.append(int(mujoco.mjtWarning.mjWARN_BADQACC))
MAX_SPEED = 60.0  # rad/s or m/s; no joint and no trunk moves faster in a valid simulation


class MujocoSimulator:
    """`sim.simulator.Simulator` on MuJoCo's batch of simulations.

    A model of all tiles would be slow, so each simulation holds the boxes of the tile alone that its robot is on, at
    level 0's place; what leaves this class is shifted along x to where the level lies.

    Args:
        spec: the robot.
        world: the terrain.
        num_envs: number of simulations.
        threads: physics threads; 0 takes every core.
        fine: right physics rather than fast, see `sim.scene.training_model`.
    """

    def __init__(
        self, spec: RobotSpec, world: TerrainWorld, num_envs: int, threads: int = 0, fine: bool = False
    ) -> None:
        self.spec, self.world, self.num_envs = spec, world, num_envs
        self.control_dt, self.device = spec.control_dt, torch.device("cpu")
        self.model = scene.training_model(spec, world, fine)
        self._steps = scene.FINE_STEPS if fine else scene.CONTROL_STEPS
        self.batch = Batch(self.model, num_envs, threads)
        self._bind()
        self._expand()
        self._ground = Ground(world, self.device)
        self._warnings = self._count_warnings()
        self.diverged = torch.zeros(num_envs, dtype=torch.bool)
        self._refresh()

    def _bind(self) -> None:
        bind = self.batch.bind
        self._qpos, self._qvel, self._ctrl = bind("qpos"), bind("qvel"), bind("ctrl")
        self._history, self._time = bind("history"), bind("time")
        self._force, self._touch, self._sites = bind("actuator_force"), bind("sensordata"), bind("site_xpos")
        self._feet = [self.model.site(f"{leg}_foot").id for leg in LEGS]

    def _expand(self) -> None:
        expand = self.batch.expand
        self._gain, self._bias = expand("actuator_gainprm"), expand("actuator_biasprm")
        self._limit, self._delay = expand("actuator_forcerange"), expand("actuator_delay")
        self._friction, self._contact = expand("geom_friction"), expand("geom_solref")
        self._dry, self._armature = expand("dof_frictionloss"), expand("dof_armature")
        self._mass, self._com, self._inertia = expand("body_mass"), expand("body_ipos"), expand("body_inertia")
        self._payload = self.model.body(PAYLOAD_BODY).id
        self._geom_pos, self._geom_size, self._geom_quat = expand("geom_pos"), expand("geom_size"), expand("geom_quat")
        self._shapes = scene.tile_shapes(self.world)
        self._slots = [self.model.geom(scene.tile_geom(i)).id for i in range(self._shapes.slots)]
        self._boxed = np.array([(kind, 0) in self.world.tiles for kind in KINDS])
        self._shift, self._tile = np.zeros(self.num_envs), np.full((self.num_envs, 2), -1)
        self._foot_geoms = [self.model.geom(f"{leg}_foot").id for leg in LEGS]

    def step(self, targets: torch.Tensor) -> None:
        """Hold the joint targets (n, 12), rad, for one control period."""
        self._ctrl[:] = targets.numpy()
        try:
            self.batch.step(nstep=self._steps)
        except SimulationError:
            pass  # the simulations that raised are named in `batch.status`
        warnings = self._count_warnings()
        broken = (warnings != self._warnings) | (self.batch.status != 0)
        self._warnings = warnings
        broken |= ~(np.abs(self._qvel).max(axis=1) < MAX_SPEED)
        self._refresh()
        self.diverged = torch.from_numpy(broken)

    def reset(self, mask: torch.Tensor, position: torch.Tensor, quaternion: torch.Tensor, joints: torch.Tensor) -> None:
        """Place the robots of `mask` at a pose, at rest: position (n, 3), m, quaternion (n, 4), joints (n, 12), rad."""
        ids = np.flatnonzero(mask.numpy())
        if len(ids) == 0:
            return
        pose = torch.cat([position, quaternion, joints], dim=1).numpy()[ids]
        self.batch.reset(ids)
        self._warnings[ids] = self._count_warnings()[ids]
        self._shape_tiles(ids, pose[:, :3])
        self._qpos[ids] = pose
        self._qpos[ids, 0] -= self._shift[ids]
        self._ctrl[ids] = pose[:, 7:]
        self._fill_history(ids, pose[:, 7:])
        self._refresh(ids)
        self.foot_position[ids] = position[ids, None]
        for force in (self.foot_force, self.trunk_force, self.leg_force, self.joint_torque):
            force[ids] = 0.0

    def _shape_tiles(self, ids: np.ndarray, position: np.ndarray) -> None:
        """Give the boxes of robots `ids` the shape of the tiles at their positions."""
        rows = np.clip(position[:, 1] // TILE, 0, len(KINDS) - 1).astype(int)
        levels = np.clip(position[:, 0] // TILE, 0, LEVELS - 1).astype(int)
        changed = (self._tile[ids] != np.stack([rows, levels], axis=1)).any(axis=1)
        ids, rows, levels = ids[changed], rows[changed], levels[changed]
        if len(ids) == 0:
            return
        self._tile[ids] = np.stack([rows, levels], axis=1)
        self._shift[ids] = np.where(self._boxed[rows], levels * TILE, 0.0)
        slots, shapes = np.ix_(ids, self._slots), self._shapes
        self._geom_pos[slots], self._geom_size[slots] = shapes.pos[rows, levels], shapes.size[rows, levels]
        self._geom_quat[slots] = shapes.quat[rows, levels]
        self.batch.set_const(ids)  # MuJoCo's bounding volumes follow the shapes only then

    def _fill_history(self, ids: np.ndarray, targets: np.ndarray) -> None:
        """Fill the command histories with the targets, as if they had been sent for long.

        An actuator's history is laid out as (user, cursor, n times, n values), see mj_initCtrlHistory.
        """
        samples = int(self.model.actuator_history[0, 0])
        rows = self._history[ids].reshape(len(ids), 12, 2 + 2 * samples)
        rows[:, :, 2 + samples :] = targets[:, :, None]
        self._history[ids] = rows.reshape(len(ids), -1)

    def set_factors(self, mask: torch.Tensor, factors: torch.Tensor, nuisances: torch.Tensor) -> None:
        """Give the robots of `mask` their factors (n, F) and nuisances (n, K), see `sim.factors`."""
        ids = np.flatnonzero(mask.numpy())
        if len(ids) == 0:
            return
        values = physical(self.spec, factors[ids], nuisances[ids])
        kp, kd, limit = values.kp.numpy(), values.kd.numpy(), values.torque_limit.numpy()
        self._gain[ids, :, 0] = kp
        self._bias[ids, :, 1], self._bias[ids, :, 2] = -kp, -kd
        self._limit[ids, :, 0], self._limit[ids, :, 1] = -limit, limit
        self._delay[ids] = values.latency.numpy()[:, None]
        self._dry[ids, 6:] = values.joint_friction.numpy()[:, None]
        self._armature[ids, 6:] = values.armature.numpy()
        feet = np.ix_(ids, self._foot_geoms)
        self._friction[(*feet, 0)] = values.friction.numpy()[:, None]
        self._contact[feet] = values.contact.numpy()[:, None]
        self._mass[ids, self._payload] = values.payload.numpy()
        self._com[ids, self._payload] = values.payload_center.numpy()
        self._inertia[ids, self._payload] = values.payload_inertia.numpy()[:, None]
        self.batch.set_const(ids)

    def push(self, velocity: torch.Tensor) -> None:
        """Add a velocity (n, 3), m/s, world, to the trunks; zero for those that are left alone."""
        self._qvel[:, :3] += velocity.numpy()

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape."""
        return self._ground(x, y)

    def snapshot(
        self, index: int, model: mujoco.MjModel | None = None, data: mujoco.MjData | None = None
    ) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return one simulation's model and data, to look at; given ones are written over."""
        model, data = self.batch.get_model(index, model), self.batch.get_data(index, data)
        mujoco.mj_forward(model, data)
        return model, data

    def _count_warnings(self) -> np.ndarray:
        """Return how often each simulation has broken down, (n,); a row of `batch.warning` is (last info, count)."""
        return self.batch.warning[:, _BROKEN, 1].sum(axis=1)

    def _refresh(self, ids: np.ndarray | None = None) -> None:
        """Copy the state to tensors: of all simulations, or after a reset of `ids` only their poses."""
        qpos, qvel = _tensor(self._qpos), _tensor(self._qvel)
        qpos[:, 0] += _tensor(self._shift)
        self.root_position, self.root_quaternion, self.joint_position = qpos[:, :3], qpos[:, 3:7], qpos[:, 7:]
        self.root_linear_velocity, self.root_angular_velocity = qvel[:, :3], qvel[:, 3:6]
        self.joint_velocity = qvel[:, 6:]
        if ids is None:
            touch = _tensor(self._touch)
            self.foot_force, self.trunk_force, self.leg_force = touch[:, :4], touch[:, 4], touch[:, 5:]
            self.joint_torque = _tensor(self._force)
            self.foot_position = _tensor(self._sites[:, self._feet])
            self.foot_position[:, :, 0] += _tensor(self._shift)[:, None]


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
