"""Bags of ROS 2 Humble and Jazzy in every storage and compression, and ten broken ones of each: one sentence."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import yaml

import robots
from calibration.errors import RefusedError
from calibration.read import _metadata as own_metadata
from calibration.read import read
from deploy.log import LogWriter

NAMES = robots.load("go1").joint_names
KINDS = [
    (distribution, storage, compression)
    for distribution in ("humble", "jazzy")
    for storage, compression in (
        *(("mcap", c) for c in ("none", "file", "message", "storage")),
        *(("sqlite3", c) for c in ("none", "file", "message")),
    )
]


def as_of(folder, distribution):
    """Turn a bag as Jazzy writes it into one as Humble does: metadata version 5, without what came later."""
    file = folder / "metadata.yaml"
    information = yaml.safe_load(file.read_text())["rosbag2_bagfile_information"]
    assert information["version"] == (9 if distribution == "jazzy" else 8)
    if distribution == "humble":
        information["version"] = 5
        for key in ("custom_data", "ros_distro"):
            information.pop(key, None)
        for topic in information["topics_with_message_count"]:
            topic["topic_metadata"].pop("type_description_hash", None)
        file.write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}))
    return folder


@pytest.fixture
def record(bench, tmp_path):
    def write(distribution, storage, compression, name="bag"):
        walk = bench.walk.rows(slice(0, 100))
        version = 9 if distribution == "jazzy" else 8
        options = {"storage": storage, "compression": compression, "version": version}
        return as_of(bench.tools.write_bag(tmp_path / name, walk, **options), distribution)

    return write


def data_file(folder):
    return next(p for p in folder.iterdir() if p.name != "metadata.yaml")


@pytest.mark.parametrize(("distribution", "storage", "compression"), KINDS)
def test_bags_of_humble_and_jazzy_are_read(bench, record, distribution, storage, compression):
    log = read(record(distribution, storage, compression), NAMES)
    np.testing.assert_array_equal(log.joints.values["position"], bench.walk.position[:100])
    np.testing.assert_array_equal(log.commands.values["position"], bench.walk.target[:100])


def cut(folder, share):
    file = data_file(folder)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])


def scribble(folder, first, last):
    content = bytearray(data_file(folder).read_bytes())
    low, high = int(first * len(content)), int(last * len(content))
    content[low:high] = np.random.default_rng(0).bytes(high - low)
    data_file(folder).write_bytes(content)


def metadata(folder, **changes):
    file = folder / "metadata.yaml"
    content = yaml.safe_load(file.read_text())
    content["rosbag2_bagfile_information"].update(changes)
    file.write_text(yaml.safe_dump(content))


BROKEN = {
    "empty file": lambda folder: data_file(folder).write_bytes(b""),
    "cut short": lambda folder: cut(folder, 0.6),
    "cut to a few bytes": lambda folder: cut(folder, 0.005),
    "head overwritten": lambda folder: scribble(folder, 0.0, 0.02),
    "all overwritten": lambda folder: scribble(folder, 0.0, 1.0),
    "file missing": lambda folder: data_file(folder).unlink(),
    "another file": lambda folder: data_file(folder).write_text("hello"),
    "metadata no yaml": lambda folder: (folder / "metadata.yaml").write_text("a: [b"),
    "metadata of the future": lambda folder: metadata(folder, version=99),
    "unknown compression": lambda folder: metadata(folder, compression_format="xz", compression_mode="FILE"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(("distribution", "storage", "compression"), KINDS)
def test_broken_bags_get_one_sentence(record, distribution, storage, compression, how):
    folder = record(distribution, storage, compression)
    BROKEN[how](folder)
    with pytest.raises((RefusedError, FileNotFoundError)) as refused:
        read(folder, NAMES)
    sentence = str(refused.value)
    assert "\n" not in sentence and str(folder) in sentence and len(sentence) < 400, sentence
    assert not hasattr(refused.value, "__notes__") and ":" in sentence


def test_a_flipped_bit_in_a_length_or_an_offset_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "log"
    with LogWriter(path, robots.load("go1"), {"robot": "go1"}):
        pass
    (file,) = path.glob("*.mcap")
    whole, refused = file.read_bytes(), 0
    for place in range(8, len(whole)):
        content = bytearray(whole)
        content[place] ^= 0x80
        file.write_bytes(content)
        try:
            own_metadata(path, path, {})
        except RefusedError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 50


ALL = {"compression_queue_size": 0}  # else ros2 drops messages that it is too slow to compress
CONVERTED = {
    "mcap": {"storage_id": "mcap"},
    "mcap_zstd_chunks": {"storage_id": "mcap", "storage_preset_profile": "zstd_fast"},
    "mcap_file": {"storage_id": "mcap", "compression_mode": "file", "compression_format": "zstd"},
    "mcap_message": {"storage_id": "mcap", "compression_mode": "message", "compression_format": "zstd", **ALL},
    "sqlite3": {"storage_id": "sqlite3"},
    "sqlite3_file": {"storage_id": "sqlite3", "compression_mode": "file", "compression_format": "zstd"},
    "sqlite3_message": {"storage_id": "sqlite3", "compression_mode": "message", "compression_format": "zstd", **ALL},
}


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 is not on the path")
@pytest.mark.parametrize("kind", [*CONVERTED, "mcap_lz4_chunks"])
def test_bags_that_ros2_itself_wrote(bench, record, tmp_path, kind):
    source = record("jazzy", "mcap", "none", "source")
    output = {"uri": str(tmp_path / "out"), "all_topics": True, **CONVERTED.get(kind, {"storage_id": "mcap"})}
    if kind == "mcap_lz4_chunks":
        (tmp_path / "storage.yaml").write_text("compression: Lz4\n")
        output["storage_config_uri"] = str(tmp_path / "storage.yaml")
    (tmp_path / "options.yaml").write_text(json.dumps({"output_bags": [output]}))
    command = ["ros2", "bag", "convert", "-i", str(source), "-o", str(tmp_path / "options.yaml")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    log = read(tmp_path / "out", NAMES)
    np.testing.assert_array_equal(log.joints.values["position"], bench.walk.position[:100])
