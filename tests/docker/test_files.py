"""The container files: what they copy exists, and what they install is what pyproject.toml asks for."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
UBUNTU = {"20.04": (3, 8), "24.04": (3, 12)}  # its python3
SIM = (3, 11)  # the oldest Python that MuJoCo 4 has
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.defpath}")

pytestmark = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def instructions(file, name):
    """Return the arguments of every instruction of that name."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(encoding="utf-8"), flags=re.M).replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_what_is_copied_exists(file):
    for words in map(shlex.split, instructions(file, "COPY")):
        if not words[0].startswith("--from"):  # from elsewhere: the user's archive
            for source in words[:-1]:
                assert (ROOT / source).exists(), source


def test_every_package_gets_into_the_image(file):
    packaged = tomllib.loads(PYPROJECT)["tool"]["setuptools"]["packages"]["find"]["include"]
    rooms = {path.parent.name for name in packaged for path in ROOT.glob(f"{name}/__init__.py")}
    ignored = file.with_name(f"{file.name}.dockerignore").read_text(encoding="utf-8").split()
    assert {"robots", "reports", "cli"} <= rooms
    assert not [room for room in rooms for pattern in ignored if fnmatch(room, pattern.strip("/"))]


def test_extras_are_those_of_the_package(file):
    asked = re.findall(r"\.\[([a-z,]+)\]", "\n".join(instructions(file, "RUN")))
    known = re.findall(r"^([a-z]+) = \[", PYPROJECT.split("[project.optional-dependencies]")[1].split("\n[")[0], re.M)
    assert asked and {extra for names in asked for extra in names.split(",")} <= set(known)


def test_the_interpreter_is_new_enough_for_the_package_and_for_mujoco(file):
    oldest = tuple(map(int, re.search(r'requires-python = ">=(\d+)\.(\d+)"', PYPROJECT).groups()))
    (base,), runs = instructions(file, "FROM"), "\n".join(instructions(file, "RUN"))
    named = re.search(r"uv venv --python (\d+)\.(\d+)", runs)
    system = "24.04" if base.startswith("ros:jazzy") else re.search(r"ubuntu(\d\d\.\d\d)", base).group(1)
    version = tuple(map(int, named.groups())) if named else UBUNTU[system]
    assert version >= max(oldest, SIM)
    if file.stem == "isaacgym":
        assert UBUNTU[system] == (3, 8)
    if file.stem == "ros2":  # where `ros2` itself runs under the system's interpreter
        (made,) = re.findall(r"python3 -m venv --system-site-packages (\S+)", runs)
        assert f"PYTHONPATH={made}/lib/python{version[0]}.{version[1]}/site-packages" in instructions(file, "ENV")


def test_the_entry_point_is_there(file):
    (words,) = map(json.loads, instructions(file, "ENTRYPOINT"))
    if words[0].startswith("/dmcm/"):
        script = ROOT / words[0].removeprefix("/dmcm/")
        assert script.stat().st_mode & 0o100
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_compose_builds_it(file):
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    build = services[file.stem]["build"]
    assert (ROOT / "docker" / build["context"] / build["dockerfile"]).resolve() == file


def test_what_compose_mounts_is_in_a_clone_or_made_first(file):
    yaml = pytest.importorskip("yaml")
    compose, readme = (ROOT / "docker" / name for name in ("compose.yaml", "README.md"))
    volumes = yaml.safe_load(compose.read_text(encoding="utf-8"))["services"][file.stem]["volumes"]
    mounted = {Path(volume.split(":")[0]).name for volume in volumes}
    ignored = set(re.findall(r"^/(\w+)/$", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.M))
    made = set(re.findall(r"^mkdir -p (\w+)$", readme.read_text(encoding="utf-8"), re.M))
    assert "runs" in mounted and mounted & ignored <= made


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say(file):
    done = subprocess.run([HADOLINT, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
