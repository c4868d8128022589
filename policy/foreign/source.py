"""A policy's file from another stack, TorchScript or ONNX, as an ONNX graph and as a function."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

RECURRENT = "is recurrent, and only policies without a memory of their own can be imported: train one on stacked frames"
FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True)
class Source:
    """A policy as it came.

    Attributes:
        model: ONNX with one input (batch or 1, width) and the action among its outputs.
        input, output: their names.
        run: the original: from an observation (width,) float32 to its action (n,).
    """

    model: onnx.ModelProto
    input: str
    output: str
    run: Callable[[np.ndarray], np.ndarray]


def load_torchscript(path: Path, width: int) -> Source:
    """Return the policy of a TorchScript file that sees `width` values.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not TorchScript, is recurrent, or does not take so many values.
    """
    _check_file(path)
    try:
        module = torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:  # torch raises errors of many kinds for a file that is not one
        raise ValueError(
            f"{path} is not TorchScript: give the policy that your stack exports (legged_gym's play.py writes "
            "policy_1.pt), not a training checkpoint"
        ) from error
    names = {getattr(part, "original_name", "") for part in module.modules()}
    if names & {"LSTM", "GRU", "RNN"} or any(op in str(module.inlined_graph) for op in ("aten::lstm", "aten::gru")):
        raise ValueError(f"{path} {RECURRENT}")

    def run(observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            action = module(torch.from_numpy(observation)[None])
        if not isinstance(action, torch.Tensor) or action.ndim != 2:
            raise ValueError(f"{path} does not return one tensor [batch, actions]: export the actor's mean alone")
        return action[0].numpy()

    _try(path, run, width, next((p.shape[1] for p in module.parameters() if p.ndim == 2), None))
    return Source(_export(path, module, width), "observation", "action", run)


def load_onnx(path: Path, width: int) -> Source:
    """Return the policy of an ONNX file that sees `width` values.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not ONNX, is recurrent, or does not take so many values.
    """
    _check_file(path)
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnx and onnxruntime raise errors of many kinds
        raise ValueError(f"{path} is not an ONNX policy, or damaged: export it again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    recurrent = {node.op_type for node in model.graph.node} & {"LSTM", "GRU", "RNN"}
    if recurrent or {i.name for i in inputs} & {"h_in", "c_in"}:
        raise ValueError(f"{path} {RECURRENT}")
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        found = ", ".join(f"{i.name} {i.type}{i.shape}" for i in inputs)
        raise ValueError(f"{path} takes {found}: only one input, float [batch, observations], can be imported")
    names = [o.name for o in outputs]
    output = names[0] if len(names) == 1 else next((n for n in names if n in ("action", "actions")), None)
    if output is None:
        raise ValueError(f"{path} has the outputs {', '.join(names)}: call the one to use 'actions'")

    def run(observation: np.ndarray) -> np.ndarray:
        return session.run([output], {inputs[0].name: observation[None]})[0][0]

    found = inputs[0].shape[1]
    _try(path, run, width, found if isinstance(found, int) else None)
    return Source(model, inputs[0].name, output, run)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no policy at {path}: give the file that your stack exported")


def _try(path: Path, run: Callable[[np.ndarray], np.ndarray], width: int, found: int | None) -> None:
    """Run the policy once; `found` is how many values it seems to take."""
    try:
        run(np.zeros(width, np.float32))
    except ValueError:
        raise
    except Exception as error:  # torch and onnxruntime raise errors of many kinds
        takes = "other observations" if found in (None, width) else f"{found} observations"
        remedy = "set 'observation' and 'history' to what it was trained on"
        raise ValueError(f"{path} takes {takes}, the configuration describes {width}: {remedy}") from error


def _export(path: Path, module: torch.jit.ScriptModule, width: int) -> onnx.ModelProto:
    """Return the module as ONNX; torch's exporter of today takes no TorchScript, its older one does."""
    buffer = io.BytesIO()
    names = {"input_names": ["observation"], "output_names": ["action"]}
    axes = {"observation": {0: "batch"}, "action": {0: "batch"}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (torch.zeros(1, width),), buffer, **names, dynamic_axes=axes, dynamo=False)
    except Exception as error:  # whatever the exporter does not know
        raise ValueError(
            f"{path} cannot be written as ONNX: export it where it was trained, and give --onnx"
        ) from error
    return onnx.load_from_string(buffer.getvalue())
