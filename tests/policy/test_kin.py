"""Kinds of terrain that a bank was not made for take the contexts of their kin."""

import numpy as np
import pytest

pytest.importorskip("torch")

import models
import robots
from policy.contexts import load_table
from sim import truth
from sim.terrain import KINDS, LEVELS, TERRAINS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if TERRAINS[kind].kin])
def test_the_shipped_bank_serves_kinds_that_it_does_not_know(kind):
    contexts = load_table(models.path("go1") / "bank.safetensors", robots.load("go1")).terrain_contexts
    kin = KINDS.index(TERRAINS[kind].kin)
    assert contexts.shape[:2] == (len(KINDS), LEVELS)
    assert np.array_equal(contexts[KINDS.index(kind)], contexts[kin]) and np.abs(contexts[kin]).max() > 0.0
    true = [truth.terrain_context(name, 3)[:-1] for name in (kind, TERRAINS[kind].kin)]
    assert np.array_equal(*true)


def test_the_true_contexts_are_as_large_as_those_that_policies_were_trained_on():
    assert truth.TERRAIN_SIZE == len(truth.terrain_context("gaps", 0)) == 6
