"""What other stacks' environments do on this machine; runs in their own virtual environments, with nothing of ours.

`python -P benchmarks/peers.py mjlab 64` builds an environment and answers on standard output, in lines of JSON: how
large it is, and then, for every line `{"seconds": s}` that it reads, how fast it stepped for that long.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable


def _mjlab(task: str, num_envs: int) -> tuple[dict, Callable[[], None], Callable[[], None]]:
    """Return mjlab's Go1 velocity task on the CPU, its robots standing: actions are zero."""
    import os

    os.environ.update(MUJOCO_GL="disable", WANDB_MODE="disabled")
    import mjlab.tasks  # noqa: F401  registers the tasks
    import torch
    from mjlab.envs import ManagerBasedRlEnv
    from mjlab.tasks.registry import load_env_cfg

    config = load_env_cfg(task)
    config.scene.num_envs = num_envs
    env = ManagerBasedRlEnv(config, device="cpu")
    env.reset()
    action = torch.zeros(num_envs, env.action_manager.total_action_dim)
    about = {"num_envs": num_envs, "substeps": config.decimation, "physics_dt": config.sim.mujoco.timestep}
    return about, lambda: env.step(action), env.sim.step


def _ant(task: str, num_envs: int) -> tuple[dict, Callable[[], None], Callable[[], None]]:
    """Return gymnasium's Ant, `num_envs` of them one after the other in one process, with random actions."""
    import gymnasium

    env = gymnasium.make_vec(task, num_envs=num_envs, vectorization_mode="sync")
    env.reset(seed=0)
    env.action_space.seed(0)
    inner = [each.unwrapped for each in env.envs]
    about = {"num_envs": num_envs, "substeps": inner[0].frame_skip, "physics_dt": inner[0].model.opt.timestep}

    def physics() -> None:
        import mujoco

        for each in inner:
            mujoco.mj_step(each.model, each.data)

    return about, lambda: env.step(env.action_space.sample()), physics


PEERS = {
    "mjlab": (_mjlab, "Mjlab-Velocity-Flat-Unitree-Go1"),
    "gymnasium_ant": (_ant, "Ant-v5"),
}


def rate(act: Callable[[], None], seconds: float) -> float:
    """Return how often a second `act` can be done."""
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not count:
        act()
        count += 1
    return count / elapsed


def main(name: str, num_envs: int) -> None:
    """Serve measurements of one peer until standard input ends."""
    make, task = PEERS[name]
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        about, step, physics = make(task, num_envs)
        step(), physics()
        print(json.dumps(about), file=answers, flush=True)
        for line in sys.stdin:
            seconds = json.loads(line)["seconds"]
            env, bare = rate(step, seconds), rate(physics, seconds)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
            figures = {
                "env_steps_per_s": env * num_envs,
                "physics_steps_per_s": bare * num_envs,
                "peak_rss_mb": memory,
            }
            print(json.dumps(figures), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
