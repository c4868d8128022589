"""The page of an adaptation: what it says, and that it says it of the log and the models that were used."""

import dataclasses
import re

import pytest

import calibration
from calibration import report_page
from calibration.quality import Check
from cli.main import main


@pytest.fixture
def adapted(bench, bag, tmp_path):
    """Return a log and what was found in it."""
    log = bag()
    return log, calibration.run(log, "go1", tmp_path / "context.json", bench.models, command="dmcm adapt <log>")


@pytest.fixture
def write(bench, adapted, tmp_path):
    """Return a function that returns the page's text, after changes to the result."""

    def written(**changes):
        log, result = adapted
        page = report_page.write(tmp_path / "page.html", dataclasses.replace(result, **changes), log, bench.models)
        return page.read_text()

    return written


def test_the_page_says_what_was_read_and_how_well_it_predicts(write, adapted):
    text, (_, result) = write(), adapted
    error = result.context["error"]
    assert f"falls by {1 - error['after'] / error['before']:.0%}" in text and 'class="verdict good"' in text
    payload = next(r for r in result.context["readings"] if r["name"] == "payload")
    assert f"{payload['value']:.2f} kg" in text
    assert "Cannot be read from a context of this model: friction" in text
    assert text.count("<svg") >= 3 and "held out from here" in text and "dmcm adapt &lt;log&gt;" in text
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", text) and "<script" not in text


def test_a_doubtful_log_is_said_in_the_verdict(write):
    text = write(checks=(Check("rate", "warn", "IMU 31 Hz"),))
    assert 'class="verdict fair"' in text and "Look at the log&#x27;s checks: rate" in text
    assert '<td class="warn">rate</td>' in text


def test_a_nominal_robot_is_called_nominal(write, adapted):
    text = write(context={**adapted[1].context, "nominal": True})
    assert "keeps that context" in text and 'class="verdict plain"' in text


def test_readings_stand_from_what_matters_most_to_what_matters_least():
    def of(name, unit="x"):
        return {
            "name": name,
            "unit": unit,
            "value": 0.9,
            "spread": 0.01,
            "known": True,
            "median_error": 0.02,
            "r2": 0.9,
        }

    probes = [of("mine"), of("kd_strength"), of("kp_strength"), of("latency", "s")]
    context = {"readings": probes, "torque_readings": [of("leg_rr"), of("leg_fl"), of("kp_strength")]}
    chart, _, _, table = report_page.readings(context)
    names = re.findall(r">([^<>]+) \((torques|context)\)<", chart)
    stiffness = [("stiffness", "torques"), ("stiffness", "context")]
    legs = [("front left", "torques"), ("rear right", "torques")]
    assert names == [*stiffness, ("damping", "context"), *legs, ("mine", "context")]
    assert "900 ms" in table and "20 ms" in table


def test_the_command_writes_it(bench, bag, tmp_path, capsys):
    page = tmp_path / "adapt.html"
    words = ["adapt", str(bag()), "--out", str(tmp_path / "c.json"), "--model-dir", str(bench.models)]
    assert main([*words, "--report", str(page)]) == 0
    assert f"report: {page}" in capsys.readouterr().out and page.read_text().startswith("<!doctype html>")
    assert main([*words, "--report", str(tmp_path / "nowhere" / "x.html")]) == 1
    assert "there is no folder" in capsys.readouterr().err
