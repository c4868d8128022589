"""The contenders of the dynamics benchmark: trained, resumed and judged on a small world."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from dynamics_model import comparison, dynamics_benchmark, dynamics_report, observed
from dynamics_model.contenders import METHODS, is_outside, split, true_contexts
from dynamics_model.dataset import Dataset, SensorNoise, read_task
from dynamics_model.dynamics_benchmark import DynamicsBenchConfig, figures_of, run

NAMES = ("none", "true", "table_anchor", "table_cavia")


@pytest.fixture(scope="module")
def config(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    options = {"methods": NAMES, "budget": 12, "history": 2, "context": 3, "stairs": "stairs_10cm", "threads": 1}
    return DynamicsBenchConfig(folder, out, hidden=(24,), **options)


@pytest.fixture(scope="module")
def found(config):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "POINTS", 16)
        return dict(run(config))


def test_nobody_trains_on_who_judges(folder):
    data = Dataset.read(folder, 2)
    parts = split(data, 0)
    rows = [parts.train, parts.validation, *parts.test.values()]
    assert len(torch.cat(rows).unique()) == sum(map(len, rows))
    outside = is_outside(data)
    assert outside[parts.test["ood"]].all() and not outside[torch.cat(rows[:3])].any()
    assert 0 in parts.train


def test_every_method_has_its_rows_and_what_knows_is_not_adapted(found):
    contexts = {name: {row["context"] for row in figures["rows"]} for name, figures in found.items()}
    assert contexts["true"] == {"true"} and "probes" not in found["true"]
    assert contexts["table_anchor"] == {"nominal", "adapted", "swap", "raw", "on_terrain"}
    assert {row["method"] for row in found["none"]["rows"]} == {"none", "ridge"}
    for figures in found.values():
        for row in figures["rows"]:
            assert 0.0 < row["error_1"] < 2.0 and row["error_25"] > 0.0


def test_probes_are_of_each_context_and_each_factor(found):
    told = {(row["context"], row["factor"]) for row in found["table_anchor"]["probes"]}
    assert {("robot", "payload"), ("robot", "terrain"), ("terrain", "kp_strength"), ("terrain", "terrain")} <= told
    assert {row["context"] for row in found["table_cavia"]["probes"]} == {"single"}


def test_what_is_finished_is_kept_and_other_settings_are_refused(config, found):
    again = dict(run(config))
    assert again == json.loads(json.dumps(found))
    with pytest.raises(ValueError, match="other settings"):
        list(run(replace(config, budget=41)))
    with pytest.raises(ValueError, match="there is none"):
        list(run(replace(config, methods=("magic",))))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"stairs": "rough_2"}, "stairs stairs_10cm, not rough_2"),
        ({"budget": 16}, "budget 12, not 16"),
    ],
)
def test_a_model_that_nobody_judged_yet_is_not_taken_for_one_of_other_settings(
    config, found, tmp_path, setting, sentence
):
    shutil.copytree(config.out / "table_anchor", tmp_path / "table_anchor", ignore=shutil.ignore_patterns("fig*"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=rf"table_anchor holds a run of other settings \({sentence}\): give another"):
        list(run(replace(config, out=tmp_path, methods=("table_anchor",), **setting)))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_what_was_begun_on_other_data_or_nobody_knows_how_is_refused(config, found, folder, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(folder, data)
    shutil.copytree(config.out, out)
    same = replace(config, dataset=data, out=out, methods=("none", "true"))
    assert list(run(same)) == [(name, found[name]) for name in same.methods], "another folder, the same data"
    (data / "task_00095.safetensors").unlink()
    (out / "true" / "figures.json").unlink()
    for name in same.methods:
        with pytest.raises(ValueError, match=rf"{name} holds a run of other settings \(dataset \w+, not"):
            list(run(replace(same, methods=(name,))))
    (out / "true" / "settings.json").unlink()
    with pytest.raises(ValueError, match="true holds a run of settings that nobody noted: give another --out"):
        list(run(replace(config, out=out, methods=("true",))))


def test_a_terrain_that_is_not_there_is_refused_before_anything_is_made(config, tmp_path):
    with pytest.raises(ValueError, match="no terrain 'stairs_99cm'"):
        list(run(replace(config, out=tmp_path, methods=("table",), stairs="stairs_99cm")))
    assert not list(tmp_path.iterdir())


def test_figures_of_before_data_and_stairs_were_noted_are_read_where_the_rest_agrees(config, found, tmp_path):
    path = tmp_path / "none" / "figures.json"
    path.parent.mkdir()
    held = {**found["none"], "settings": {**found["none"]["settings"]}}
    del held["settings"]["dataset"], held["settings"]["stairs"]
    path.write_text(json.dumps(held))
    (tmp_path / "observed.json").write_text("[]")
    old = replace(config, out=tmp_path, methods=("none",))
    assert figures_of(old, dict(run(old)))["observed"] == []
    with pytest.raises(ValueError, match="seed 0, not 1"):
        list(run(replace(old, seed=1)))


def test_what_a_policy_sees_is_kept_with_its_settings(config, found, tmp_path, monkeypatch):
    monkeypatch.setattr(observed, "ITERATIONS", 2)
    kept = replace(config, out=tmp_path)
    rows = figures_of(kept, found)["observed"]
    assert rows and figures_of(kept, found)["observed"] == rows
    with pytest.raises(ValueError, match=r"observed.json holds a run of other settings \(stairs stairs_10cm, not"):
        figures_of(replace(kept, stairs="rough_2"), found)


def test_time_that_is_up_leaves_a_checkpoint_to_go_on_from(config, tmp_path):
    cut = replace(config, out=tmp_path, methods=("table",), seconds=3.0, budget=100_000)
    assert list(run(cut)) == [("table", None)]
    assert (tmp_path / "table" / "checkpoint.safetensors").exists()


def test_the_report_shows_every_method(config, found, monkeypatch):
    monkeypatch.setattr(observed, "ITERATIONS", 20)
    text = dynamics_report.markdown(figures_of(config, found))
    assert all(f"| {name} |" in text for name in (*NAMES, "ridge")) and "nan" not in text


def test_what_is_chosen_on_validation_robots_is_what_all_methods_get(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "POINTS", 16)
    monkeypatch.setattr(observed, "ITERATIONS", 20)
    monkeypatch.setattr(dynamics_benchmark, "HISTORIES", (1, 2))
    monkeypatch.setattr(dynamics_benchmark, "CHAIN_RATES", (1e-6, 1e-2))
    options = {"methods": ("dmcm", "table"), "budget": 96, "stairs": "stairs_10cm", "threads": 1, "hidden": (24,)}
    config = DynamicsBenchConfig(folder, tmp_path, choose=True, chain_rate=3e-4, **options)
    found = dict(run(config))
    choice = json.loads((tmp_path / "choice.json").read_text())
    shapes = [one for one in choice["tried"] if one["method"] == "table_anchor"]
    best = min(shapes, key=lambda one: one["error_1"])
    assert {one["history"] for one in shapes} == {1, 2, 3} and len({one["error_1"] for one in choice["tried"]}) == 5
    assert choice["chosen"] == {"history": best["history"], "context": best["context"], "chain_rate": 1e-2}
    assert found["dmcm"]["settings"].items() >= choice["chosen"].items()
    assert "chain_rate" not in found["table"]["settings"], "a table's own rates"
    text = dynamics_report.markdown(figures_of(config, found))
    assert text.count("| dmcm | 3 | 8 |") == 2 and "| 0.01 |" in text
    with pytest.raises(ValueError, match=r"choice.json holds a run of other settings \(budget"):
        list(run(replace(config, budget=97)))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"chain_rate": 0.0}, "--chain-rate 0: give a learning rate"),
        ({"chain_rate": -1.0}, "--chain-rate -1: give"),
        ({"chain_rate": float("nan")}, "--chain-rate nan: give"),
        ({"budget": 0}, "--budget 0: give at least 1"),
        ({"history": 0}, "--history 0: give"),
        ({"context": -1}, "--context -1: give"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_anything_is_made(folder, tmp_path, setting, sentence):
    out = tmp_path / "bench"
    with pytest.raises(ValueError, match=sentence):
        list(run(replace(DynamicsBenchConfig(folder, out, methods=("dmcm",)), **setting)))
    assert not out.exists()


def test_the_report_says_what_contexts_are_worth_against_the_truth():
    def row(method, context, terrain, seconds, error):
        return {
            "method": method,
            "split": "id",
            "context": context,
            "terrain": terrain,
            "seconds": seconds,
            "error_1": error,
        }

    rows = [row("true", "true", "flat", 0.0, 0.2), row("dmcm", "nominal", "flat", 0.0, 1.0)]
    assert dynamics_report._closed(rows) == [], "nobody adapted"
    rows += [row("dmcm", "adapted", "flat", 20.0, 0.36), row("dmcm", "adapted", "flat", 1.0, 0.9)]
    assert "| dmcm | 80 % | — | — | — | — | — |" in dynamics_report._closed(rows)[0]
    assert dynamics_report._closed(rows[1:]) == [], "nobody was told"


def test_what_a_policy_sees_at_one_moment_tells_what_shows_in_it_and_no_more(folder, monkeypatch):
    data = Dataset.read(folder, 2)
    parts = split(data, 0)
    flat = data.terrain_index("flat")
    monkeypatch.setattr(observed, "ITERATIONS", 150)
    found = observed.observed(data, parts, (flat,), SensorNoise(), seed=0)
    rows = {row["factor"]: row for row in found}
    assert {row["terrain"] for row in rows.values()} == {"flat"}
    assert rows["payload"]["r2_mean"] > rows["payload"]["r2"] > 0.2, "a load shows in the joints that it displaces"
    assert rows["kp_strength"]["r2_mean"] < 0.3, "gains do not show where joints swing as they are told"


def test_true_contexts_tell_robots_and_terrains_apart(folder):
    data = Dataset.read(folder, 2)
    known, terrains = true_contexts(data, split(data, 0).train)
    assert known.shape == (32, 3) and len(terrains.unique(dim=0)) == 3


def test_torques_are_read_and_get_noise_but_are_not_predicted(tmp_path, folder):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    source = sorted(folder.glob("task_*.safetensors"))[0]
    signals = load_file(str(source))
    with safe_open(str(source), framework="pt") as file:
        header = file.metadata()
    signals["torque"] = torch.full((len(signals["action"]), 12), 5.0)
    path = tmp_path / "task_00000.safetensors"
    save_file(signals, str(path), metadata=header)
    data = Dataset([read_task(path, torque=True)], 2)
    windows = data.sample(torch.tensor([0]), 50, noise=SensorNoise())
    assert windows.frames.shape[-1] == 2 * 54 and windows.targets.shape[-1] == 30
    torque = windows.frames[..., 42:54]
    assert 0.2 < float((torque - 5.0).std()) < 0.4 and METHODS["table_anchor_torque"].torque


def test_the_report_says_where_adaptation_ran_away():
    row = {"method": "dmcm", "split": "id", "context": "swap"}
    rows = [{**row, "seconds": 1.0, "error_1": 3e22}, {**row, "seconds": 20.0, "error_1": 0.25}]
    assert "| dmcm | diverged | 0.2500 |" in dynamics_report._seconds({"rows": rows})
