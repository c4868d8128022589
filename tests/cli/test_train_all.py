import json
from dataclasses import asdict
from pathlib import Path

import pytest

from cli import train_all
from policy.runs import Origin


def begun(folder: Path, words: list[str]):
    """Write the record of a run that these words began."""
    record = {"origin": asdict(Origin.now(["dmcm", *words], commit="0" * 12))}
    (folder / "config.json").write_text(json.dumps(record))


@pytest.fixture
def stages(monkeypatch):
    """Return the list that collects the commands, each of which writes what the real one would."""
    ran = []

    def option(words, name):
        return Path(words[words.index(name) + 1])

    def run(*words):
        words = [str(word) for word in words]
        ran.append(words)
        if words[:2] == ["train", "policy"]:
            folder = option(words, "--run")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"model_{option(words, '--samples')}.pt").touch()
            begun(folder, words)
        elif words[:2] == ["train", "dynamics"]:
            folder = option(words, "--output")
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("bank.safetensors", "dynamics.onnx"):
                (folder / name).write_text(name)
        elif words[0] == "export":
            option(words, "--out").touch()

    monkeypatch.setattr(train_all, "_dmcm", run)
    return ran


def test_stages_run_in_order_and_leave_what_a_robot_needs(stages, tmp_path):
    train_all.main(["--out", str(tmp_path), "--robot", "go2", "--samples", "200", "--base-samples", "100"])
    assert [" ".join(words[:2]) for words in stages] == [
        *("train policy",) * 4,
        *("export --checkpoint", "collect --policy", "train dynamics"),
        *("train policy",) * 4,
        *("export --checkpoint", *("train policy",) * 3, "export --checkpoint"),
    ]
    made = {path.name for path in (tmp_path / "models").iterdir()}
    policies = {"calibration.onnx", "vanilla.onnx", "multi.onnx"}
    assert made == {*policies, "dynamics.onnx", "bank.safetensors"}
    assert all("go2" in words for words in stages if words[:2] != ["train", "dynamics"])
    trained = [words for words in stages if "--init" in words]
    starts = [Path(words[words.index("--init") + 1]).parent.name for words in trained]
    assert starts[:6] == ["base", "start", "calibration", "start", "climbs", "climbs_last"]
    assert starts[6:] == ["firm", "vanilla", "told", "told_fine"]
    assert ["--bank" in words for words in trained] == [False] * 3 + [True] * 7, "the last ones with the same robots"
    assert ["--env.fine" in words for words in trained] == [False] * 5 + [True, True, False, True, True]
    assert ["--teacher" in words for words in trained] == [False] * 7 + [True] * 3
    little = ["--action-std" in words and "--ppo.quiet-share" in words for words in trained]
    varied = ["--env.nuisances.preset" in words for words in trained]
    assert varied == [False, True, True] + [False] * 3 + [True] * 4, "what calibrates, and what walks at last"
    assert little == [False, False, True, False, *(True,) * 6]


def test_finished_stages_are_kept(stages, tmp_path):
    options = ["--out", str(tmp_path), "--samples", "200", "--base-samples", "100"]
    train_all.main(options)
    stages.clear()
    train_all.main(options)
    assert [words[0] for words in stages] == ["collect"], "which keeps its own finished tasks"


def test_an_interrupted_policy_goes_on_any_number_of_times(stages, tmp_path):
    options = ["--out", str(tmp_path), "--samples", "200", "--base-samples", "100"]
    train_all.main(options)
    for _ in range(2):
        (tmp_path / "base" / "model_100.pt").rename(tmp_path / "base" / "model_40.pt")
        stages.clear()
        train_all.main(options)
        assert [words[-1] for words in stages if words[:2] == ["train", "policy"]] == ["--resume"]
        (tmp_path / "base" / "model_40.pt").unlink()


def test_a_folder_that_moved_is_kept(stages, tmp_path):
    train_all.main(["--out", str(tmp_path / "old")])
    (tmp_path / "old").rename(tmp_path / "new")
    stages.clear()
    train_all.main(["--out", str(tmp_path / "new")])
    assert [words[0] for words in stages] == ["collect"]


def test_a_stage_of_another_recipe_is_refused_and_left_as_it_is(stages, tmp_path):
    train_all.main(["--out", str(tmp_path)])
    vanilla = next(words for words in stages if "vanilla" in str(words[3]))
    begun(tmp_path / "vanilla", [word for word in vanilla if word not in train_all.VARIED])
    stages.clear()
    with pytest.raises(
        ValueError, match=r"vanilla was trained with other options .*\(--env\.nuisances\.preset usual\)"
    ):
        train_all.main(["--out", str(tmp_path)])
    assert [words[0] for words in stages] == ["collect"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--samples", "300"], r"was made with --samples 200, not 300: give another --out"),
        (["--robot", "go2"], "was made with --robot go1, not go2"),
        (["--seed", "7"], "was made with --seed 0, not 7"),
        (["--num-robots", "7"], "was made with --num-robots 320, not 7"),
    ],
)
def test_other_settings_in_a_folder_are_refused_and_nothing_is_run(stages, tmp_path, typed, words):
    options = ["--out", str(tmp_path), "--samples", "200", "--base-samples", "100"]
    train_all.main(options)
    stages.clear()
    record = (tmp_path / "settings.json").read_text()
    with pytest.raises(ValueError, match=words):
        train_all.main([*options, *typed])
    assert not stages and (tmp_path / "settings.json").read_text() == record


def test_a_damaged_record_of_the_settings_is_said(stages, tmp_path):
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json is damaged: remove it"):
        train_all.main(["--out", str(tmp_path)])
    assert not stages


def test_every_robot_has_a_folder_of_its_own_by_default(stages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for robot in ("go1", "go2"):
        train_all.main(["--robot", robot])
        assert (tmp_path / "runs" / f"{robot}_all" / "models" / "multi.onnx").exists()


def test_an_interrupted_stage_ends_the_chain(monkeypatch, tmp_path):
    monkeypatch.setattr(train_all, "_dmcm", lambda *words: None)
    with pytest.raises(KeyboardInterrupt):
        train_all.main(["--out", str(tmp_path)])


def test_a_failed_stage_ends_the_chain_with_its_exit_code(monkeypatch, tmp_path, capfd):
    with pytest.raises(SystemExit) as end:
        train_all._dmcm("export", "--checkpoint")
    assert end.value.code == 2
    assert "$ dmcm export --checkpoint" in capfd.readouterr().out


def test_every_stage_is_a_command_that_parses(stages, tmp_path):
    pytest.importorskip("rsl_rl")
    import tyro

    from dynamics_model.train import TrainConfig
    from policy.config import PolicyConfig
    from policy.export import ExportConfig
    from sim.collect import CollectConfig

    train_all.main(["--out", str(tmp_path), "--seed", "7"])
    configs = {"train policy": PolicyConfig, "train dynamics": TrainConfig}
    configs |= {"export": ExportConfig, "collect": CollectConfig}
    for words in stages:
        name = words[0] if words[0] in configs else " ".join(words[:2])
        config = tyro.cli(configs[name], args=words[len(name.split()) :])
        assert getattr(config, "seed", 7) == 7
