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
from sim.factors import FACTOR_NAMES, WEAK_LEGS
from sim.terrain import BOXED, CELL, KINDS, LEVELS, TILE, TerrainWorld, tile_center

_BROKEN = [int(w) for w in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL)]
_BROKEN.append(int(mujoco.mjtWarning.mjWARN_BADQACC))
MAX_SPEED = 60.0  # rad/s or m/s; no joint and no trunk moves faster in a valid simulation
_COLUMN = {name: i for i, name in enumerate(FACTOR_NAMES)}


class MujocoSimulator:
    """`sim.simulator.Simulator` on MuJoCo's batch of simulations.

    A model of all tiles would be slow, so each simulation holds one boxed tile of a kind, at level 0's place, in the
    shape of the level that its robot is on; what leaves this class is shifted along x to where the level lies.

    Args:
        spec: the robot.
        world: the terrain.
        num_envs: number of simulations.
        threads: physics threads; 0 takes every core.
    """

    def __init__(self, spec: RobotSpec, world: TerrainWorld, num_envs: int, threads: int = 0) -> None:
        self.spec, self.world, self.num_envs = spec, world, num_envs
        self.control_dt = spec.control_dt
        self.model = scene.training_model(spec, world)
        self.batch = Batch(self.model, num_envs, threads)
        self._bind()
        self._expand()
        self._grid = torch.from_numpy(world.heights).flatten()
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
        self._friction, self._dry = expand("geom_friction"), expand("dof_frictionloss")
        self._mass, self._com, self._inertia = expand("body_mass"), expand("body_ipos"), expand("body_inertia")
        self._payload = self.model.body(PAYLOAD_BODY).id
        self._geom_pos, self._geom_size, self._geom_quat = expand("geom_pos"), expand("geom_size"), expand("geom_quat")
        self._tile_geoms = {
            kind: [self.model.geom(scene.tile_geoms(kind, i)).id for i in range(len(self.world.tiles[kind, 0]))]
            for kind in BOXED
        }
        self._shift, self._tile = np.zeros(self.num_envs), np.full((self.num_envs, 2), -1)
        self._foot_geoms = [self.model.geom(f"{leg}_foot").id for leg in LEGS]

    def step(self, targets: torch.Tensor) -> None:
        """Hold the joint targets (n, 12), rad, for one control period."""
        self._ctrl[:] = targets.numpy()
        try:
            self.batch.step(nstep=scene.CONTROL_STEPS)
        except SimulationError:
            pass  # the simulations that raised are named in `batch.status`
        warnings = self._count_warnings()
        broken = (warnings != self._warnings) | (self.batch.status != 0)
        self._warnings = warnings
        broken |= ~(np.abs(self._qvel).max(axis=1) < MAX_SPEED)
        self._refresh()
        self.diverged = torch.from_numpy(broken)

    def reset(self, ids: np.ndarray, position: np.ndarray, quaternion: np.ndarray, joints: np.ndarray) -> None:
        """Place robots `ids` (m,) at a pose, at rest: position (m, 3), quaternion (m, 4), joints (m, 12)."""
        if len(ids) == 0:
            return
        self.batch.reset(ids)
        self._warnings[ids] = self._count_warnings()[ids]
        self._shape_tiles(ids, position)
        self._qpos[ids] = np.concatenate([position, quaternion, joints], axis=1)
        self._qpos[ids, 0] -= self._shift[ids]
        self._ctrl[ids] = joints
        self._fill_history(ids, joints)
        self._refresh(ids)
        feet = torch.from_numpy(position).float()[:, None, :].expand(-1, 4, -1)
        self.foot_position[ids] = feet
        for force in (self.foot_force, self.trunk_force, self.leg_force, self.joint_torque):
            force[ids] = 0.0

    def _shape_tiles(self, ids: np.ndarray, position: np.ndarray) -> None:
        """Give the boxes of robots `ids` the shape of the tiles at their positions."""
        rows = np.clip(position[:, 1] // TILE, 0, len(KINDS) - 1).astype(int)
        levels = np.clip(position[:, 0] // TILE, 0, LEVELS - 1).astype(int)
        changed = (self._tile[ids] != np.stack([rows, levels], axis=1)).any(axis=1)
        ids, rows, levels = ids[changed], rows[changed], levels[changed]
        self._tile[ids] = np.stack([rows, levels], axis=1)
        self._shift[ids] = 0.0
        for row, level in set(zip(rows.tolist(), levels.tolist(), strict=True)):
            kind = KINDS[row]
            if kind not in BOXED:
                continue
            mine = ids[(rows == row) & (levels == level)]
            self._shift[mine] = level * TILE
            center = np.array([*tile_center(kind, 0), 0.0])
            for geom, box in zip(self._tile_geoms[kind], self.world.tiles[kind, level], strict=True):
                self._geom_pos[mine, geom] = center + box.center
                self._geom_size[mine, geom] = box.half
                self._geom_quat[mine, geom] = [np.cos(box.pitch / 2), 0.0, np.sin(box.pitch / 2), 0.0]
        if len(ids):
            self.batch.set_const(ids)  # MuJoCo's bounding volumes follow the shapes only then

    def _fill_history(self, ids: np.ndarray, targets: np.ndarray) -> None:
        """Fill the command histories with the targets, as if they had been sent for long.

        An actuator's history is laid out as (user, cursor, n times, n values), see mj_initCtrlHistory.
        """
        samples = int(self.model.actuator_history[0, 0])
        rows = self._history[ids].reshape(len(ids), 12, 2 + 2 * samples)
        rows[:, :, 2 + samples :] = targets[:, :, None]
        self._history[ids] = rows.reshape(len(ids), -1)

    def set_factors(self, ids: np.ndarray, factors: np.ndarray, friction: np.ndarray) -> None:
        """Give robots `ids` (m,) their factors (m, 12), see `sim.factors`, and the feet's friction (m,)."""
        if len(ids) == 0:
            return
        factor = {name: factors[:, i] for name, i in _COLUMN.items()}
        strength = np.repeat(factors[:, list(WEAK_LEGS)], 3, axis=1)
        kp = self.spec.kp * factor["kp_scale"][:, None] * strength
        kd = self.spec.kd * factor["kd_scale"][:, None] * strength
        limit = self.spec.torque_limit * factor["torque_limit_scale"][:, None] * strength
        self._gain[ids, :, 0] = kp
        self._bias[ids, :, 1], self._bias[ids, :, 2] = -kp, -kd
        self._limit[ids, :, 0], self._limit[ids, :, 1] = -limit, limit
        self._delay[ids] = factor["latency"][:, None]
        self._dry[ids, 6:] = factor["joint_friction"][:, None]
        self._friction[np.ix_(ids, self._foot_geoms, [0])] = friction[:, None, None]
        self._set_payload(ids, factor["payload"], np.stack([factor["payload_x"], factor["payload_y"]], axis=1))
        self.batch.set_const(ids)

    def _set_payload(self, ids: np.ndarray, mass: np.ndarray, shift: np.ndarray) -> None:
        mass = np.maximum(mass, 1e-4)
        self._mass[ids, self._payload] = mass
        mount = np.tile(self.spec.payload_mount, (len(ids), 1))
        mount[:, :2] += shift
        self._com[ids, self._payload] = mount
        self._inertia[ids, self._payload] = mass[:, None] * 0.1**2 / 6.0  # a cube of 10 cm

    def push(self, ids: np.ndarray, velocity: np.ndarray) -> None:
        """Add a velocity (m, 3), m/s, world, to the trunks of robots `ids`."""
        self._qvel[ids, :3] += velocity

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape; beyond the world it is flat."""
        columns, rows = self.world.heights.shape
        i, j = (x / CELL).long(), (y / CELL).long()
        inside = (x >= 0) & (y >= 0) & (i < columns) & (j < rows)
        return torch.where(inside, self._grid[i.clamp(0, columns - 1) * rows + j.clamp(0, rows - 1)], 0.0)

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
