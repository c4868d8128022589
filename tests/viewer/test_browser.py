"""In a real browser: the page opens, the robot moves, sliders and buttons act, no complaint, nothing is fetched."""

import threading
import time

import numpy as np
import pytest

from viewer.bench import _walk, find_browser
from viewer.page import Pose, document, write

if find_browser() is None:
    pytest.skip("no chromium to look with", allow_module_level=True)
pytest.importorskip("torch")
pytest.importorskip("mujoco")

from tests.viewer.chromium import Chromium

CANVAS = "document.querySelector('canvas') !== null"
TYPE = """(label, value) => {
  const row = [...document.querySelectorAll('label')].find(l => l.textContent === label).closest('div');
  let box = row; while (!box.querySelector('input.mantine-NumberInput-input')) box = box.parentElement;
  const input = box.querySelector('input.mantine-NumberInput-input');
  input.focus();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
  input.dispatchEvent(new Event('input', {bubbles: true}));
  input.blur();
  return true;
}"""
PRESS = """(name) => {
  [...document.querySelectorAll('button')].find(b => b.textContent.trim() === name).click();
  return true;
}"""


def _until(condition):
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 60.0
        time.sleep(0.1)


def _moves(page):
    """Tell whether the middle of the page changes, which is where the robot is."""
    first = page.picture()
    height, width = first.shape[:2]
    middle = slice(height // 4, 3 * height // 4), slice(2 * width // 5, 3 * width // 5)
    begin = time.monotonic()
    while time.monotonic() - begin < 60.0:
        if np.abs(page.picture()[middle] - first[middle]).max() > 60:
            return True
    return False


@pytest.fixture
def simulation(server):
    from viewer.simulation import Simulation, SimulationConfig

    made, ended = Simulation(server, SimulationConfig(terrain="flat", level=0)), threading.Event()
    thread = threading.Thread(target=lambda: made.run(until=ended.is_set))
    thread.start()
    yield made
    ended.set()
    thread.join()


def test_the_simulation_in_a_browser(server, simulation):
    page = Chromium(f"http://127.0.0.1:{server.get_port()}")
    try:
        page.until(CANVAS)
        _until(server.get_clients)
        page.until("document.body.textContent.includes('stand still')")
        assert _moves(page)
        assert page.evaluate(f"({TYPE})('payload, kg', '2.5')")
        _until(lambda: simulation.hands.read().factors["payload"] == 2.5)
        _until(lambda: abs(float(simulation.env.factors[0, 0]) - 2.5) < 1e-6)
        assert page.evaluate(f"({PRESS})('stand still')")
        _until(lambda: simulation.hands.read().command == (0.0, 0.0, 0.0))
        assert page.evaluate(f"({PRESS})('push')")
        _until(lambda: simulation.hands._pushes == 1)
        assert page.errors == []
    finally:
        page.close()


def test_a_replay_opens_from_the_disk_without_network(tmp_path, spec):
    height, level = spec.standing_height, np.array([1.0, 0.0, 0.0, 0.0])
    poses = [
        Pose(np.array([0.0, 0.0, height + 0.1 * np.sin(i / 5)]), level, q) for i, q in enumerate(_walk(spec, 3.0)[::2])
    ]
    path = write(tmp_path / "replay.html", document(spec, poses))
    page = Chromium(path.as_uri())
    try:
        page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        page.until(CANVAS)
        assert _moves(page)
        assert page.errors == []
        assert not [url for url in page.requests if url.startswith(("http", "ws"))]
    finally:
        page.close()
