"""Whatever a file holds, reading it gives a value of the kind asked for, or one sentence."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.fields import ArtifactError, Fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


def refused(read):
    """Return whether reading is refused, in a sentence that names the file."""
    try:
        read()
    except ArtifactError as error:
        assert str(error).startswith("file.json: ") and len(str(error)) > 20
        return True
    return False


@settings(max_examples=2000, deadline=None)
@given(content=JSON)
def test_any_json_in_a_field(content):
    fields = Fields(json.dumps({"x": content}), "file.json")
    assert refused(lambda: fields.text("x")) != isinstance(content, str)
    whole = isinstance(content, int) and not isinstance(content, bool)
    assert refused(lambda: fields.integer("x")) != whole
    if not refused(lambda: fields.number("x")):
        assert np.isfinite(fields.number("x"))
    if not refused(lambda: fields.array("x", (None,))):
        assert fields.array("x", (None,)).ndim == 1 and np.isfinite(fields.array("x", (None,))).all()
    assert refused(lambda: fields.get("x.a")) != (isinstance(content, dict) and "a" in content)


@settings(max_examples=1500, deadline=None)
@given(content=st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes(content):
    refused(lambda: Fields(content, "file.json").get("x"))
