"""One context for robot and terrain together (CAVIA), behind the files of two."""

import json

import pytest
import torch
from safetensors import safe_open

import robots
from calibration import model as calibration
from deploy.context import load_bank
from dynamics_model import bank, export, train
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel, ModelConfig
from dynamics_model.train import StageConfig, TrainConfig


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Return the folder of a finished run, with bank and graph."""
    output = tmp_path_factory.mktemp("single")
    config = TrainConfig(
        folder,
        output,
        threads=1,
        held_out=0.25,
        model=ModelConfig(history=2, robot=4, terrain=3, single=True, hidden=(48,)),
        noise=SensorNoise(0.02, 0.005, 0.002, 0.02),
        table=StageConfig(200, learning_rate=5e-3, validate_every=1000),
        chains_stage=StageConfig(4, learning_rate=1e-3, context_learning_rate=1e-3, validate_every=100),
        batch=512,
        points=48,
        quiet=True,
    )
    model = train.run(config).model
    bank.run(bank.BankConfig(model, folder, output / "bank.safetensors", threads=1))
    export.run(export.ExportConfig(model, output / "bank.safetensors", output / "dynamics.onnx"))
    return output


def test_adaptation_moves_the_whole_context_and_lowers_the_error(trained, folder):
    model, info = DynamicsModel.load(trained / "model.safetensors")
    assert model.learner.names == ("robot",) and model.context_sizes == (7, 7)
    assert info.validation["adapted"] < 0.95 * info.validation["nominal"]


def test_what_a_terrain_adds_is_nothing_on_the_flat_and_helps_elsewhere(trained, folder):
    model, info = DynamicsModel.load(trained / "model.safetensors")
    made = bank.load_bank(trained / "bank.safetensors")
    assert made.pair_contexts.shape == (len(info.train_robots), 3, 7)
    flat = made.metadata["terrains"].index("flat")
    assert not made.terrain_contexts[flat].any() and made.terrain_contexts[2].abs().max() > 0.1
    data = Dataset.read(folder, 2)
    rows = torch.tensor([i for i in range(len(data.robot_ids)) if data.robot_ids[i] in info.train_robots])
    here = data.grid[rows, 2] >= 0
    batch = model.normalise(data.sample(data.grid[rows[here], 2], 200))
    raw = made.robot_contexts[here]
    with torch.no_grad():
        error = [float(model.error(batch, c).mean()) for c in (raw, raw + made.terrain_contexts[2])]
    assert error[1] < error[0]


def test_the_graph_adds_the_terrains_context_and_agrees_with_torch(trained):
    model, _ = DynamicsModel.load(trained / "model.safetensors")
    assert export.disagreement(model, trained / "dynamics.onnx", (1, 50)) <= 3e-6
    with safe_open(str(trained / "bank.safetensors"), framework="np") as file:
        meta = json.loads(file.metadata()["dmcm"])
    assert meta["dynamics_digest"] == model.digest()


def test_the_field_adapts_with_it_as_with_two_contexts(trained):
    spec = robots.load("go1")
    model = calibration.DynamicsModel.load(trained / "dynamics.onnx", spec)
    known = load_bank(trained / "bank.safetensors", spec, model.digest)
    assert (model.robot_size, model.terrain_size) == known.terrain_contexts[:2].T.shape[:1] * 2 == (7, 7)
    assert not known.terrain("flat").any() and known.nominal_robot.shape == (7,)
