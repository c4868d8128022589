"""A small world with robot and terrain factors, written in the dataset's schema."""

import json

import pytest
import torch
from safetensors.torch import save_file

import robots

TERRAINS = ("flat", "rough_2", "stairs_10cm")
BUMPS = (0.0, 0.6, 1.5)
STEPS = 240


def simulate(payload, kp, kd, bump, random, steps=STEPS):
    """Return the signals of one robot: joints driven by actions, a load on them, and a base that follows."""
    q, qd, w = torch.zeros(12), torch.zeros(12), torch.zeros(3)
    phase, place = torch.rand(12, generator=random) * 6.28, torch.linspace(0, 5, 12)
    rows = {
        name: [] for name in ("angular_velocity", "projected_gravity", "joint_position", "joint_velocity", "action")
    }
    for t in range(steps):
        action = torch.sin(0.3 * t + phase) + 0.5 * torch.randn(12, generator=random)
        gravity = torch.nn.functional.normalize(torch.cat([0.1 * w[:2], -torch.ones(1)]), dim=0)
        for name, value in zip(rows, (w, gravity, q, qd, action), strict=True):
            rows[name].append(value.clone())
        load = payload * (0.5 + 0.5 * torch.sin(place)) + bump * torch.sin(2 * q + place)
        qd = qd + 0.5 * kp * (0.5 * action - q) - 0.3 * kd * qd - 0.15 * load
        q = q + 0.2 * qd
        w = 0.7 * w + 0.1 * qd.reshape(4, 3).sum(0) - 0.02 * payload
    return {name: torch.stack(values) for name, values in rows.items()}


def write_task(folder, robot_id, terrain_id, factors, signals, **changes):
    """Write one task file and return its path."""
    spec = robots.load("go1")
    header = {
        "schema": 1,
        "kind": "task",
        "robot": "go1",
        "robot_digest": spec.digest(),
        "control_dt": spec.control_dt,
        "robot_id": robot_id,
        "terrain_id": terrain_id,
        "robot_factors": factors,
        "terrain": {"name": TERRAINS[terrain_id], "kind": TERRAINS[terrain_id].split("_")[0], "level": terrain_id},
        "factor_units": {"payload": "kg", "kp_scale": "x", "kd_scale": "x"},
        "seed": robot_id,
        "policy_sha256": "0" * 64,
        **changes,
    }
    segment = torch.zeros(len(signals["action"]), dtype=torch.int32)
    segment[len(segment) // 3 :] = 1
    path = folder / f"task_{robot_id * len(TERRAINS) + terrain_id:05d}.safetensors"
    save_file({**signals, "segment": segment}, str(path), metadata={"dmcm": json.dumps(header)})
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a dataset of 32 robots on 3 terrains; robot 0 is nominal; robot 3 never walked on stairs."""
    path = tmp_path_factory.mktemp("data")
    random = torch.Generator().manual_seed(0)
    for robot_id in range(32):
        u = torch.rand(3, generator=random)
        payload, kp, kd = (float(3 * u[0]), float(0.6 + 0.7 * u[1]), float(0.6 + 0.8 * u[2])) if robot_id else (0, 1, 1)
        factors = {"payload": payload, "kp_scale": kp, "kd_scale": kd}
        for terrain_id, bump in enumerate(BUMPS):
            if (robot_id, terrain_id) != (3, 2):
                write_task(path, robot_id, terrain_id, factors, simulate(payload, kp, kd, bump, random))
    return path
