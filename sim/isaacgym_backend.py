"""Isaac Gym as a simulator: the trainer's side of the worker that runs it (`sim.isaacgym.worker`)."""

from __future__ import annotations

import torch

from robots import urdf
from robots.joints import LEGS
from robots.spec import RobotSpec
from sim import mesh, scene
from sim.config import EnvConfig
from sim.ground import Ground
from sim.isaacgym import worker
from sim.isaacgym.process import Worker, interpreter
from sim.physical import physical
from sim.terrain import TerrainWorld, tile_center

THREADS = 4  # physics threads where `config.threads` says 0; Isaac Gym uses them on the CPU only


class IsaacGymSimulator:
    """`sim.simulator.Simulator` on Isaac Gym Preview 4, which steps in a process of its own.

    What is set between two steps is written to shared memory and takes effect at the beginning of the next one.

    Args:
        config: names the interpreter and the device.
        spec: the robot.
        world: the terrain.

    Raises:
        OSError: if Isaac Gym is missing or does not start, and later if it ends; says what to do.
    """

    def __init__(self, config: EnvConfig, spec: RobotSpec, world: TerrainWorld) -> None:
        self.spec, self.world, self.num_envs = spec, world, config.num_envs
        self.control_dt = spec.control_dt
        cuda = torch.cuda.is_available()
        self.device = torch.device(("cuda:0" if cuda else "cpu") if config.device == "auto" else config.device)
        dt = spec.control_dt / scene.CONTROL_STEPS
        setup = {
            "num_envs": config.num_envs,
            "device": config.device,
            "threads": config.threads or THREADS,
            "dt": dt,
            "substeps": scene.CONTROL_STEPS,
            "max_delay": round(scene.MAX_LATENCY / dt),
            "start": [*tile_center("flat", 0), spec.standing_height],
            "joints": list(spec.joint_names),
            "feet": [f"{leg}_foot" for leg in LEGS],
            "legs": [f"{leg}_{part}" for part in ("thigh", "calf") for leg in LEGS],
        }
        self.worker = Worker(interpreter(config.isaacgym_python), setup, urdf.simulated(spec), mesh.triangles(world))
        given, self._made = torch.from_numpy(self.worker.given), torch.from_numpy(self.worker.made)
        self._given = {name: given[:, where] for name, where in worker.columns(worker.INPUT)[0].items()}
        self._ground = Ground(world, self.device)
        self._expose()

    def _expose(self) -> None:
        """Make the state's tensors: views of one matrix, which each step overwrites."""
        places, width = worker.columns(worker.OUTPUT)
        self._state = torch.zeros(self.num_envs, width, device=self.device)
        part = {name: self._state[:, where] for name, where in places.items()}
        self.root_position, self.root_quaternion = part["root_position"], part["root_quaternion"]
        self.root_linear_velocity = part["root_linear_velocity"]
        self.root_angular_velocity = part["root_angular_velocity"]
        self.joint_position, self.joint_velocity = part["joint_position"], part["joint_velocity"]
        self.joint_torque, self.foot_force = part["joint_torque"], part["foot_force"]
        self.foot_position = part["foot_position"].unflatten(1, (4, 3))
        self.trunk_force, self.leg_force = part["trunk_force"][:, 0], part["leg_force"]
        self._broken = part["diverged"][:, 0]
        self.diverged = self._broken > 0.5

    def step(self, targets: torch.Tensor) -> None:
        """Hold the joint targets (n, 12), rad, for one control period."""
        self._given["targets"].copy_(targets)
        self.worker.step()
        for once in ("place", "push", "change"):
            self._given[once].zero_()
        self._state.copy_(self._made)
        self.diverged = self._broken > 0.5

    def reset(self, mask: torch.Tensor, position: torch.Tensor, quaternion: torch.Tensor, joints: torch.Tensor) -> None:
        """Place the robots of `mask` at a pose, at rest: position (n, 3), m, quaternion (n, 4), joints (n, 12), rad."""
        rows = mask.nonzero().flatten()
        position, quaternion, joints = position[rows], quaternion[rows], joints[rows]
        self._state[rows] = 0.0
        self.root_position[rows], self.root_quaternion[rows] = position, quaternion
        self.joint_position[rows], self.foot_position[rows] = joints, position[:, None]
        self._put(rows, "place", position=position, quaternion=quaternion, joints=joints)

    def set_factors(self, mask: torch.Tensor, factors: torch.Tensor, nuisances: torch.Tensor) -> None:
        """Give the robots of `mask` their factors (n, F) and nuisances (n, K), see `sim.factors`.

        PhysX's contacts are hard: `contact_time` changes nothing here.
        """
        rows = mask.nonzero().flatten()
        values = physical(self.spec, factors[rows], nuisances[rows])
        self._put(
            rows,
            "change",
            kp=values.kp,
            kd=values.kd,
            torque_limit=values.torque_limit,
            armature=values.armature,
            joint_friction=values.joint_friction[:, None],
            latency=values.latency[:, None],
            payload_mass=values.payload[:, None],
            payload_position=values.payload_center,
            payload_inertia=values.payload_inertia[:, None],
            friction=values.friction[:, None],
            restitution=values.restitution[:, None],
        )

    def _put(self, rows: torch.Tensor, flag: str, **values: torch.Tensor) -> None:
        """Write values (m, size) of robots `rows` to the fields of INPUT, and flag them."""
        there = rows.cpu()
        self._given[flag][there] = 1.0
        for name, value in values.items():
            self._given[name][there] = value.cpu()

    def push(self, velocity: torch.Tensor) -> None:
        """Add a velocity (n, 3), m/s, world, to the trunks; zero for those that are left alone."""
        self._given["push"] += velocity.cpu()

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape; beyond the world it is flat."""
        return self._ground(x, y)

    def close(self) -> None:
        """End the worker."""
        self.worker.close()
