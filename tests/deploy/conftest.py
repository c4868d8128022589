"""Real, small artifacts, written once."""

from __future__ import annotations

import pytest

import robots
from deploy.context import load_bank
from deploy.controller import Controller, ControllerConfig
from deploy.policy import OnnxPolicy
from tests.deploy.fake_robot import FakeRobot
from tests.helpers_onnx import make_bank, make_policy

DT = 0.004


@pytest.fixture(scope="session")
def spec():
    return robots.load("go1")


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory, spec):
    """Return a folder with vanilla.onnx, multi.onnx and bank.safetensors."""
    folder = tmp_path_factory.mktemp("models")
    make_policy(folder / "vanilla.onnx", spec, seed=1)
    make_policy(folder / "multi.onnx", spec, "multi", seed=2)
    make_bank(folder / "bank.safetensors", spec)
    return folder


@pytest.fixture
def controller(artifacts, spec):
    return Controller(
        spec,
        OnnxPolicy.load(artifacts / "multi.onnx", spec),
        OnnxPolicy.load(artifacts / "vanilla.onnx", spec),
        load_bank(artifacts / "bank.safetensors", spec),
        ControllerConfig(command_dt=DT),
    )


@pytest.fixture
def robot(spec):
    return FakeRobot(spec, DT)
