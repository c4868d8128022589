import pytest
import torch
from torch.func import functional_call

from dynamics_model.chains import ChainConfig, chain_losses, stream_losses
from dynamics_model.meta import Batch, ContextLearner
from dynamics_model.mlp import StackedMLP, affine
from dynamics_model.sine import BLOCK_25, NONE, SineTasks
from dynamics_model.weights import WeightLearner

HEAD = {"head": ["weights.1", "biases.1"]}


def support(*lead, points=6, dtype=torch.float64):
    x = torch.randn(*lead, points, 1, dtype=dtype)
    return Batch(x, torch.sin(x) + torch.randn(*lead, 1, 1, dtype=dtype))


def learners(models=None, hidden=(5,)):
    context = ContextLearner(StackedMLP(1, hidden, 1, 3, models), {"a": 1, "b": 2}, 0.3, learn_rate=True, models=models)
    maml = WeightLearner(StackedMLP(1, hidden, 1, 0, models), None, 0.1, learn_rate=True, models=models)
    anil = WeightLearner(StackedMLP(1, hidden, 1, 0, models), HEAD, 0.1, models=models)
    return {"dmcm": context, "maml": maml, "anil": anil}


@pytest.fixture(params=["dmcm", "maml", "anil"])
def kind(request):
    torch.manual_seed(0)
    return request.param


def test_one_step_of_maml_is_what_one_writes_out_by_hand():
    net = torch.nn.Linear(1, 1).double()
    with torch.no_grad():
        net.weight.fill_(0.5), net.bias.fill_(0.0)
    maml = WeightLearner(net, inner_rate=0.1).double()
    x, y = torch.tensor([[[1.0], [2.0]]]).double(), torch.tensor([[[3.0], [4.0]]]).double()
    # Residuals w x + b - y = -2.5, -3; loss = mean of squares; d/dw = -2.5 - 6 = -8.5; d/db = -5.5.
    adapted = maml.adapt(Batch(x, y), 1)
    assert float(adapted["weight"].detach()) == pytest.approx(0.5 + 0.85, abs=1e-6)
    assert float(adapted["bias"].detach()) == pytest.approx(0.55, abs=1e-6)
    # After the step w' = w + 0.1 (11 - 5 w - 3 b), b' = b + 0.1 (7 - 3 w - 2 b): d(w' + b')/dw = 1 - 0.5 - 0.3.
    for second_order, expected in ((True, 0.2), (False, 1.0)):
        adapted = maml.adapt(Batch(x, y), 1, second_order=second_order)
        (slope,) = torch.autograd.grad(maml.predict(torch.ones(1, 1, 1).double(), adapted).sum(), net.weight)
        assert float(slope) == pytest.approx(expected, abs=1e-6)


class Outer(torch.nn.Module):
    """The outer loss as a function of all parameters."""

    def __init__(self, learner, data, query):
        super().__init__()
        self.learner, self.data, self.query = learner, data, query

    def forward(self):
        return self.learner.losses(self.query, self.learner.adapt(self.data, 2)).sum()


def test_gradcheck_of_all_weights_and_rates_through_the_inner_steps(kind):
    learner = learners()[kind].double()
    outer = Outer(learner, support(2, points=4), support(2, points=4))
    names, values = zip(*outer.named_parameters(), strict=True)
    values = [v.detach().clone().requires_grad_(p.requires_grad) for v, p in zip(values, values, strict=True)]
    assert torch.autograd.gradcheck(lambda *v: functional_call(outer, dict(zip(names, v, strict=True)), ()), values)


def test_any_module_is_adapted_as_one_that_takes_stacked_weights():
    torch.manual_seed(0)
    stacked = learners()["maml"].double()
    linear = [torch.nn.Linear(1, 5), torch.nn.Linear(5, 1)]
    plain = WeightLearner(torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1]).double(), inner_rate=0.1).double()
    with torch.no_grad():
        for k, layer in enumerate(linear):
            layer.weight.copy_(stacked.network.weights[k].T), layer.bias.copy_(stacked.network.biases[k])
    data, query = support(3), support(3)
    losses = [m.losses(query, m.adapt(data, 2)) for m in (plain, stacked)]
    torch.testing.assert_close(*losses)
    losses[0].sum().backward(), losses[1].sum().backward()
    torch.testing.assert_close(linear[0].weight.grad.T, stacked.network.weights[0].grad)


def test_stacked_models_train_exactly_as_each_would_alone(kind):
    together, alone = learners(models=3)[kind].double(), [learners(models=1)[kind].double() for _ in range(3)]
    for m, single in enumerate(alone):
        single.load_state_dict({name: value[m : m + 1].clone() for name, value in together.state_dict().items()})
    config = ChainConfig(chains=4, restart=1.0, recombination=0.5)  # no draw depends on how many models there are

    def train(learner, models):
        tasks = Replay(models)
        optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
        state = None
        for _ in range(5):
            optimizer.zero_grad()
            parts, state = stream_losses(learner, tasks, config, state)
            sum(parts.values()).backward()
            optimizer.step()

    train(together, slice(0, 3))
    for m, single in enumerate(alone):
        train(single, slice(m, m + 1))
        for name, value in single.state_dict().items():
            torch.testing.assert_close(together.state_dict()[name][m : m + 1], value, msg=name)


class Replay:
    """Sine tasks of three models drawn beforehand, of which some models see their share."""

    def __init__(self, models):
        self.models, self.used = models, []
        self.all = SineTasks([NONE, BLOCK_25, NONE], dtype=torch.float64)

    def _shared(self, make):
        with torch.random.fork_rng():
            torch.manual_seed(1000 + len(self.used))
            self.used.append(None)
            return make()

    def draw(self, count):
        return self._shared(lambda: self.all.draw(count))[self.models]

    def change(self, factors, which):
        return self._shared(lambda: self.all.draw(factors.shape[1]))[self.models]

    def sample(self, factors, part):
        x = self._shared(lambda: torch.rand(3, factors.shape[1], 6, 1, dtype=torch.float64))[self.models]
        return Batch(x, factors[..., :1, None] * torch.sin(x))


def test_affine_maps_rows_with_the_weights_of_their_own_place():
    x = torch.randn(2, 3, 4, 5)
    for lead in ((), (2,), (2, 3)):
        weight, bias = torch.randn(*lead, 5, 6), torch.randn(*lead, 6)
        expanded = weight.reshape(*lead, *[1] * (2 - len(lead)), 5, 6)
        expected = x @ expanded + bias.reshape(*lead, *[1] * (3 - len(lead)), 6)
        torch.testing.assert_close(affine(x, weight, bias), expected)


def test_only_the_named_part_moves_and_parts_recombine():
    net = StackedMLP(1, (4,), 1)
    meta = WeightLearner(net, {"body": ["weights.0", "biases.0"], "head": ["weights.1", "biases.1"]})
    data = support(3, dtype=torch.float32)
    moved = meta.adapt(data, 2, only="head")
    torch.testing.assert_close(moved["weights.0"], net.weights[0].expand(3, 1, 4))
    assert bool((moved["weights.1"] != net.weights[1]).any())
    each = meta.adapt(data, 1, only=torch.tensor([0, 1, 0]))
    assert [bool((each["weights.0"][b] != net.weights[0]).any()) for b in range(3)] == [True, False, True]
    *_, last = meta.path(data, 2, sweep="alternate")
    assert bool((last["weights.0"] != net.weights[0]).any())
    other = meta.adapt(support(3, dtype=torch.float32), 2)
    put = meta.recombine({"body": other, "head": moved})
    assert put["weights.0"] is other["weights.0"] and put["weights.1"] is moved["weights.1"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d: WeightLearner(m.network, {"head": ["nothing"]}), "parts: no parameter begins like"),
        (lambda m, d: WeightLearner(m.network, inner_rate=0), "inner_rate: must be positive"),
        (lambda m, d: m.adapt(d, only="tail"), "only: unknown context 'tail'"),
        (lambda m, d: m.adapt(d, given={"tail": torch.zeros(1)}), "given: 'tail' is not adapted"),
        (lambda m, d: m.adapt(d, given={"weights.0": torch.zeros(2)}), r"given\['weights.0'\]: shape \(2,\)"),
        (lambda m, d: m.adapt(Batch(d.x, d.y * float("nan"))), "support.y: contains NaN"),
        (lambda m, d: m.recombine({}), "sources: name at least one"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(learners()["maml"].double(), support(3))


def test_a_batch_without_query_is_refused():
    class NoQuery(SineTasks):
        def sample(self, factors, part):
            data = super().sample(factors, part)
            return Batch(data.x[..., :0, :], data.y[..., :0, :]) if part == "query" else data

    learner = learners(models=1)["dmcm"]
    with pytest.raises(ValueError, match="query: holds no points"):
        stream_losses(learner, NoQuery([NONE]), ChainConfig())
    with pytest.raises(ValueError, match="query: holds no points"):
        list(chain_losses(learner, NoQuery([NONE]), ChainConfig()))


def test_streams_change_one_factor_and_move_its_context_alone():
    learner, tasks = learners(models=2)["dmcm"], SineTasks([NONE, BLOCK_25])
    config = ChainConfig(chains=50, restart=0.2)
    _, before = stream_losses(learner, tasks, config)
    parts, after = stream_losses(learner, tasks, config, before)
    assert sorted(parts) == ["query", "recombination"]
    changed = (before[0] != after[0]).sum(-1)
    assert 0.1 < float((changed == 2).float().mean()) < 0.35 and bool((changed >= 1).all())
    amplitude_only = (before[0][..., 0] != after[0][..., 0]) & (changed == 1)
    moved = before[1] != after[1]
    assert bool(moved[amplitude_only][:, 0].any()) and not bool(moved[amplitude_only][:, 1:].any())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gpu_gives_what_the_cpu_gives(kind, dtype):
    learner, data, query = learners()[kind].to(dtype), support(3, dtype=dtype), support(3, dtype=dtype)
    cpu = learner.losses(query, learner.adapt(data, 2)).detach()
    gpu = learner.cuda()
    moved = [Batch(b.x.cuda(), b.y.cuda()) for b in (data, query)]
    torch.testing.assert_close(gpu.losses(moved[1], gpu.adapt(moved[0], 2)).detach().cpu(), cpu, rtol=1e-4, atol=1e-5)
