"""Contexts that shift and scale layers, and rates that depend on the size of a task's outputs."""

import pytest
import torch

from dynamics_model.injection import ModulatedMLP
from dynamics_model.meta import Batch, ContextLearner
from dynamics_model.mlp import StackedMLP
from dynamics_model.scaled import FLOOR, ScaledLearner


def test_a_shift_of_the_first_layer_is_concatenation() -> None:
    torch.manual_seed(0)
    network, plain = ModulatedMLP(2, (8, 6), 3, (1, 2), 4, gains=()), StackedMLP(2, (8, 6), 3, 3, 4)
    with torch.no_grad():
        for layer in range(3):
            weight = network.weights[layer]
            joined = weight if layer else torch.cat([weight, network.shifts["0"]], -2)
            plain.weights[layer].copy_(joined)
            plain.biases[layer].copy_(network.biases[layer])
    x, context = torch.randn(4, 5, 7, 2), torch.randn(4, 5, 3)
    assert torch.allclose(network(x, context), plain(x, context), atol=1e-6)


def test_a_gain_of_the_last_layer_scales_the_output() -> None:
    network = ModulatedMLP(1, (8,), 1, (2, 3), shifts=(), gains=(-1,))
    x, context = torch.randn(5, 7, 1), torch.randn(5, 5)
    gain = 1 + context @ network.gains["1"]
    assert torch.allclose(network(x, context), network(x, 0 * context) * gain[:, None], atol=1e-6)


def test_stacked_models_are_alone() -> None:
    network = ModulatedMLP(1, (8,), 1, (2, 3), 2)
    x, context = torch.randn(2, 5, 7, 1), torch.randn(2, 5, 5)
    network(x, context)[0].sum().backward()
    assert all(p.grad[0].abs().sum() > 0 and (p.grad[1] == 0).all() for p in network.parameters())


def test_the_site_norm_counts_every_context_at_every_site() -> None:
    network = ModulatedMLP(1, (8,), 1, (2, 3), 2)
    sites = [*network.shifts.values(), *network.gains.values()]
    expected = sum(w[m, rows].norm().item() for w in sites for m in range(2) for rows in (slice(0, 2), slice(2, 5)))
    assert network.site_norm().item() == pytest.approx(expected, rel=1e-4)


def test_rates_fall_with_the_size_of_the_outputs() -> None:
    torch.manual_seed(0)
    network = ModulatedMLP(1, (8,), 1, (2, 3))
    scaled, plain = ScaledLearner(network, {"a": 2, "b": 3}), ContextLearner(network, {"a": 2, "b": 3})
    support = Batch(torch.randn(4, 6, 1), torch.randn(4, 6, 1) * torch.tensor([0.1, 1.0, 5.0, 20.0])[:, None, None])
    rate = 0.3 / (support.y.square().mean((1, 2)) + FLOOR).sqrt()
    expected = plain.adapt(support, 2, rate=rate[:, None])
    assert torch.allclose(scaled.adapt(support, 2), expected, atol=1e-6)
    scaled.losses(support, scaled.adapt(support, 2)).sum().backward()
    assert scaled.exponent.grad.abs().min() > 0 and scaled.log_rate.grad.abs().min() > 0
