"""Which factor changed, and how many there are, without labels."""

import pytest
import torch
from torch import Tensor, nn

from dynamics_model.discovery import Stream, agreement, changed, follow, number, stream_step, unexplained
from dynamics_model.discovery_benchmark import DiscoveryConfig, Sines, run
from dynamics_model.meta import Batch, ContextLearner


class Line(nn.Module):
    """y = φ₀ x + φ₁: contexts that are the factors."""

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return y."""
        return context[..., :1, None] * x + context[..., 1:2, None]


class Lines:
    """Tasks y = a x + b."""

    def draw(self, count: int) -> Tensor:
        """Return tasks."""
        return torch.rand(1, count, 2)

    def change(self, factors: Tensor, which: Tensor) -> Tensor:
        """Return tasks with one factor drawn anew."""
        return torch.where(torch.arange(2) == which[..., None], torch.rand_like(factors), factors)

    def sample(self, factors: Tensor, part: str) -> Batch:
        """Return points."""
        x = torch.linspace(-1, 1, 8)[:, None].expand(*factors.shape[:-1], 8, 1)
        return Batch(x, Line()(x, factors))


@pytest.fixture
def learner() -> ContextLearner:
    """Return a learner to which gradient descent tells the factors of a line exactly."""
    return ContextLearner(Line(), {"slope": 1, "height": 1}, inner_rate=0.5)


def test_only_the_context_that_changed_explains_both_tasks(learner: ContextLearner) -> None:
    tasks = Lines()
    before, now = torch.tensor([[[0.2, 0.3]]]), torch.tensor([[[0.2, 0.9]]])
    earlier, later = tasks.sample(before, "query"), tasks.sample(now, "query")
    losses = unexplained(learner, earlier, before, later, now)
    assert losses.shape == (1, 1, 2)
    assert losses[0, 0, 1] == pytest.approx(0.0, abs=1e-12)
    assert losses[0, 0, 0] == pytest.approx(0.36, rel=1e-5)
    assert changed(learner, earlier, before, later, now).item() == 1


def test_a_stream_is_followed(learner: ContextLearner) -> None:
    torch.manual_seed(0)
    found = follow(learner, Lines(), count=200, steps=20)
    assert agreement(found.chosen[0], found.true[0], 2, 2) > 0.97
    assert found.one.item() < 1e-3


def test_a_context_out_of_use_is_neither_moved_nor_chosen(learner: ContextLearner) -> None:
    active = torch.tensor([[[True, False]]])
    found = follow(learner, Lines(), count=50, active=active)
    assert (found.chosen == 0).all()
    _, stream = stream_step(learner, Lines(), 5, active=active)
    assert (stream.context[..., 1] == 0).all()


def test_a_step_trains_on_the_context_that_explains_best() -> None:
    learner = ContextLearner(Line(), {"slope": 1, "height": 1}, inner_rate=0.5, learn_rate=True)
    torch.manual_seed(0)
    parts, stream = stream_step(learner, Lines(), 6)
    assert set(parts) == {"query"} and isinstance(stream, Stream)
    torch.manual_seed(1)
    free, _ = stream_step(learner, Lines(), stream)
    torch.manual_seed(1)
    labelled, _ = stream_step(learner, Lines(), stream, labels=True)
    assert free["change"] <= labelled["change"]
    sum(free.values()).backward()
    assert learner.log_rate.grad.abs().min() > 0


@pytest.mark.parametrize(("errors", "expected"), [([1.0, 0.1, 0.09, 0.1], 2), ([1.0, 0.5, 0.1], 3), ([0.1, 0.2], 1)])
def test_the_number_is_the_smallest_that_explains_nearly_all(errors: list[float], expected: int) -> None:
    assert number(errors) == expected


def test_agreement_does_not_depend_on_the_contexts_names() -> None:
    true = torch.tensor([0, 0, 1, 1])
    assert agreement(1 - true, true, 2, 2) == 1.0
    assert agreement(torch.tensor([2, 2, 0, 1]), true, 3, 2) == 0.75
    assert agreement(torch.zeros(4, dtype=torch.long), true, 1, 2) == 0.5


def test_the_third_factor_is_the_frequency() -> None:
    torch.manual_seed(0)
    factors = torch.tensor([[[0.0, 0.0, 0.5]]])
    three, two = Sines(1, 3).sample(factors, "query"), Sines(1, 2).sample(factors[..., :2], "query")
    assert torch.allclose(three.y, 0.1 * torch.sin(three.x)) and torch.allclose(two.y, 0.1 * torch.sin(two.x))


def test_the_benchmark_gives_a_row_for_each_number_of_factors_and_seed() -> None:
    figures = run(DiscoveryConfig(contexts=2, seeds=2, iterations=2, changes=20))
    assert [(row["factors"], row["seed"]) for row in figures["rows"]] == [(2, 0), (2, 1), (3, 0), (3, 1)]
    assert all(1 <= row["discovered"] <= 2 for row in figures["rows"])
    with pytest.raises(ValueError, match="seeds"):
        DiscoveryConfig(seeds=0)
