"""The evaluation: what is run, kept, summed up and shown; one real round."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

import models
import robots
from benchmarks import evaluation_run, evaluation_tables
from benchmarks.evaluation import (
    BEYOND,
    CONDITIONS,
    EPISODES,
    MAIN,
    STUDIES,
    TERRAINS,
    WITHIN,
    Job,
    Way,
    context_name,
    course,
    make_controller,
    missing,
    run_round,
    true_bank,
)
from benchmarks.evaluation_run import Evaluation, available, rows, run, verify
from benchmarks.trials import COMMAND_DT
from cli import evaluate
from deploy import loop
from deploy.context import load_bank
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator
from deploy.gains import Gains
from deploy.policy import OnnxPolicy
from sim.factors import WEAK_LEGS, WIDE
from sim.field import FieldRobot
from tests.helpers_factors import within

SPEC = robots.load("go1")
SHIPPED = models.path("go1")
WAYS = tuple(way for way in MAIN if way.mode in ("vanilla", "multi"))


@pytest.fixture
def setup(tmp_path):
    return Evaluation("go1", SHIPPED, tmp_path, WAYS, ("nominal", "+3 kg"), ("flat", "stairs_13cm"), 8, 0, 1)


@pytest.fixture
def ran(monkeypatch):
    """Let rounds succeed by rule, count them, and let the heavy robot fall while it calibrates."""
    jobs = []

    def round_(job):
        jobs.append((job.condition, job.terrain, job.way.name, job.round))
        cause = missing(job) if job.way.calibrates else ""
        won = {"success": True, "cause": "reached the goal", "seconds": 6.0, "error": 0.2, "torque": 5.0}
        fell = {"success": False, "cause": "tilted", "seconds": 3.0, "error": 0.4, "torque": 7.0}
        lost = {"success": False, "cause": cause, "seconds": 0.0, "error": None, "torque": None}
        return [lost] * EPISODES if cause else [won] * 3 + [fell]

    def calibrate(job):
        fault = "tilted" if job.condition == "+3 kg" else ""
        contexts = {mode: {f"{s:g}": [0.0] * 8 for s in times} for mode, (_, times) in job.wanted.items()}
        read = {} if fault else {mode: {"payload": 0.1 * (job.seed + 1)} for mode in job.wanted}
        corrected = dict.fromkeys(job.compensated, fault or {"gains": [1.1, 1.0], "context": [0.0] * 8})
        gains = {mode: [1.1, 1.0] for mode in contexts}
        made = {"fault": fault, "contexts": {} if fault else contexts, "readings": read, "gains": gains}
        return {**made, "compensated": corrected}

    monkeypatch.setattr(evaluation_run, "run_round", round_)
    monkeypatch.setattr(evaluation_run, "calibrate", calibrate)
    return jobs


def test_rounds_go_over_all_cells_in_turn_and_are_not_run_twice(setup, ran):
    progress = run(setup)
    for done, _, _ in progress:
        if done == 39:
            break
    progress.close()
    assert [job[3] for job in ran] == [0] * 36 + [1] * 3
    *_, last = run(setup)
    assert last[:2] == (72, 72) and len(ran) == len(set(ran)) == 72
    assert list(run(setup)) == [(72, 72, "begin")]


def test_robots_that_could_not_be_calibrated_count_as_failed_and_are_told(setup, ran):
    list(run(setup))
    found = {(row["mode"], row["condition"], row["terrain"]): row for row in rows(setup)}
    lost, won = found["multi", "+3 kg", "flat"], found["multi", "nominal", "flat"]
    assert (lost["successes"], lost["episodes"], lost["uncalibrated"]) == (0, 8, 8)
    assert lost["torque"] is None and lost["falls_per_minute"] is None
    assert (won["successes"], won["episodes"], won["uncalibrated"]) == (6, 8, 0)
    assert won["low"] < 0.75 < won["high"] and won["falls_per_minute"] == pytest.approx(2 / (6 * 6 + 2 * 3) * 60)
    assert found["multi_nominal", "+3 kg", "flat"]["uncalibrated"] == 0
    text = evaluation_tables.markdown({"rows": rows(setup)})
    assert "75 (41–93)" in text and "could not be calibrated: +3 kg 8 of 8" in text


def test_the_verdict_counts_hard_stairs_with_robots_that_are_not_nominal():
    def row(mode, condition, terrain, won):
        return {"mode": mode, "condition": condition, "terrain": terrain, "successes": won, "episodes": 10}

    counted = [row("vanilla", "+3 kg", "stairs_13cm", 9), row("vanilla", "Kp x0.6", "stairs_17cm", 6)]
    left_out = [row("vanilla", "nominal", "stairs_17cm", 0), row("vanilla", "+3 kg", "stairs_10cm", 0)]
    said = evaluation_tables.verdict([*counted, *left_out, row("multi", "+3 kg", "stairs_13cm", 10)])
    assert said.endswith("multi, adapted 100% (72–100), vanilla 75% (53–89).")
    assert evaluation_tables.verdict(left_out) == "No such cells."


def test_robots_that_could_not_be_calibrated_plainly_and_compensated_are_told_apart():
    row = {"condition": "+3 kg", "terrain": "flat", "successes": 0, "episodes": 8, "low": 0.0, "high": 0.3}
    rows = [{**row, "mode": "multi", "uncalibrated": 4}, {**row, "mode": "multi_compensated", "uncalibrated": 2}]
    told = evaluation_tables.markdown({"rows": rows})
    assert "+3 kg 4 of 8 episodes, +3 kg (compensated) 2 of 8 episodes." in told


def test_robots_that_did_not_stand_up_are_told_of(setup, ran, monkeypatch):
    def crouching(job):
        done = {"success": True, "cause": "reached the goal", "seconds": 6.0, "error": 0.2, "torque": 5.0}
        down = {**done, "success": False, "cause": "stand_up did not get there: RL_calf_joint is 0.81 rad off"}
        return [down if job.way.name == "vanilla" and job.condition == "+3 kg" else done] * EPISODES

    monkeypatch.setattr(evaluation_run, "run_round", crouching)
    list(run(setup))
    told = evaluation_tables.markdown({"rows": rows(setup)})
    assert next(r for r in rows(setup) if r["not_standing"])["falls_per_minute"] == 0.0
    assert told.endswith("did not stand up before the climb: +3 kg, vanilla 16 of 16 episodes.")
    assert told.count("| 0 (0–32) † |") == 2 and told.count("†") == 3


def test_a_robot_softer_than_any_in_training_stands_up_from_the_pose_in_which_trials_begin():
    control = Controller(SPEC, config=ControllerConfig(command_dt=COMMAND_DT))
    robot = FieldRobot(SPEC, CONDITIONS["Kp x0.5"], lying=False, seed=4, command_dt=COMMAND_DT)

    def operator(control, state):
        ended = control.fault or control.state == "stand"
        return None if ended else Operator(event="stand_up" if control.state == "passive" else None)

    loop.run(control, robot, operator)
    assert control.state == "stand" and np.abs(control.target - robot.read().joint_position).max() < 0.3


@pytest.mark.parametrize("mode", ["vanilla", "multi"])
def test_with_corrected_gains_a_policy_is_given_the_nominal_context_and_compensated_its_own(mode):
    bank = load_bank(SHIPPED / "bank.safetensors", SPEC)
    one, other = bank.robot_contexts[:2].tolist()
    compensated = {"gains": [1.5, 1.2], "context": other}
    found = {"fault": "", "contexts": {"multi": {"20": one}}, "gains": {"multi": [1.25, 1.0]}}
    found["compensated"] = {"multi": compensated}

    def made(gains):
        way = next(way for way in MAIN if way.name == f"{mode}_{gains}")
        job = Job("go1", SHIPPED, way, "nominal", "flat", 0, 0, found)
        return job, make_controller(job, SPEC, OnnxPolicy.load(SHIPPED / f"{mode}.onnx", SPEC)).contexts

    job, contexts = made("gains")
    assert contexts.gains == Gains(1.25, 1.0) and np.allclose(contexts.robot, bank.nominal_robot)
    found["fault"] = "fell"
    assert missing(job) == "calibration: fell"
    job, contexts = made("compensated")
    assert contexts.gains == Gains(1.5, 1.2) and np.allclose(contexts.robot, other) and not missing(job)
    if mode == "multi":
        contexts = made("compensated_alone")[1]
        assert contexts.gains == Gains(1.5, 1.2) and np.allclose(contexts.robot, bank.nominal_robot)
        contexts = made("compensated_stranger")[1]
        assert contexts.gains == Gains(1.5, 1.2) and np.allclose(contexts.robot, bank.robot_contexts[29])
    found["compensated"]["multi"] = "fell as well"
    assert missing(job) == "calibration: fell as well"


def test_what_was_walked_is_kept_and_what_is_missing_is_walked(setup, monkeypatch):
    asked = []

    def calibrate(job):
        asked.append((sorted(job.wanted), sorted(job.compensated)))
        contexts = {learner: {f"{s:g}": "refused" for s in times} for learner, (_, times) in job.wanted.items()}
        made = {"fault": "", "contexts": contexts, "readings": {}, "gains": {}}
        return {**made, "compensated": dict.fromkeys(job.compensated, "refused")}

    monkeypatch.setattr("benchmarks.evaluation_run.calibrate", calibrate)
    by_name = {way.name: way for way in MAIN}
    for names in (["multi"], ["multi", "multi_compensated"], ["multi", "multi_compensated"]):
        ways = tuple(by_name[name] for name in names)
        list(run(replace(setup, ways=ways, conditions=("nominal",), terrains=("flat",), episodes=4)))
    assert asked == [(["multi"], []), ([], ["multi"])]
    kept = json.loads(next(setup.out.glob("contexts/*/*.json")).read_text())
    assert kept["contexts"]["multi"] == {"20": "refused"} and kept["compensated"] == {"multi": "refused"}


def test_readings_are_of_plain_walks_and_their_median_is_one(setup, ran):
    by_name = {way.name: way for way in MAIN}
    asked = replace(setup, ways=(by_name["multi_compensated"],), conditions=("nominal",), terrains=("flat",))
    list(run(asked))
    assert not evaluation_run.readings(asked)
    both = replace(asked, ways=(by_name["multi"],))
    list(run(both))
    (read,) = evaluation_run.readings(both)
    assert (read["walks"], read["failed"], len(read["read"]["payload"])) == (2, 0, 2)
    low, high = sorted(read["read"]["payload"])
    assert f"| {(low + high) / 2:.2f} ({low:.2f}–{high:.2f}) |" in evaluation_tables.read_from({"readings": [read]})


def test_every_round_keeps_the_commit_that_made_it(setup, ran):
    one = replace(setup, conditions=("nominal",), terrains=("flat",), episodes=4, commit="aaa")
    list(run(one))
    both = replace(one, episodes=8, commit="bbb")
    list(run(both))
    assert evaluation_run.commits(one) == ["aaa"] and evaluation_run.commits(both) == ["aaa", "bbb"]
    for path in setup.out.glob("cells/*.json"):
        path.write_text(
            json.dumps({key: part for key, part in json.loads(path.read_text()).items() if key != "commits"})
        )
    assert evaluation_run.commits(both) == ["unknown"]


def test_cells_of_other_models_are_refused(setup, ran, tmp_path):
    list(run(setup))
    with pytest.raises(ValueError, match="give another --out"):
        list(run(replace(setup, seed=1)))


def test_contexts_of_other_models_are_refused(setup, ran, tmp_path):
    def evaluate_(seed, *terrains):
        list(run(replace(setup, seed=seed, terrains=terrains, episodes=4)))

    evaluate_(0, "flat")
    evaluate_(0, "stairs_13cm")
    with pytest.raises(ValueError, match=r"contexts of other models or another seed: give another --out"):
        evaluate_(1, "stairs_15cm")
    file = next(setup.out.glob("contexts/*/*.json"))
    file.write_text(json.dumps({key: part for key, part in json.loads(file.read_text()).items() if key != "origin"}))
    with pytest.raises(ValueError, match="contexts of other models"):
        evaluate_(0, "stairs_17cm")


def test_a_second_run_with_another_seed_is_compared_by_intervals(setup, ran):
    list(run(setup))
    pairs = list(verify(setup, 3))
    assert len(pairs) == 3 and all(pair["agrees"] for pair in pairs)
    assert {pair["second"]["seed"] for pair in pairs} == {1} and pairs[0]["second"]["episodes"] == 8


def test_the_command_writes_table_figure_and_report(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.context_use.use", lambda *_: {"mode": "multi", "robots": 0.1, "terrains": {}, "factors": {}}
    )
    out, figures = tmp_path / "out", tmp_path / "ood.json"
    evaluate.main(["--out", str(out), "--json", str(figures), "--episodes", "4", "--verify", "1", "--workers", "1"])
    held = json.loads(figures.read_text())
    row = held["rows"][0]
    assert {"robot", "mode", "condition", "terrain", "successes", "episodes", "seed"} <= set(row)
    assert len(held["rows"]) == len(WITHIN) * len(TERRAINS) * len(WAYS) and held["run"]["command"].startswith(
        "dmcm evaluate"
    )
    with (out / "ood.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(held["rows"])
    assert (out / "ood.png").stat().st_size > 10_000 and "Which policy climbs" in (out / "report.html").read_text()
    for show in evaluation_tables.FROM_RESULTS.values():
        assert "|" in show(held)
    for show in evaluation_tables.UPDATED.values():
        assert "|" in show([held, held])


def test_policies_that_are_evaluated_anew_replace_what_they_were():
    def rows(episodes, *modes):
        return {"rows": [{"mode": mode, "episodes": episodes} for mode in modes]}

    before = rows(1, "vanilla", "multi", "multi_gains", "vanilla_compensated")
    found = evaluation_tables.updated([before, rows(2, "multi_compensated"), rows(3, "multi")])
    got = [(row["mode"], row["episodes"]) for row in found]
    assert got == [("vanilla", 1), ("vanilla_compensated", 1), ("multi", 3), ("multi_compensated", 2)]
    assert len(evaluation_tables.updated([before])) == 4


@pytest.mark.parametrize(
    "words", [["--ways", "magic"], ["--conditions", "+9 kg"], ["--terrains", "ice"], ["--episodes", "0"]]
)
def test_what_there_is_not_is_said(tmp_path, words):
    with pytest.raises(ValueError, match=words[0]):
        evaluate.main(["--out", str(tmp_path), *words])


def test_robots_beyond_the_ranges_are_outside_of_what_any_policy_trained_on():
    rows = np.array([factors.as_array() for factors in BEYOND.values()])
    assert not within(WIDE, rows[:3]).any() and rows[3][list(WEAK_LEGS)].max() == WIDE.weak_leg[0]
    inside = np.array([factors.as_array() for factors in WITHIN.values()])
    assert within(WIDE, inside).all()


def test_policies_that_are_not_there_are_left_out(tmp_path):
    found, left = available(SHIPPED, STUDIES["main"][0])
    assert [way.name for way in found] == [way.name for way in WAYS] and left["single"].endswith("single.onnx")
    with pytest.raises(FileNotFoundError, match="no policy to evaluate"):
        available(tmp_path, STUDIES["main"][0])


def test_all_ways_face_the_same_courses_and_each_seed_another():
    for terrain in TERRAINS:
        assert course(terrain, 3) == course(terrain, 3) and course(terrain, 3) != course(terrain, 4)
    assert len(course("rough", 0).boxes) > 100 and not course("flat", 0).boxes


def test_contexts_are_those_of_the_ground_or_of_the_way():
    bank = load_bank(SHIPPED / "bank.safetensors", SPEC)
    own, flat = Way("a", "multi"), Way("b", "multi", terrain="flat")
    assert [context_name(bank, own, t) for t in ("flat", "rough", "stairs_17cm")] == ["flat", "rough_3", "stairs_13cm"]
    assert context_name(bank, flat, "stairs_17cm") == "flat"


def test_the_oracles_bank_holds_the_truth():
    bank = true_bank(CONDITIONS["+1.5 kg"])
    assert bank.nominal_robot[0] == pytest.approx(0.5) and not bank.nominal_robot[1:].any()
    assert bank.terrain("stairs_17cm")[-1] == pytest.approx(1.0) and set(bank.terrains) == set(TERRAINS)


def test_a_job_gets_the_context_of_its_seconds():
    contexts = {"fault": "", "contexts": {"multi": {"5": [0.1] * 8, "20": "the walk's end ..."}}}
    job = Job("go1", SHIPPED, Way("multi_5s", "multi", "adapted", 5.0), "nominal", "stairs_13cm", 0, 0, contexts)
    made = make_controller(job, SPEC, OnnxPolicy.load(SHIPPED / "multi.onnx", SPEC))
    assert np.allclose(made.contexts.robot, 0.1) and made.contexts.terrain_name == "stairs_13cm"
    late = replace(job, way=Way("multi", "multi", "adapted", 20.0))
    assert missing(late).startswith("calibration: the walk's end") and not run_round(late)[0]["success"]


def test_a_round_on_flat_ground_is_walked(monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.EPISODES", 1)
    job = Job("go1", SHIPPED, Way("vanilla", "vanilla"), "nominal", "flat", 0, 0, {})
    (found,) = run_round(job)
    assert found["success"] and 5.0 < found["seconds"] < 20.0 and found["error"] < 0.4 and 1.0 < found["torque"] < 20.0
    assert run_round(job) == [found]


def test_out_is_a_folder_of_plain_names(setup):
    assert all(
        Path(cell.path(setup.out)).name.isascii() and " " not in cell.path(setup.out).name for cell in setup.cells
    )
