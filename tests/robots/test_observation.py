import json
from functools import partial

import numpy as np
import pytest

from robots import observation
from robots.observation import PROPRIOCEPTION


def values(batch):
    generator = np.random.default_rng(0)
    return {term.name: generator.normal(size=(*batch, term.size)).astype(np.float32) for term in PROPRIOCEPTION}


def test_proprioception_is_the_deployable_45():
    assert observation.size(PROPRIOCEPTION) == len(observation.scales(PROPRIOCEPTION)) == 45
    assert not {"linear_velocity", "base_velocity"} & {term.name for term in PROPRIOCEPTION}


def test_terms_round_trip_through_json():
    written = json.loads(json.dumps(observation.as_metadata(PROPRIOCEPTION)))
    assert observation.from_metadata(written) == PROPRIOCEPTION


def test_a_term_with_the_wrong_number_of_scales_is_refused():
    written = observation.as_metadata(PROPRIOCEPTION)
    written[2]["scale"] = [2.0, 2.0]
    with pytest.raises(ValueError, match="'command' has 2 scales for 3 values"):
        observation.from_metadata(written)


def test_each_term_lies_where_its_order_says_and_is_scaled():
    read = values(())
    scale = np.array(observation.scales(PROPRIOCEPTION), np.float32)
    made = observation.assemble(PROPRIOCEPTION, read, scale, np.concatenate)
    start = 0
    for term in PROPRIOCEPTION:
        expected = read[term.name] * np.array(term.scale, np.float32)
        np.testing.assert_array_equal(made[start : start + term.size], expected)
        start += term.size
    assert start == made.size


@pytest.mark.parametrize("batch", [(), (7,)])
def test_numpy_and_torch_agree(batch):
    torch = pytest.importorskip("torch")
    read, scale = values(batch), np.array(observation.scales(PROPRIOCEPTION), np.float32)
    ours = observation.assemble(PROPRIOCEPTION, read, scale, partial(np.concatenate, axis=-1))
    theirs = observation.assemble(
        PROPRIOCEPTION,
        {name: torch.from_numpy(value) for name, value in read.items()},
        torch.from_numpy(scale),
        partial(torch.cat, dim=-1),
    )
    assert ours.shape == (*batch, 45)
    np.testing.assert_array_equal(ours, theirs.numpy())
