import json
import sys

import pytest

from benchmarks import sim_bench
from benchmarks.sim_bench import SimBenchConfig, Worker, bench

FAKE = """
import json, sys
print(json.dumps({"num_envs": 10, "substeps": 4, "physics_dt": 0.005}), flush=True)
made = 0
for line in sys.stdin:
    asked = json.loads(line)
    if "learn" in asked:
        answer = {"samples_per_s": 500.0, "peak_rss_mb": 90.0}
    elif "endure" in asked:
        made += asked["endure"]
        answer = {"rss_mb": 100.0 + made / 1000}
    else:
        answer = {"env_steps_per_s": SPEED, "physics_steps_per_s": 8000.0, "peak_rss_mb": 80.0}
    print(json.dumps(answer), flush=True)
"""


def fake(speed):
    return [sys.executable, "-c", FAKE.replace("SPEED", str(speed))]


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(sim_bench, "_ours", lambda config, terrain, count: fake(1000.0))
    monkeypatch.setattr(sim_bench, "_peers", lambda config: {"mjlab": fake(20.0)})


def test_rows_ratios_and_shares_follow_from_what_the_workers_say(fakes, tmp_path):
    said, kept = [], []
    config = SimBenchConfig(num_envs=(10,), terrains=("gaps",))
    figures = bench(config, tmp_path, lambda so_far: kept.append(len(so_far["rows"])), said.append)
    assert kept == [3, 4]
    ours, physics, peer, gaps = figures["rows"]
    assert [row["backend"] for row in figures["rows"]] == ["mujoco", "mujoco_physics", "mjlab", "mujoco"]
    assert [row["terrain"] for row in figures["rows"]] == ["stairs", "stairs", "flat", "gaps"]
    assert ours["of_bare_physics"] == pytest.approx(0.5) and physics["env_steps_per_s"] == pytest.approx(2000.0)
    assert ours["share"] == pytest.approx({"physics": 0.25, "environment": 0.25, "learner": 0.5})
    assert ours["peak_rss_mb"] == 90.0 and peer["peak_rss_mb"] == 80.0
    assert figures["times_as_fast_as"] == {"mjlab": pytest.approx(50.0)}
    assert len(said) == 4 and all(sim_bench.line(row) in said for row in figures["rows"])
    text = sim_bench.table(json.loads(json.dumps(figures)))
    assert "| mujoco | stairs | 10 | 1,000 | 0.50 | 500 (physics 25%, environment 25%, learner 50%) | 90 |" in text
    assert "50.0 times the steps of `mjlab`" in text and "gaps" in text
    assert {"backend", "terrain", "num_envs", "env_steps_per_s", "physics_steps_per_s", "peak_rss_mb"} <= set(gaps)


def test_endurance_shows_memory_at_both_ends_and_keeps_what_it_has_on_the_way(fakes, tmp_path):
    kept = []
    config = SimBenchConfig(num_envs=(10, 20), endure=1000)
    figures = bench(config, tmp_path, lambda so_far: kept.append(so_far["endurance"]["steps"]))
    assert kept == list(range(25, 1001, 25))
    text = sim_bench.endurance(figures)
    assert "1,000 steps of 10 robots, mixed terrain" in text
    assert "100.0 MB after 25 of them, 100.5 MB half-way, 101.0 MB at the end" in text


def test_a_worker_that_ends_early_is_named_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no GPU here')"]
    with Worker("mujoco_warp", command, tmp_path / "log") as worker:
        with pytest.raises(ValueError, match="measurement of mujoco_warp ended with code 1: no GPU here"):
            worker.ask(seconds=1.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SimBenchConfig(terrains=("stair",)), "no terrain 'stair'"),
        (SimBenchConfig(num_envs=(0,)), "must be positive"),
        (SimBenchConfig(mjlab="/nowhere/python"), "--mjlab: there is no Python interpreter"),
    ],
)
def test_what_cannot_be_measured_is_said_before_measuring(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        bench(config, tmp_path, lambda so_far: None)


def test_our_worker_measures_the_environment_and_leaves_it_where_it_was():
    torch = pytest.importorskip("torch")
    pytest.importorskip("rsl_rl")
    from policy.sim_worker import SimWorker

    worker = SimWorker("mujoco", {"stairs": 1.0}, 4, "usual", torch.get_num_threads())
    figures = worker.step(0.01)
    assert figures["env_steps_per_s"] > 0.0 and figures["physics_steps_per_s"] > 0.0
    state = worker.env.sim.root_position.clone()
    worker.env.sim._refresh()
    assert torch.equal(worker.env.sim.root_position, state)  # the physics alone has run on copies
    assert worker.endure(3)["rss_mb"] > 100.0
