import json
import os
import shlex

import pytest

from cli.main import main
from policy import curves, runs
from policy.runs import Origin


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a run's folder as training leaves it."""

    def made(name, samples=2000, origin=True, progress=True, **changes):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        config = {"run": str(path), "mode": "vanilla", "samples": 4000.0, "seed": 0, "env": {"robot": "go1"}, "ppo": {}}
        words = ["dmcm", "train", "policy", "--run", str(path), "--env.robot", "go 1"]
        came = vars(Origin.now(words, "abc123")) if origin else None
        (path / "config.json").write_text(json.dumps({**config, **changes, "origin": came}))
        (path / "model_1000.pt").touch()
        (path / f"model_{samples}.pt").touch()
        if progress:
            lines = [
                {"samples": s, "reward": s / 1000, "falls": 0.1, "levels": {"stairs": 2.0, "rough": 4.0}}
                for s in (1000, samples)
            ]
            text = "\n".join(map(json.dumps, lines))
            (path / "progress.jsonl").write_text(text + '\n{"samples": 30')  # killed while it wrote
        return path

    return made


def test_runs_are_listed_with_their_key_figures(make, capsys):
    make("a")
    make("b", samples=4000, seed=7)
    assert main(["runs", str(make("c").parent)]) == 0
    out = capsys.readouterr().out
    assert "0.002 M of 0.004" in out and "2.00" in out and "10%" in out and "3.0" in out and "abc123" in out
    row = next(line for line in out.splitlines() if "/b " in line)
    assert " of " not in row and " 7 " in row


def test_the_command_that_goes_on_can_be_pasted_anywhere(make, monkeypatch, tmp_path):
    path = make("a")
    run = runs.read(path)
    assert shlex.split(run.origin.resume()) == [
        "dmcm",
        "train",
        "policy",
        "--run",
        str(path),
        "--env.robot",
        "go 1",
        "--resume",
    ]
    here = os.getcwd()
    monkeypatch.chdir(tmp_path)
    assert run.origin.resume() == f"cd {shlex.quote(here)} && {run.origin.command} --resume"
    again = Origin("dmcm train policy --resume", str(tmp_path), "", "")
    assert again.resume() == "dmcm train policy --resume"


def test_a_run_of_several_processes_goes_on_with_as_many(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    resume = Origin.now(["dmcm", "train", "policy"], "").resume()
    assert resume == "torchrun --standalone --nproc-per-node 4 --no-python -- dmcm train policy --resume"


def test_one_run_says_how_to_go_on(make, capsys):
    assert main(["runs", str(make("a"))]) == 0
    assert "to go on:\n  dmcm train policy" in capsys.readouterr().out
    assert main(["runs", str(make("b", samples=4000))]) == 0
    assert "longer" in capsys.readouterr().out


def test_two_runs_are_compared_by_their_options(make, capsys):
    a, b = make("a"), make("b", seed=3, env={"robot": "a1", "terrain": {"shares": [1, 2]}})
    assert runs.differences(runs.read(a), runs.read(b)) == [
        ("--seed", "0", "3"),
        ("--env.robot", "go1", "a1"),
        ("--env.terrain.shares", "-", "1 2"),
    ]
    assert main(["runs", str(a), str(b)]) == 0
    assert "--env.robot" in capsys.readouterr().out
    assert runs.differences(runs.read(a), runs.read(a)) == []


def test_a_run_of_an_earlier_version_is_shown_as_far_as_it_goes(make, capsys):
    assert main(["runs", str(make("old", origin=False, progress=False))]) == 0
    assert "earlier version" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "no folder nowhere"),
        (["."], "no runs in ."),
        (["a", "b"], "no run at a"),
        (["a", "b", "c"], "3 folders"),
    ],
)
def test_what_is_no_run_gets_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["runs", *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error and len(error.strip().splitlines()) == 1


def test_a_damaged_configuration_is_said(make, capsys):
    path = make("a")
    (path / "config.json").write_text("{")
    assert main(["runs", str(path)]) == 1
    assert "config.json is damaged" in capsys.readouterr().err


def test_files_of_other_tools_are_passed_over(make):
    path = make("a")
    (path.parent / "else").mkdir()
    (path.parent / "else" / "config.json").write_text('{"some": "other tool"}')
    assert [run.path.name for run in runs.find(path.parent)] == ["a"]


def test_a_logger_that_is_not_installed_gets_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("policy.train.find_spec", lambda name: None)
    assert main(["train", "policy", "--logger", "wandb", "--run", str(tmp_path / "run")]) == 1
    assert "pip install '.[wandb]'" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_curves_of_several_runs_are_drawn_side_by_side(make, tmp_path, capsys):
    make("b", samples=4000)
    folder = make("a").parent
    assert main(["runs", str(folder), "--curves", str(tmp_path / "curves.svg")]) == 0
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.count("<!-- a -->") == drawn.count("<!-- b -->") == 1  # the legend names each once
    assert "level reached on stairs" in drawn


def test_an_iteration_made_twice_counts_once(make):
    path = make("a")
    with (path / "progress.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"samples": 1500, "reward": 9.0, "falls": 0.0, "levels": {"stairs": 2.0}}))
    assert [line["samples"] for line in curves.progress(runs.read(path))] == [1000, 1500]


@pytest.mark.parametrize(("name", "says"), [("curves.txt", "let its name end in"), ("no/curves.png", "no folder")])
def test_curves_that_cannot_be_written_are_one_sentence(make, tmp_path, capsys, name, says):
    assert main(["runs", str(make("a")), "--curves", str(tmp_path / name)]) == 1
    assert says in capsys.readouterr().err


def test_a_run_without_an_iteration_has_no_curve(make, tmp_path, capsys):
    assert main(["runs", str(make("a", progress=False)), "--curves", str(tmp_path / "c.png")]) == 1
    assert "no iteration" in capsys.readouterr().err
