"""Stands in for Isaac Gym Preview 4 in the tests: the worker's calls on MuJoCo, as strict as the real ones."""

import sys

if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules.  Please import torch after isaacgym modules.")
