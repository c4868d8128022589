"""Which simulator a configuration asks for; a backend's library is imported when it is used."""

from __future__ import annotations

from robots.spec import RobotSpec
from sim.config import EnvConfig
from sim.simulator import Simulator
from sim.terrain import TerrainWorld


def make(config: EnvConfig, spec: RobotSpec, world: TerrainWorld) -> Simulator:
    """Return the simulator `config.sim` with `config.num_envs` robots."""
    if config.sim == "mujoco_warp":
        from sim.warp_backend import WarpSimulator

        return WarpSimulator(spec, world, config.num_envs, config.device, config.contacts, config.constraints)
    if config.sim == "isaacgym":
        from sim.isaacgym_backend import IsaacGymSimulator

        return IsaacGymSimulator(config, spec, world)
    from sim.mujoco_backend import MujocoSimulator

    return MujocoSimulator(spec, world, config.num_envs, config.threads, config.fine)
