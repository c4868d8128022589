"""Runs an exported policy on batches of the environment's observations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from tensordict import TensorDict

from robots.spec import RobotSpec

IMPORTED = "imported"  # the origin of a policy that brings gains, pose and scale of its own


def load(path: Path, spec: RobotSpec) -> Callable[[TensorDict], torch.Tensor]:
    """Return a function from the environment's observations to actions (n, 12).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no policy, or not one that was trained with this robot's constants.
    """
    session = _session(path)
    _check(path, _metadata(session), spec)
    names = [item.name for item in session.get_inputs()]
    frames = "history" if _metadata(session).get("history", 1) > 1 else "proprioception"

    def act(observations: TensorDict) -> torch.Tensor:
        groups = {name: frames if name == "observation" else name for name in names}
        inputs = {name: observations[group].cpu().numpy() for name, group in groups.items()}
        return torch.from_numpy(session.run(None, inputs)[0])

    return act


def metadata(path: Path) -> dict[str, Any]:
    """Return what an exported policy says of itself: mode, history, sizes of its contexts, ...

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX file.
    """
    return _metadata(_session(path))


def _check(path: Path, about: Mapping[str, Any], spec: RobotSpec) -> None:
    if about.get("kind", "policy") != "policy" or "robot" not in about:
        raise ValueError(f"{path} is not a policy that `dmcm export` wrote")
    if about["robot"] != spec.name:
        raise ValueError(f"{path} is a policy for robot '{about['robot']}', not '{spec.name}': give its --robot")
    if about.get("origin") == IMPORTED:
        raise ValueError(f"{path} was imported and walks with its own gains: `dmcm run --policy` walks it as it is")
    if about["robot_digest"] != spec.digest():
        raise ValueError(f"{path} was trained with other constants of {spec.name}: train and export it again")


def _session(path: Path) -> onnxruntime.InferenceSession:
    if not path.exists():
        raise FileNotFoundError(f"no policy at {path}: train one (dmcm train policy) and export it (dmcm export)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # idle threads of its own would spin beside the physics, a quarter of two cores
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime raises errors of many kinds
        raise ValueError(f"{path} is not an ONNX file, or damaged: give a policy that `dmcm export` wrote") from problem


def _metadata(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    return json.loads(session.get_modelmeta().custom_metadata_map.get("dmcm", "{}"))
