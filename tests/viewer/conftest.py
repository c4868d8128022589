"""A short log in the real format, for tests without a robot."""

from __future__ import annotations

from pathlib import Path

import pytest

import robots

pytest.importorskip("viser", reason="viser is not installed: pip install 'dmcm[view]'")


@pytest.fixture(scope="session")
def spec():
    return robots.load("go1")


@pytest.fixture(scope="session")
def log(tmp_path_factory, spec) -> Path:
    from viewer.bench import write_log

    folder = tmp_path_factory.mktemp("logs") / "walk"
    write_log(folder, spec, 8.0)
    return folder


@pytest.fixture
def server():
    from viewer.server import close, open_page

    made = open_page("127.0.0.1", 0, "test")
    yield made
    close(made)
