"""Isaac Gym's bridge between its tensors and torch's."""

import torch

from isaacgym.gymapi import Tensor

_TYPES = (torch.float32, torch.int32)


def wrap_tensor(gym_tensor):
    """Return a torch tensor on the memory of Isaac Gym's."""
    if not isinstance(gym_tensor, Tensor):
        raise TypeError(f"expected a gymapi.Tensor, not {type(gym_tensor).__name__}")
    return torch.from_numpy(gym_tensor.values)


def unwrap_tensor(torch_tensor):
    """Return Isaac Gym's view of a torch tensor's memory."""
    if not torch_tensor.is_contiguous():
        raise Exception("Input tensor must be contiguous")
    if torch_tensor.dtype not in _TYPES:
        raise TypeError(f"unsupported data type {torch_tensor.dtype}")
    return Tensor(torch_tensor.numpy())
