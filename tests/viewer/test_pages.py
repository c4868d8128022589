"""What the pages hold, without a browser: jumps in a log, the hands on a simulation, a page on the disk."""

import re
import socket

import numpy as np
import pytest

import models
from viewer.knowledge import Knowledge
from viewer.log import load
from viewer.page import Pose, document, write
from viewer.replay import Replay
from viewer.server import open_page


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match=r"cannot serve on 127.0.0.1:.*in use.*another --port"):
            open_page("127.0.0.1", taken.getsockname()[1], "test")


def test_a_jump_shows_that_time(server, log, spec):
    recording = load(log)
    replay = Replay(server, recording, Knowledge(spec, models.path("go1")))
    replay.show(5.0)
    assert replay._slider.value == 5.0
    np.testing.assert_allclose(replay._panels._tracking[0]._handle.data[0][-1], 5.0, atol=0.021)
    trunk = replay._stage._robots[0].batched_positions[0] + replay._stage.origin
    np.testing.assert_allclose(trunk, recording.track["position"][recording.track.at(5.0)], atol=1e-5)
    assert "walk" in replay._status.content
    replay.show(99.0)
    assert replay.now == replay.end and "fault" in replay._status.content


def test_a_page_on_the_disk_holds_everything(tmp_path, spec):
    stand = np.concatenate([[0.0, 0.0, spec.standing_height], [1.0, 0.0, 0.0, 0.0], spec.default_position])
    poses = [Pose.of(stand + 0.01 * i * (np.arange(19) == 0)) for i in range(20)]
    path = write(tmp_path / "replay.html", document(spec, poses, payload=1.0))
    text = path.read_text(encoding="utf-8")
    assert "__VISER_EMBED_DATA__" in text and path.stat().st_size < 2e6
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?:", text)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_to_replay_is_one_sentence(spec):
    with pytest.raises(ValueError, match="nothing to replay"):
        document(spec, [])
