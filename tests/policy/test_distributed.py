"""What a process is among those that torchrun starts."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("rsl_rl")

import torch

from policy import distributed
from policy.config import PolicyConfig
from policy.train import make_env, make_runner
from sim.config import EnvConfig, TerrainConfig


@pytest.fixture
def second_of_one(monkeypatch):
    """Be a process that torchrun calls the second, all alone in its group."""
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_alone_nothing_changes(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (distributed.rank(), distributed.world_size(), distributed.device("auto")) == (0, 1, "auto")
    assert distributed.anyone(True, "cpu") and not distributed.anyone(False, "cpu")


def test_each_of_several_has_the_gpu_of_its_number(second_of_one, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (distributed.device("auto"), distributed.device("cuda:0"), distributed.device("cpu")) == (
        "cuda:1",
        "cuda:1",
        "cpu",
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.device("auto") == "auto"


def test_a_process_that_is_not_the_first_writes_nothing(second_of_one, monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "join_on_cpu", lambda: {"global_rank": 1, "local_rank": 1, "world_size": 2})
    env = EnvConfig(num_envs=2, threads=1, terrain=TerrainConfig(shares={"flat": 1.0}))
    runner = make_runner(PolicyConfig(run=tmp_path, env=env), make_env(env))
    assert runner.is_distributed and runner.gpu_world_size == 2
    assert runner.save_checkpoint() == tmp_path / "model_0.pt" and not list(tmp_path.iterdir())
