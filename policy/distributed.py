"""Training in several processes at once, as torchrun starts them: one for each GPU, or on CPUs."""

from __future__ import annotations

import os

import torch
from torch import distributed


def rank() -> int:
    """Return this process's number among all; 0 writes, the others only learn."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def device(wanted: str) -> str:
    """Return the device of this process: of several on GPUs, each has the GPU of its number on the machine."""
    if world_size() == 1 or wanted == "cpu" or not torch.cuda.is_available():
        return wanted
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def join_on_cpu() -> dict[str, int]:
    """Join the other processes over gloo and return rsl_rl's description of them; it joins over NCCL by itself."""
    distributed.init_process_group("gloo", rank=rank(), world_size=world_size())
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return {"global_rank": rank(), "local_rank": local, "world_size": world_size()}


def anyone(flag: bool, on: str) -> bool:
    """Return whether the flag is set in any process; every process must ask."""
    if world_size() == 1:
        return flag
    value = torch.tensor(float(flag), device=on)
    distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
    return bool(value > 0)
