"""Short trainings of policies, and banks of random contexts for them."""

import json

import numpy as np
from safetensors.numpy import save_file

import robots
from policy.config import PolicyConfig
from sim.config import EnvConfig
from sim.factors import FACTOR_NAMES, FACTOR_UNITS, NARROW, WIDE

SPEC = robots.load("go1")
TERRAINS = ["flat", "rough_3", "slope_3", "stairs_5cm", "stairs_13cm", "blocks_4"]


def config(folder, samples=2 * 24 * 8, **changes):
    return PolicyConfig(run=folder, samples=samples, torch_threads=1, env=EnvConfig(num_envs=8, threads=1), **changes)


def make_bank(path, robot="go1", terrains=TERRAINS, ranges=WIDE, single=False, digest="0123456789abcdef"):
    size = 16 if single else 8
    rng = np.random.default_rng(0)
    meta = {
        "schema": 1,
        "kind": "bank",
        "robot": robot,
        "robot_digest": SPEC.digest(),
        "dynamics_digest": digest,
        "factor_names": list(FACTOR_NAMES),
        "factor_units": [FACTOR_UNITS[n] for n in FACTOR_NAMES],
        "terrains": terrains,
    }
    arrays = {
        "robot_contexts": rng.standard_normal((40, size)),
        "robot_factors": np.concatenate([ranges.sample(rng, 20), NARROW.sample(rng, 20)]),
        "terrain_contexts": rng.standard_normal((len(terrains), size)),
        "nominal_robot": np.zeros(size),
    }
    if single:
        arrays["pair_contexts"] = rng.standard_normal((40, len(terrains), size))
    save_file({k: v.astype(np.float32) for k, v in arrays.items()}, path, metadata={"dmcm": json.dumps(meta)})
    return path
