import csv
import json
import math
import os
import signal
import threading

import pytest
import torch

from dynamics_model import sine_benchmark, sine_report
from dynamics_model.chains import stream_losses
from dynamics_model.sine import BLOCK_25, NONE, Exclusion, SineTasks, sine
from dynamics_model.sine_benchmark import SineConfig, Training, clip, dmcm, run
from dynamics_model.sine_metrics import STEPS, measure, rows


def test_the_sine_is_the_one_of_the_specification():
    y = sine(torch.tensor([1.0, 0.5]), torch.tensor([[0.3]]))
    assert float(y) == pytest.approx(5.0 * math.sin(0.3 - math.pi / 2), abs=1e-6)
    assert float(sine(torch.tensor([0.0, 0.0]), torch.tensor([[1.0]]))) == pytest.approx(0.1 * math.sin(1.0))


@pytest.mark.parametrize("kind", ["block", "range"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
def test_exclusions_leave_out_their_share_and_nothing_of_it_is_drawn(kind, share):
    torch.manual_seed(0)
    exclusion = Exclusion(kind, share)
    corner = torch.tensor(exclusion.corner)
    assert float(torch.prod(1 - corner)) == pytest.approx(share)
    tasks = SineTasks([NONE, exclusion])
    drawn = tasks.draw(20000)
    changed = tasks.change(drawn, torch.randint(2, (2, 20000)))
    for factors in (drawn, changed):
        assert bool(tasks.allowed(factors).all()) and 0 <= float(factors.min()) and float(factors.max()) <= 1
    uniform = torch.rand(200000, 2)
    left = uniform[(uniform <= corner).any(-1)]
    for part in (drawn[1], changed[1]):
        torch.testing.assert_close(part.mean(0), left.mean(0), atol=0.02, rtol=0)
        torch.testing.assert_close(part.var(0), left.var(0), atol=0.01, rtol=0)
    assert bool((tasks.draw_excluded(100)[1] >= corner).all())


def test_correlated_factors_stay_within_the_band():
    tasks = SineTasks([NONE], band=0.3)
    factors = tasks.draw(5000)
    for _ in range(3):
        factors = tasks.change(factors, torch.randint(2, factors.shape[:-1]))
        assert float((factors[..., 0] - factors[..., 1]).abs().max()) <= 0.3 + 1e-6
        assert bool(tasks.allowed(factors).all())


def test_recombined_tasks_that_are_left_out_do_not_train():
    tasks = SineTasks([BLOCK_25])
    factors = torch.tensor([[[0.9, 0.9], [0.9, 0.1]]])
    assert tasks.sample(factors, "query").weight[0, :, 0].tolist() == [0.0, 1.0]
    assert tasks.sample(factors[:, 1:], "query").weight is None


def test_swaps_are_measured_on_what_they_say():
    class Oracle(sine_benchmark.ContextLearner):
        """Knows the factors: contexts are read off the support, and the network is the sine itself."""

        def begin(self, given, support):
            slope = support.y[..., 0] / torch.sin(support.x[..., 0] - math.pi / 4)
            return (torch.stack([slope.mean(-1), support.x[..., 0, 0] * 0], -1),)

        def path(self, support, steps, **options):
            factors = SineMemory.factors
            yield from [factors.pop(0)] * (steps + 1)

    class SineMemory(SineTasks):
        factors: list = []  # noqa: RUF012

        def sample(self, factors, part):
            self.factors.append(factors)
            return super().sample(factors, part)

    from dynamics_model import sine_metrics

    network = torch.nn.Module()
    network.forward = lambda x, context: sine(context, x)
    network.p = torch.nn.Parameter(torch.zeros(1))
    oracle = Oracle(network, {"amplitude": 1, "phase": 1}, models=3)
    exclusions = [NONE, BLOCK_25, Exclusion("range", 0.25)]
    tasks = SineMemory(exclusions)
    for name, target in (("id", tasks.draw(50)), ("ood", tasks.draw_excluded(50))):
        found = dict(sine_metrics._swaps(oracle, tasks, target, name))
        start = 1 if name == "ood" else 0  # nothing is left out of the first
        assert float(found[f"swap_{name}", 3][start:].max()) < 1e-9
        assert float(found[f"unswapped_{name}", 3][start:].mean()) > 0.5
        if name == "id":
            assert float(found["phase_still", 3].max()) == 0 == float(found["amplitude_still", 3].max())
            assert float(found["phase_moved", 3].mean()) > 0.1 < float(found["amplitude_moved", 3].mean())


def test_rows_average_over_tasks_then_seeds():
    found = {("id", 3): torch.tensor([[1.0, 3.0], [2.0, 4.0], [5.0, 5.0]]), ("ood", 3): torch.ones(3, 2)}
    made = {(r["exclusion"], r["metric"]): r for r in rows("m", found, [NONE, NONE, BLOCK_25])}
    assert ("none", "ood") not in made and made["none", "id"]["mean"] == 2.5 and made["none", "id"]["seeds"] == 2
    assert made["none", "id"]["ci95"] == pytest.approx(12.706 * math.sqrt(0.5) / math.sqrt(2))
    assert made["block 25", "id"]["ci95"] == 0.0 and made["block 25", "ood"]["mean"] == 1.0


def test_the_gradient_of_a_model_is_clipped_by_itself():
    net = torch.nn.Linear(2, 2, bias=False)
    net.weight.grad = torch.tensor([[30.0, 40.0], [0.3, 0.4]])
    clip(net, 10.0)
    torch.testing.assert_close(net.weight.grad, torch.tensor([[6.0, 8.0], [0.3, 0.4]]))
    net.weight.grad = torch.tensor([[math.nan, 1.0], [0.3, math.inf]])
    clip(net, 10.0)
    assert net.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.fixture(autouse=True)
def one_stack(monkeypatch):
    monkeypatch.setattr(sine_benchmark, "SECOND", ())


def config(folder, **changes):
    base = {"seeds": 1, "iterations": 12, "tasks": 20, "methods": ("DMCM",), "quiet": True, "threads": 1}
    return SineConfig(out=folder, **(base | changes))


def test_training_lowers_the_error(tmp_path):
    torch.manual_seed(0)
    training = Training(config(tmp_path, iterations=100), "DMCM", dmcm(exclusions=(NONE,)))
    before = measure(training.learner, [NONE], 100)["id", 3].mean()
    for training.state["iteration"] in range(100):
        training.step()
    after = measure(training.learner, [NONE], 100)
    assert float(after["id", 3].mean()) < 0.9 * float(before)
    assert {s for m, s in after if m == "id"} == set(range(STEPS + 1))


def test_an_interrupted_run_continues_where_it_stopped(tmp_path):
    whole = run(config(tmp_path / "whole"))
    first = Training(config(tmp_path / "parts"), "DMCM", config(tmp_path).stacks()[0][1])
    for _ in range(5):
        first.step()
        first.state["iteration"] += 1
    first.save()
    resumed = run(config(tmp_path / "parts"))
    assert [(r["metric"], r["mean"]) for r in resumed["rows"]] == [(r["metric"], r["mean"]) for r in whole["rows"]]


def test_a_signal_stops_it_and_the_same_command_goes_on(tmp_path):
    options = config(tmp_path, iterations=100_000, checkpoint_seconds=0.0)
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    assert run(options) is None
    begun = Training(options, *options.stacks()[0])
    assert begun.state["iteration"] > 0 and begun.chain.state is not None
    parts, _ = stream_losses(begun.learner, begun.tasks, begun.method.chains(), begun.chain.state)
    assert math.isfinite(float(parts["query"].detach()))
    with pytest.raises(ValueError, match="trained with other options"):
        run(config(tmp_path, iterations=3))


def test_tables_and_figures_are_written(tmp_path):
    figures = json.loads(json.dumps(run(config(tmp_path, methods=("CAVIA", "DMCM")))))
    text = sine_report.markdown(figures)
    assert "Exclusion: block 25." in text and "| DMCM |" in text and "| 12 | 25 | 3 |" in text
    sine_report.write(figures, tmp_path)
    with (tmp_path / "sine.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(figures["rows"])
    for row in list(figures["rows"]):
        figures["rows"].append({**row, "exclusion": row["exclusion"].replace("25", "40")})
    sine_report.write(figures, tmp_path)
    for name in ("fits", "steps", "exclusions"):
        assert (tmp_path / f"sine_{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sine_benchmark.METHODS | sine_benchmark.ABLATIONS)
def test_every_method_takes_a_finite_step(tmp_path, name):
    method = (sine_benchmark.METHODS | sine_benchmark.ABLATIONS)[name]
    training = Training(config(tmp_path, iterations=100), name, method)
    before = [p.detach().clone() for p in training.learner.network.parameters()]
    losses = [float(training.step()) for _ in range(2)]
    assert all(map(math.isfinite, losses)) and training.method.chains().chains == 25
    after = training.learner.network.parameters()
    assert all(not torch.equal(a, b) and bool(b.isfinite().all()) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds: must be at least 1"),
        ({"methods": ("SGD",)}, "methods: unknown method 'SGD', choose"),
        ({"exclusions": ("half",)}, "exclusions: unknown exclusion 'half', choose from none, block 25"),
    ],
)
def test_bad_options_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(config(tmp_path, **changes))
