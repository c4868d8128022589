from itertools import pairwise

import pytest
import torch

from dynamics_model.chains import ChainConfig, chain_losses
from dynamics_model.meta import Batch, ContextLearner


class Affine(torch.nn.Module):
    """y = (w + first context) x + second context."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x, context):
        return (self.w + context[:, None, :1]) * x + context[:, None, 1:2]


class Net(torch.nn.Module):
    def __init__(self, inputs=1, context=5, hidden=8):
        super().__init__()
        self.first = torch.nn.Linear(inputs + context, hidden)
        self.last = torch.nn.Linear(hidden, 1)

    def forward(self, x, context):
        x = torch.cat([x, context[:, None].expand(-1, x.shape[1], -1)], -1)
        return self.last(torch.tanh(self.first(x)))


def support(batch=3, points=6, dtype=torch.float64):
    x = torch.randn(batch, points, 1, dtype=dtype)
    return Batch(x, torch.sin(x) + torch.randn(batch, 1, 1, dtype=dtype))


def learner(**options):
    torch.manual_seed(0)
    return ContextLearner(Net(), {"amplitude": 2, "phase": 3}, inner_rate=0.3, **options).double()


def test_one_step_is_what_one_writes_out_by_hand():
    net = Affine()
    meta = ContextLearner(net, {"slope": 1, "offset": 1}, inner_rate=0.1)
    x, y = torch.tensor([[[1.0], [2.0]]]).double(), torch.tensor([[[3.0], [4.0]]]).double()
    context = meta.adapt(Batch(x, y), 1)
    # Residuals w x - y = -2.5, -3; loss = mean of squares; d/dslope = -2.5 - 6 = -8.5; d/doffset = -5.5.
    torch.testing.assert_close(context, torch.tensor([[0.85, 0.55]], dtype=torch.float64), atol=1e-7, rtol=0)
    # slope after the step is w + 0.1 (11 - 5 w), so at x = 1 the prediction's derivative in w is
    # 1 - 0.1 (x1^2 + x2^2) - 0.1 (x1 + x2) = 0.2 with the second order, 1 without it.
    for second_order, expected in ((True, 0.2), (False, 1.0)):
        context = meta.adapt(Batch(x, y), 1, second_order=second_order)
        (slope,) = torch.autograd.grad(meta.predict(torch.ones(1, 1, 1).double(), context).sum(), net.w)
        assert float(slope) == pytest.approx(expected, abs=1e-6)


def test_second_order_gradients_of_weights_rates_and_start():
    meta = learner(learn_rate=True)
    data, query, given = support(), support(), torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    parameters = [p for p in meta.parameters()]

    def outer(start, *values):
        with torch.no_grad():
            for p, v in zip(parameters, values, strict=True):
                p.copy_(v)
        return meta.losses(query, meta.adapt(data, 2, given=start))

    values = [p.detach().clone() for p in parameters]
    loss = outer(given, *values).sum()
    found = torch.autograd.grad(loss, [given, *parameters])
    for which, gradient in enumerate(found):
        direction = torch.randn_like(gradient)
        sides = []
        for sign in (1, -1):
            moved = [given.detach(), *[v.clone() for v in values]]
            moved[which] = moved[which] + sign * 1e-6 * direction
            sides.append(float(outer(*moved).detach().sum()))
        numeric = (sides[0] - sides[1]) / 2e-6
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_gradcheck_through_the_inner_steps():
    meta, data, query = learner(), support(2, 4), support(2, 4)
    weight = meta.network.first.weight

    def outer(value):
        def forward(x, context):
            return torch.func.functional_call(Net().double(), {**rest, "first.weight": value}, (x, context))

        twin = ContextLearner(torch.nn.Identity(), meta.sizes, inner_rate=0.3).double()
        twin.network.forward = forward
        return twin.losses(query, twin.adapt(data, 2, only="phase"))

    rest = {name: p.detach() for name, p in meta.network.named_parameters()}
    assert torch.autograd.gradcheck(outer, (weight.detach().clone().requires_grad_(),), atol=1e-6)


def test_a_batch_of_tasks_adapts_like_each_task_alone():
    meta, data = learner(), support()
    together = meta.adapt(data, 3)
    for b in range(3):
        alone = meta.adapt(Batch(data.x[b : b + 1], data.y[b : b + 1]), 3)
        torch.testing.assert_close(together[b : b + 1], alone)


def test_only_the_named_context_moves_and_the_others_are_held():
    meta, data = learner(), support()
    held = torch.randn(3, dtype=torch.float64)
    context = meta.adapt(data, 2, only="amplitude", given={"phase": held})
    torch.testing.assert_close(meta.split(context)["phase"], held.expand(3, 3))
    assert bool((meta.split(context)["amplitude"] != 0).all())
    each = meta.adapt(data, 1, only=torch.tensor([0, 1, 0]))
    assert [bool((each[b, :2] != 0).any()) for b in range(3)] == [True, False, True]
    assert [bool((each[b, 2:] != 0).any()) for b in range(3)] == [False, True, False]


def test_sweeps_move_one_context_after_the_other():
    meta, data = learner(), support()
    path = list(meta.path(data, 2, sweep="alternate"))
    assert bool((path[1][:, 2:] == 0).all()) and bool((path[1][:, :2] != 0).all())
    torch.testing.assert_close(path[2][:, :2], path[1][:, :2])


def test_weights_leave_points_out():
    meta, data = learner(), support(2, 6)
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0]).double().expand(2, 6)
    spoiled = Batch(data.x, data.y + 100 * (1 - weight[..., None]), weight)
    torch.testing.assert_close(meta.adapt(spoiled, 2), meta.adapt(Batch(data.x[:, :4], data.y[:, :4]), 2))


def test_without_gradients_the_result_is_a_constant_of_the_same_value():
    meta, data = learner(learn_rate=True), support()
    with torch.no_grad():
        constant = meta.adapt(data, 2)
    assert not constant.requires_grad
    torch.testing.assert_close(constant, meta.adapt(data, 2).detach())
    assert all(p.grad is None for p in meta.parameters())


def test_recombination_takes_each_context_from_its_source():
    meta = learner()
    a, b = torch.ones(3, 5).double(), 2 * torch.ones(3, 5).double()
    assert meta.recombine({"amplitude": a, "phase": b})[0].tolist() == [1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d: m.adapt(d, only="frequency"), "only: unknown context 'frequency'"),
        (lambda m, d: m.adapt(d, given={"frequency": torch.zeros(2)}), "given: unknown context"),
        (lambda m, d: m.adapt(d, given={"phase": torch.zeros(2)}), r"given\['phase'\]: shape \(2,\)"),
        (lambda m, d: m.adapt(d, given=torch.zeros(4, 5)), "given: shape"),
        (lambda m, d: m.adapt(d, only=torch.ones(3, 4, dtype=torch.bool)), "only: a mask of 4"),
        (lambda m, d: m.adapt(d, steps=-1), "steps: must not be negative"),
        (lambda m, d: m.adapt(Batch(d.x, d.y * float("nan"))), "support.y: contains NaN"),
        (lambda m, d: m.adapt(Batch(d.x[:, :0], d.y[:, :0])), "support: holds no points"),
        (lambda m, d: m.adapt(Batch(d.x, d.y[:, 1:])), "support: x"),
        (lambda m, d: m.adapt(Batch(d.x, d.y, torch.ones(3, 2))), "support.weight: shape"),
        (lambda m, d: m.recombine({}), "sources: name at least one"),
        (lambda m, d: ContextLearner(Net(), {}), "contexts: need names"),
        (lambda m, d: ContextLearner(Net(), {"a": 0}), "contexts: need names"),
        (lambda m, d: ContextLearner(Net(), {"a": 1}, inner_rate=0), "inner_rate: must be positive"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(learner(), support())


class Lines:
    """Tasks y = slope x + offset."""

    def __init__(self, points=8):
        self.points, self.asked = points, []

    def draw(self, count):
        return torch.rand(count, 2) * 2 - 1

    def change(self, factors, which):
        return torch.where(torch.arange(2) == which[:, None], self.draw(len(factors)), factors)

    def sample(self, factors, part):
        self.asked.append((part, factors))
        x = torch.randn(len(factors), self.points if part == "support" else 8, 1)
        return Batch(x, factors[:, None, :1] * x + factors[:, None, 1:])


@pytest.mark.parametrize("contexts", [{"slope": 2, "offset": 2}, {"all": 4}])
def test_chains_learn_to_adapt(contexts):
    torch.manual_seed(0)
    meta = ContextLearner(Net(context=4, hidden=24), contexts, inner_rate=2.0, learn_rate=True)
    optimizer = torch.optim.Adam(meta.parameters(), 2e-2)
    config = ChainConfig(chains=16, length=2, recombination=0.5 if len(contexts) == 2 else 0.0)
    trace = []
    for _ in range(150):
        optimizer.zero_grad()
        parts = []
        for part in chain_losses(meta, Lines(), config):
            sum(part.values()).backward()
            parts.append(part["query"].detach())
        optimizer.step()
        trace.append(float(sum(parts)))
    assert sum(trace[-10:]) < 0.3 * sum(trace[:10])


def test_chains_change_one_factor_and_iid_order_all():
    for order, expected in (("sequential", 1), ("iid", 2)):
        tasks = Lines()
        meta = ContextLearner(Net(context=4), {"slope": 2, "offset": 2})
        config = ChainConfig(chains=4, length=3, order=order, recombination=0)
        list(chain_losses(meta, tasks, config))
        asked = [factors for part, factors in tasks.asked if part == "support"]
        for before, after in pairwise(asked):
            assert bool(((before != after).sum(1) == expected).all())


def test_warm_up_recombination_and_missing_data():
    meta = ContextLearner(Net(context=4), {"slope": 2, "offset": 2})
    parts = list(chain_losses(meta, Lines(), ChainConfig(chains=3, length=4, warm_up=1)))
    assert [sorted(p) for p in parts] == [["query", "recombination"]] * 3
    with pytest.raises(ValueError, match="warm_up: 4 of 4"):
        list(chain_losses(meta, Lines(), ChainConfig(length=4, warm_up=4)))
    with pytest.raises(ValueError, match="support: holds no points"):
        list(chain_losses(meta, Lines(points=0), ChainConfig()))
