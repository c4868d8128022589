import dataclasses
import json
import os
import signal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from dynamics_model import bank, export, train
from dynamics_model.adaptation import robot_paths
from dynamics_model.chains import ChainConfig
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel, ModelConfig, ModelError
from dynamics_model.precondition import curvature, to_new
from dynamics_model.probes import r_squared, ridge
from dynamics_model.train import StageConfig, TrainConfig
from dynamics_model.validate import condition

NOISE = SensorNoise(0.02, 0.005, 0.002, 0.02)


def config(folder, output, **changes):
    options = {
        "threads": 1,
        "held_out": 0.25,
        "model": ModelConfig(history=2, robot=4, terrain=3, hidden=(48,)),
        "noise": NOISE,
        "table": StageConfig(600, learning_rate=5e-3, validate_every=300),
        "chains_stage": StageConfig(12, learning_rate=1e-3, context_learning_rate=1e-3, validate_every=100),
        "batch": 512,
        "points": 48,
        "quiet": True,
    }
    return TrainConfig(folder, output, **{**options, **changes})


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Return the folder of a finished run, with bank and graph, and the training result."""
    output = tmp_path_factory.mktemp("run")
    result = train.run(config(folder, output))
    bank.run(bank.BankConfig(result.model, folder, output / "bank.safetensors", threads=1))
    export.run(export.ExportConfig(result.model, output / "bank.safetensors", output / "dynamics.onnx"))
    return output, result


def test_adaptation_lowers_the_error_of_unseen_robots_and_transfers(trained):
    figures = trained[1].validation
    assert figures["adapted"] < 0.9 * figures["nominal"]
    assert figures["transfer"] < 0.95 * figures["transfer_nominal"]


def test_probes_read_unseen_robots(trained):
    figures = trained[1].validation
    assert figures["r2"]["payload"] > 0.6 and figures["r2"]["kp_strength"] > 0.5


def test_the_first_stage_alone_learns_and_training_raises_the_probes(trained):
    history = json.loads((trained[0] / "history.json").read_text())
    assert [entry["stage"] for entry in history[:2]] == ["table", "table"] and history[-1]["stage"] == "chains"
    assert history[-1]["adapted"] < history[-1]["nominal"]


def test_chains_alone_learn(folder, tmp_path):
    stage = StageConfig(120, learning_rate=1e-2, context_learning_rate=0.1, validate_every=1000)
    squared = ModelConfig(history=1, robot=4, terrain=3, hidden=(32,), loss="squared")
    chains = ChainConfig(chains=6, length=2, second_order=False)
    changes = {"table": StageConfig(0), "chains_stage": stage, "model": squared, "chains": chains}
    result = train.run(config(folder, tmp_path, **changes))
    assert result.validation["adapted"] < 0.97 * result.validation["nominal"] < 0.9


def test_the_bank_follows_its_contract(trained, folder):
    path = trained[0] / "bank.safetensors"
    tensors = load_file(str(path))
    with safe_open(str(path), framework="np") as file:
        meta = json.loads(file.metadata()["dmcm"])
    model, info = DynamicsModel.load(trained[1].model)
    count = len(info.train_robots)
    assert {k: v.shape for k, v in tensors.items()} == {
        "robot_contexts": (count, 4),
        "robot_factors": (count, 3),
        "terrain_contexts": (3, 3),
        "nominal_robot": (4,),
    }
    assert meta["kind"] == "bank" and meta["schema"] == 1 and meta["dynamics_digest"] == model.digest()
    assert meta["terrains"] == ["flat", "rough_2", "stairs_10cm"] and meta["factor_names"][0] == "payload"
    assert meta["disentanglement"] < 0.5
    payload = next(p for p in meta["probes"] if p["name"] == "payload")
    read = tensors["robot_contexts"] @ np.array(payload["weights"]) + payload["bias"]
    assert np.corrcoef(read, tensors["robot_factors"][:, 0])[0, 1] > 0.85
    assert abs(tensors["nominal_robot"] @ np.array(payload["weights"]) + payload["bias"]) < 0.8


def test_swapped_contexts_serve_pairs_never_seen(trained, folder):
    """Robot 3 has no data on stairs: its context from flat ground with the bank's stairs is better than none."""
    assert trained[1].validation["transfer"] < trained[1].validation["transfer_nominal"]
    contexts = bank.load_bank(trained[0] / "bank.safetensors")
    model, info = DynamicsModel.load(trained[1].model)
    data = Dataset.read(folder, 2)
    row = info.train_robots.index(5)
    batch = model.normalise(data.sample(data.grid[5:6, 2], 400))
    stairs = contexts.terrain_contexts[2]
    with torch.no_grad():
        swapped = model.error(batch, model.contexts(contexts.robot_contexts[row], stairs))
        nominal = model.error(batch, model.contexts(contexts.nominal_robot, stairs))
        flat = model.error(batch, model.contexts(contexts.robot_contexts[row], contexts.terrain_contexts[0]))
    assert swapped < nominal and swapped < flat


def test_the_graph_agrees_with_torch_for_any_number_of_samples(trained):
    model, _ = DynamicsModel.load(trained[1].model)
    path = trained[0] / "dynamics.onnx"
    assert export.disagreement(model, path, (1, 2, 17, 300, 1000)) <= 1e-6
    session = onnxruntime.InferenceSession(str(path))
    frames, targets, _, robot, terrain = export.example(model, 50, seed=5)
    for keep in (50, 20, 1):
        mask = (torch.arange(50) < keep).float()
        spoiled = targets + 10 * (1 - mask[:, None])
        inputs = dict(zip(export.INPUTS, (frames, spoiled, mask, robot, terrain), strict=True))
        loss, gradient = session.run(["loss", "gradient_robot"], {k: v.numpy() for k, v in inputs.items()})
        kept = export.adaptation(model)(frames[:keep], targets[:keep], mask[:keep], robot, terrain)
        expected = [value.detach().numpy() for value in kept]
        np.testing.assert_allclose(loss, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5 * np.abs(gradient).max())


def test_the_field_step_with_the_graph_is_the_step_of_training(trained, folder):
    """`context -= inner_rate * gradient` from the metadata gives the contexts of the training side."""
    model, info = DynamicsModel.load(trained[1].model)
    data = Dataset.read(folder, 2)
    windows = data.log(data.grid[7:8, 0], 0, 180)
    session = onnxruntime.InferenceSession(str(trained[0] / "dynamics.onnx"))
    meta = json.loads(session.get_modelmeta().custom_metadata_map["dmcm"])
    fixed = {
        "frames": windows.frames[0].numpy(),
        "targets": windows.targets[0].numpy(),
        "mask": np.ones(180, np.float32),
        "terrain_context": model.terrain_contexts[0].numpy(),
    }
    robot = np.zeros(4, np.float32)
    for _ in range(meta["inner_steps"]):
        (gradient,) = session.run(["gradient_robot"], {**fixed, "robot_context": robot})
        robot -= np.float32(meta["inner_rate"]["robot"]) * gradient
    options = {"count": 180, "steps": info.inner_steps, "rate": info.inner_rate}
    expected = robot_paths(model, data, torch.tensor([7]), 0, **options)[-1, 0]
    np.testing.assert_allclose(robot, expected, rtol=1e-3, atol=1e-4)


def test_the_graph_is_one_file_with_all_the_field_needs(trained):
    path = trained[0] / "dynamics.onnx"
    proto = onnx.load(str(path), load_external_data=False)
    assert not any(t.data_location == onnx.TensorProto.EXTERNAL for t in proto.graph.initializer)
    assert not any(node.metadata_props for node in proto.graph.node), "traces, with the paths of this machine"
    (entry,) = [p for p in proto.metadata_props if p.key == "dmcm"]
    meta = json.loads(entry.value)
    wanted = {"schema", "kind", "robot", "robot_digest", "joint_names", "control_dt", "history", "frame", "context"}
    assert wanted | {"inner_rate", "inner_steps", "digest", "probes", "reference"} <= meta.keys()
    assert (
        meta["kind"] == "dynamics" and len(meta["joint_names"]) == 12 and meta["context"] == {"robot": 4, "terrain": 3}
    )
    assert {p["name"] for p in meta["probes"]} == {"payload", "kp_strength", "kd_strength"}
    session = onnxruntime.InferenceSession(str(path))
    reference = {k: np.array(v, np.float32) for k, v in meta["reference"].items()}
    found = session.run(list(export.OUTPUTS), {name: reference[name] for name in export.INPUTS})
    for name, value in zip(export.OUTPUTS, found, strict=True):
        np.testing.assert_allclose(value, reference[name], rtol=1e-4, atol=1e-5)


def test_a_bank_of_another_model_is_refused(trained, folder, tmp_path):
    contexts = bank.load_bank(trained[0] / "bank.safetensors")
    contexts.metadata["dynamics_digest"] = "0" * 16
    contexts.save(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="made with another dynamics model"):
        export.run(export.ExportConfig(trained[1].model, tmp_path / "bank.safetensors", tmp_path / "x.onnx"))
    assert not (tmp_path / "x.onnx").exists()


def test_damaged_models_are_refused(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        DynamicsModel.load(path)
    path.write_bytes(trained[1].model.read_bytes()[:500])
    with pytest.raises(ModelError, match="damaged"):
        DynamicsModel.load(path)
    with pytest.raises(ModelError, match="not a file of kind 'dynamics_model'"):
        DynamicsModel.load(trained[0] / "bank.safetensors")


def short(folder, output, **changes):
    return config(
        folder,
        output,
        table=StageConfig(12, validate_every=6),
        chains_stage=StageConfig(3, validate_every=100),
        batch=64,
        points=16,
        **changes,
    )


def weights(path):
    return {k: v for k, v in load_file(str(path)).items() if not k.startswith("terrain")}


def test_an_interrupted_run_resumes_where_it_stopped(folder, tmp_path, monkeypatch):
    whole = train.run(short(folder, tmp_path / "whole"))
    calls = 0
    original = train.table_loss

    def interrupted(*arguments):
        nonlocal calls
        calls += 1
        if calls == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(train, "table_loss", interrupted)
    assert train.run(short(folder, tmp_path / "parts")).model is None
    monkeypatch.setattr(train, "table_loss", original)
    parts = train.run(short(folder, tmp_path / "parts", resume=True))
    a, b = weights(whole.model), weights(parts.model)
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    again = short(folder, tmp_path / "parts", resume=True)
    with pytest.raises(ModelError, match="begun with another model: resume with the same"):
        train.run(dataclasses.replace(again, model=ModelConfig(hidden=(8,))))
    with pytest.raises(ModelError, match="begun with another held_out, seed"):
        train.run(dataclasses.replace(again, seed=3))
    with pytest.raises(FileNotFoundError):
        train.run(short(folder, tmp_path / "none", resume=True))


def test_a_stage_ends_with_its_seconds(folder, tmp_path):
    changes = {"table": StageConfig(10**6, seconds=0.3), "chains_stage": StageConfig(0), "batch": 64}
    result = train.run(config(folder, tmp_path, **changes))
    assert result.model is not None and result.rates["table"] > 0


def test_preconditioning_changes_coordinates_only(folder):
    torch.manual_seed(0)
    data = Dataset.read(folder, 2)
    model = DynamicsModel(ModelConfig(history=2, robot=4, terrain=3, hidden=(16, 16)), 3)
    torch.nn.init.normal_(model.learner.network.output.weight, std=0.3)
    model.fit_normalizers(data.sample(torch.arange(20), 50))
    model.terrain_contexts.normal_()
    robots, contexts = torch.arange(20), torch.randn(20, 4) * torch.tensor([1.0, 0.4, 3.0, 0.5]) + 2
    batch = model.normalise(data.sample(data.grid[robots, 0], 200))
    before = model.learner.predict(batch.x, model.contexts(contexts, model.terrain_contexts[1])).detach()
    new = condition(model, data, robots, contexts, NOISE)
    after = model.learner.predict(batch.x, model.contexts(new, model.terrain_contexts[1])).detach()
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cov(new.T), torch.eye(4), atol=0.05, rtol=0)
    assert float(new.mean(0).abs().max()) < 1e-4
    both = model.contexts(new, model.terrain_contexts[1])
    bend = curvature(model, batch, both, "robot")  # on other samples than those it was made diagonal on
    speed = model.learner.rate().detach()[:4].sqrt()
    assert float((bend * speed * speed[:, None] - torch.eye(4)).abs().max()) < 0.7


def test_curvature_is_the_hessian_where_the_network_fits(folder):
    torch.manual_seed(0)
    data = Dataset.read(folder, 2)
    model = DynamicsModel(ModelConfig(history=2, robot=2, terrain=2, hidden=(8,), loss="squared"), 3).double()
    torch.nn.init.normal_(model.learner.network.output.weight, std=0.3)
    windows = data.sample(torch.tensor([0]), 30)
    batch = model.normalise(
        dataclasses.replace(windows, frames=windows.frames.double(), targets=windows.targets.double())
    )
    context = torch.randn(1, 4).double()
    batch = batch._replace(y=model.learner.predict(batch.x, context).detach())
    hessian = torch.autograd.functional.hessian(lambda c: model.learner.losses(batch, c).sum(), context)[0, :, 0]
    torch.testing.assert_close(curvature(model, batch, context, "robot"), hessian[:2, :2])


def test_coordinates_return():
    matrix, offset = torch.randn(3, 3) + 3 * torch.eye(3), torch.randn(3)
    new = torch.randn(5, 3)
    torch.testing.assert_close(to_new(new @ matrix.T + offset, matrix, offset), new, atol=1e-4, rtol=1e-4)


def test_ridge_reads_a_linear_law_and_ignores_noise():
    torch.manual_seed(0)
    x = torch.randn(60, 4)
    law = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    y = x @ law + 3 + torch.tensor([0.1, 1.0]) * torch.randn(60, 2)
    w, bias = ridge(x, y)
    fresh = torch.randn(500, 4)
    score = r_squared(fresh @ w + bias, fresh @ law + 3 + torch.tensor([0.1, 1.0]) * torch.randn(500, 2))
    assert float(score[0]) > 0.98 and float(score[1]) > -0.1
