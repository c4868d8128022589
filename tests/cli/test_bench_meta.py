import json

import pytest

from cli.main import main


def test_bench_sine_and_its_bad_options(tmp_path, capsys):
    out, figures = tmp_path / "out", tmp_path / "sine.json"
    options = ["--methods", "CAVIA, 1 step", "--seeds", "1", "--iterations", "2", "--tasks", "10", "--quiet"]
    assert main(["bench", "sine", *options, "--out", str(out), "--json", str(figures)]) == 0
    assert "| CAVIA, 1 step |" in capsys.readouterr().out and (out / "sine.csv").exists()
    row = json.loads(figures.read_text())["rows"][0]
    assert {"method", "exclusion", "metric", "steps", "mean", "ci95", "seeds"} <= set(row)
    assert main(["bench", "sine", "--out", str(out), "--methods", "SGD"]) == 1
    assert "unknown method 'SGD'" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--seconds", "0"), ("--threads", "0")])
def test_bench_meta_names_a_bad_option(option, value, capsys):
    assert main(["bench", "meta", option, value]) == 1
    assert f"{option[2:]}: must be positive" in capsys.readouterr().err


def test_bench_meta_measures_speed(monkeypatch, tmp_path):
    from dynamics_model import meta_bench

    for name, few in (("BATCHES", (5,)), ("WIDTHS", (4,)), ("STACKS", (2,))):
        monkeypatch.setattr(meta_bench, name, few)
    path = tmp_path / "meta.json"
    assert main(["bench", "meta", "--seconds", "0.01", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures["cavia_iterations_per_s"] > 0 < figures["maml_iterations_per_s"]
    assert figures["tasks_per_s"][0]["tasks"] == 5 and figures["stacked"][0]["models"] == 2
