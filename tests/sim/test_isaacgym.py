"""Isaac Gym's worker on a stand-in for Isaac Gym (isaacgym_standin), and what is said when it cannot run."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rsl_rl")
import torch

import models
import robots
from policy import inference
from policy.config import PolicyConfig
from policy.train import newest_checkpoint, run
from robots import urdf
from sim import backends, mesh
from sim.config import CommandConfig, EnvConfig, TerrainConfig
from sim.env import QuadrupedEnv
from sim.factors import NUISANCE_COLUMNS, NUISANCE_NOMINAL, RobotFactors
from sim.isaacgym import process, worker
from sim.terrain import KINDS, TerrainWorld, tile_center

SPEC = robots.load("go1")
STANDIN = Path(__file__).parent / "isaacgym_standin"
PYTHON = Path(sys.executable)
FACTORS = [
    RobotFactors(),
    RobotFactors(payload=3.0, payload_y=0.05),
    RobotFactors(kp_scale=0.6),
    RobotFactors(latency=0.02),
    RobotFactors(torque_limit_scale=0.1),
    RobotFactors(joint_friction=0.5),
]

HANGS = "import os, time\nopen({0!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Isaac Gym exists for Linux only")


@pytest.fixture(scope="module")
def sims():
    """Return simulators by name, each of six robots on flat ground and stairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STANDIN))
        world = TerrainWorld(kinds=("flat", "stairs"))
        made = {name: backends.make(setup(name), SPEC, world) for name in ("mujoco", "isaacgym")}
        yield made
        made["isaacgym"].close()


def setup(name, **changes):
    """Return a configuration of robots that are told to walk forward."""
    terrain = TerrainConfig(shares={"flat": 0.5, "stairs": 0.5}, curriculum=False)
    ahead = CommandConfig(forward=(0.5, 0.5), sideways=(0, 0), turning=(0, 0), standing=0.0, terrain_forward=(0.5, 0.5))
    given = {"num_envs": 6, "threads": 1, "push_speed": 0.0, "seed": 3, **changes}
    return EnvConfig(sim=name, isaacgym_python=PYTHON, terrain=terrain, commands=ahead, **given)


def place(sim, kind="flat", level=0, factors=FACTORS, **nuisances):
    """Put the robots, with their factors, into the default pose on a tile's plateau; return the targets to stand."""
    everyone, count = torch.ones(6, dtype=torch.bool), len(factors)
    values = torch.from_numpy(NUISANCE_NOMINAL).float().repeat(count, 1)
    for name, value in nuisances.items():
        values[:, NUISANCE_COLUMNS[name]] = value
    sim.set_factors(everyone, torch.from_numpy(np.stack([f.as_array() for f in factors])).float(), values)
    xy = torch.tensor(tile_center(kind, level)).float().repeat(count, 1)
    height = sim.heights(xy[:, 0], xy[:, 1]) + SPEC.standing_height
    joints = torch.from_numpy(SPEC.default_position).float().repeat(count, 1)
    sim.reset(
        everyone, torch.cat([xy, height[:, None]], dim=1), torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1), joints
    )
    return joints


def test_factors_act_through_the_worker_as_they_do_in_the_reference(sims):
    """Weight, sag, torque limit and the first millimetres after a step in the targets agree."""
    weight, height, moved, torque = {}, {}, {}, {}
    for name, sim in sims.items():
        targets = place(sim)
        force = []
        for _ in range(60):
            sim.step(targets)
            force.append(sim.foot_force.sum(dim=1))
        weight[name], height[name] = torch.stack(force[30:]).mean(dim=0), sim.root_position[:, 2].clone()
        left = sim.foot_force[1, [0, 2]].sum() - sim.foot_force[1, [1, 3]].sum()
        assert left > 5.0
        before = sim.joint_position.clone()
        sim.step(targets + 0.2)
        moved[name], torque[name] = sim.joint_position - before, sim.joint_torque.abs().max(dim=1).values
    upright = [0, 1, 2, 3, 5]  # the robot with a tenth of the torque lies down
    expected = torch.tensor([SPEC.mass * 9.81, (SPEC.mass + 3.0) * 9.81])
    assert torch.allclose(weight["isaacgym"][:2], expected, rtol=0.02)
    assert torch.allclose(height["isaacgym"][upright], height["mujoco"][upright], atol=0.01)
    assert (moved["isaacgym"] - moved["mujoco"])[[0, 1, 2, 5]].abs().max() < 0.03
    assert moved["isaacgym"][3].abs().max() < 0.005  # 20 ms late
    assert torque["isaacgym"][4] <= 0.1 * SPEC.torque_limit.max() + 1e-4


def test_a_policy_walks_through_the_worker_as_fast_as_in_the_reference(sims):
    act = inference.load(models.path("go1") / "vanilla.onnx", SPEC)
    speed, torque = {}, {}
    for name, sim in sims.items():
        env = QuadrupedEnv(setup(name), SPEC, sim)
        kinds = np.full(6, KINDS.index("flat"))
        env.assign(kinds, np.zeros(6, int), np.tile(RobotFactors().as_array(), (6, 1)), np.full(6, 0.8))
        found = []
        for _ in range(150):
            _, _, done, _ = env.step(act(env.get_observations()))
            assert not done.any()
            found.append(torch.stack([env.base_linear_velocity[:, 0].mean(), sim.joint_torque.abs().mean()]))
        speed[name], torque[name] = torch.stack(found[50:]).mean(dim=0).tolist()
    assert speed["isaacgym"] > 0.4
    assert speed["isaacgym"] == pytest.approx(speed["mujoco"], rel=0.1)
    assert torque["isaacgym"] == pytest.approx(torque["mujoco"], rel=0.1)


def test_robots_stand_on_the_triangles_where_the_heights_say(sims):
    sim = sims["isaacgym"]
    targets = place(sim, "stairs", 5, [RobotFactors()] * 6)
    for _ in range(30):
        sim.step(targets)
    ground = sim.heights(sim.root_position[:, 0], sim.root_position[:, 1])
    assert (ground > 0.8).all() and not sim.diverged.any()
    assert torch.allclose(sim.foot_position[:, :, 2].mean(dim=1) - ground, torch.tensor(SPEC.foot_radius), atol=0.01)


def test_reset_and_push_reach_the_robots_that_are_meant_and_no_others(sims):
    sim = sims["isaacgym"]
    targets = place(sim, factors=[RobotFactors()] * 6)
    for _ in range(20):
        sim.step(targets)
    push = torch.zeros(6, 3)
    push[2, 0] = 1.0
    sim.push(push)
    one = torch.tensor([False, True, False, False, False, False])
    start = sim.root_position + torch.tensor([3.0, 0.0, 0.3])
    sim.reset(one, start, torch.tensor([[0.0, 0, 0, 1]]).repeat(6, 1), targets)
    assert torch.equal(sim.root_position[1], start[1])  # at once, as the environment looks at it before the next step
    sim.step(targets)
    assert sim.root_position[1, 2] > 0.4 and sim.root_quaternion[1, 3].abs() > 0.99
    assert sim.root_linear_velocity[2, 0] > 0.5
    assert sim.root_linear_velocity[[0, 3, 4, 5]].abs().max() < 0.1
    assert sim.root_linear_velocity[1, 2] == pytest.approx(-9.81 * 0.02, rel=0.1)


def test_the_terrain_as_triangles_is_the_terrain():
    world = TerrainWorld()
    vertices, faces = mesh.triangles(world)
    assert vertices[:, 2].min() > -1.0 and faces.max() == len(vertices) - 1
    boxes = sum(len(boxes) for boxes in world.tiles.values())
    fields = sum(2 * (f.shape[0] - 1) * (f.shape[1] - 1) for f in world.fields.values())
    assert len(faces) == 12 * boxes + fields
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    upward = normals[12 * boxes :, 2]
    assert (upward > 0).all()
    centers = corners[: 12 * boxes].reshape(-1, 12, 3, 3).mean(axis=(1, 2))
    outward = np.einsum(
        "bfi,bfi->bf",
        normals[: 12 * boxes].reshape(-1, 12, 3),
        corners[: 12 * boxes].reshape(-1, 12, 3, 3)[:, :, 0] - centers[:, None],
    )
    assert (outward > 0).all()


def test_the_urdf_for_a_simulator_weighs_what_the_robot_weighs():
    mujoco = pytest.importorskip("mujoco")
    text = urdf.simulated(SPEC).replace("</robot>", '<mujoco><compiler fusestatic="false"/></mujoco></robot>')
    model = mujoco.MjModel.from_xml_string(text)
    assert model.body_mass.sum() == pytest.approx(SPEC.mass + urdf.LIGHT, rel=1e-6)
    assert all(mass > 0 for mass in model.body_mass[1:])


def start(python=PYTHON):
    one = {"num_envs": 1, "device": "cpu", "threads": 1, "dt": 0.005, "substeps": 4, "max_delay": 6}
    return process.Worker(python, one, "<robot/>", (np.zeros((0, 3)), np.zeros((0, 3))))


def package(folder, text):
    """Write a package `isaacgym` that does what the text says when it is imported."""
    (folder / "isaacgym").mkdir()
    (folder / "isaacgym" / "__init__.py").write_text(text)
    return str(folder)


def test_no_interpreter_no_isaac_gym_and_a_new_python_are_told_apart(monkeypatch, tmp_path):
    monkeypatch.delenv("DMCM_ISAACGYM_PYTHON", raising=False)
    with pytest.raises(OSError, match=r"--env.isaacgym-python PATH or set DMCM_ISAACGYM_PYTHON"):
        process.interpreter(None)
    monkeypatch.setenv("DMCM_ISAACGYM_PYTHON", str(tmp_path / "python"))
    with pytest.raises(OSError, match=r"there is no interpreter at .*/python"):
        process.interpreter(None)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(OSError, match="has no Isaac Gym: install Preview 4 into it"):
        start()
    binding = "raise ImportError(\"No module named 'isaacgym._bindings.linux-x86_64.gym_311'\")"
    monkeypatch.setenv("PYTHONPATH", package(tmp_path, binding))
    with pytest.raises(OSError, match=r"is too new for Isaac Gym, which runs in Python 3\.6 to 3\.8"):
        start()


def test_another_version_of_the_protocol_is_refused_by_the_worker(monkeypatch):
    monkeypatch.setattr(worker, "VERSION", 2)
    with pytest.raises(
        OSError, match=r"the trainer speaks protocol 2 and the worker .*worker.py protocol 1: take both"
    ):
        start()


def test_a_program_that_is_no_python_and_one_that_dies_are_reported_with_their_last_words(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho libpython3.8.so.1.0: cannot open shared object file >&2\nexit 127\n")
    script.chmod(0o755)
    with pytest.raises(
        OSError, match=r"did not start \(exit code 127\): libpython3.8.so.1.0: cannot open shared object"
    ):
        start(script)


def test_a_worker_that_hangs_is_given_up_and_ended(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", package(tmp_path, HANGS.format(str(tmp_path / "pid"))))
    monkeypatch.setattr(process, "START_SECONDS", 1.0)
    monkeypatch.setattr(process, "END_SECONDS", 0.2)
    with pytest.raises(OSError, match="gave no answer for 1 s"):
        start()
    assert not alive(int((tmp_path / "pid").read_text()))


def test_the_worker_dies_with_its_trainer_even_while_it_hangs(monkeypatch, tmp_path):
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([package(tmp_path, HANGS.format(str(tmp_path / "pid"))), str(Path(__file__).parents[2])]),
    )
    trainer = "import sys; sys.path.insert(0, sys.argv[1]); import test_isaacgym_trainer"
    (tmp_path / "test_isaacgym_trainer.py").write_text(
        "import numpy as np, sys\nfrom pathlib import Path\nfrom sim.isaacgym.process import Worker\n"
        "none = np.zeros((0, 3))\nWorker(Path(sys.executable), {'num_envs': 1}, '', (none, none))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", trainer, str(tmp_path)])
    assert eventually((tmp_path / "pid").exists, 20) and eventually(lambda: (tmp_path / "pid").read_text(), 5)
    parent.kill()
    parent.wait()
    child = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not alive(child), 5)


def test_killing_the_worker_ends_training_at_once_with_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    killed = []
    step = process.Worker.step

    def kill_later(self):
        step(self)
        killed.append(time.monotonic())
        if len(killed) == 24 + 3:  # in the second rollout
            os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(process.Worker, "step", kill_later)
    config = PolicyConfig(run=tmp_path / "run", samples=1e6, torch_threads=1, env=setup("isaacgym", num_envs=2))
    config.env.terrain.shares = {"flat": 1.0}
    with pytest.raises(
        OSError, match=r"died \(killed by SIGKILL\).*; what was learned is in .*model_48.pt: go on with"
    ):
        run(config)
    assert time.monotonic() - killed[-1] < 10
    assert torch.load(newest_checkpoint(tmp_path / "run"), weights_only=True)["iteration"] == 1


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def eventually(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_the_worker_is_python_3_8_and_imports_only_what_isaac_gym_has():
    source = Path(worker.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    named = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    named |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named - set(sys.stdlib_module_names) == {"isaacgym", "torch", "numpy"}


def test_the_standin_has_the_calls_that_the_worker_makes_and_no_others():
    used = set(re.findall(r"\bgym\.([a-z_]+)\(", Path(worker.__file__).read_text()))
    tree = ast.parse((STANDIN / "isaacgym" / "gymapi.py").read_text())
    (gym,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Gym")
    assert used == {node.name for node in gym.body if isinstance(node, ast.FunctionDef)}


def test_a_gpu_that_torch_does_not_see_is_an_error_only_where_it_was_asked_for():
    blind, seeing = (
        SimpleNamespace(__version__="2.4", cuda=SimpleNamespace(is_available=lambda found=found: found))
        for found in (False, True)
    )
    assert [worker.choose_device(blind, wanted) for wanted in ("auto", "cpu")] == ["cpu", "cpu"]
    assert [worker.choose_device(seeing, wanted) for wanted in ("auto", "cpu", "cuda:1")] == ["cuda:0", "cpu", "cuda:1"]
    with pytest.raises(RuntimeError, match="sees no GPU: install a torch that knows this GPU"):
        worker.choose_device(blind, "cuda:0")
