"""Who may import whom: the table of docs/architecture.md asserted over every file, and what loads without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"robots", "sim", "dynamics_model", "policy", "calibration", "deploy", "reports"}
ROOMS |= {"benchmarks", "cli", "models", "deploy_ros", "deploy_sim", "viewer"}
LEARNING = {"torch", "tensordict", "rsl_rl"}
WARP = {"mujoco_warp", "warp"}


@dataclass(frozen=True)
class Rule:
    """What the files of a room may import, besides the standard library and the room itself.

    Attributes:
        allowed: anywhere.
        lazy: only inside a function.
        only: only in files whose path in the room matches one of the patterns.
    """

    allowed: set[str] = field(default_factory=set)
    lazy: set[str] = field(default_factory=set)
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)


# The environment, what collects data from it, and the simulators' tensor views; terrain, scene and the simulated
# robot work without torch.
TENSORS = ("env.py", "batched.py", "contexts.py", "rewards.py", "curriculum.py", "collect.py", "simulator.py")
TENSORS += ("ground.py", "physical.py", "backends.py", "*_backend.py", "isaacgym/worker.py")
CLI_USES = {
    *(ROOMS - {"deploy_ros", "deploy_sim"}),
    "numpy",
    "torch",
    "mujoco",
    "matplotlib",
    "PIL",
    "onnxruntime",
    "rich",
}

RULES = {
    "robots": Rule({"numpy"}),
    "models": Rule(),
    "reports": Rule(),
    "deploy": Rule({"robots", "numpy", "onnxruntime", "rosbags", "safetensors"}, lazy={"cyclonedds"}),
    "calibration": Rule({"robots", "deploy", "reports", "numpy", "onnxruntime", "rosbags", "safetensors"}),
    "sim": Rule(
        {"robots", "numpy", "mujoco", "safetensors", "rich"},
        lazy={"matplotlib", "imageio", "isaacgym", "scipy"},
        only={**dict.fromkeys(LEARNING, TENSORS), **dict.fromkeys(WARP, ("warp_backend.py",))},
    ),
    "dynamics_model": Rule(
        {"robots", "numpy", "torch", "safetensors", "rich", "onnx", "onnxruntime"},
        lazy={"onnxscript", "tensorboard", "matplotlib"},
    ),
    "policy": Rule(
        {"robots", "models", "sim", "dynamics_model", "numpy", "rich", "safetensors", "onnx", "onnxruntime", *LEARNING},
        lazy={"mujoco", "yaml", "matplotlib"},
    ),
    "cli": Rule({"tyro"}, lazy=CLI_USES),
    "benchmarks": Rule(
        {"robots", "models", "deploy", "calibration", "reports", "sim", "cli", "numpy", "mujoco"},
        lazy={"torch", "dynamics_model", "PIL", "matplotlib"},
        only={"dynamics_model": ("tables.py", "bars.py"), **dict.fromkeys(("mjlab", "gymnasium"), ("peers.py",))},
    ),
    # The viewer shows the field side without torch; what simulates is one file.
    "viewer": Rule(
        {"robots", "models", "deploy", "calibration", "sim", "numpy", "viser", "trimesh"},
        lazy={"rosbags"},
        only={"torch": ("simulation.py",), "policy": ("simulation.py",)},
    ),
    "ros2_ws/src/deploy": Rule(
        {
            *{"robots", "models", "deploy", "calibration", "deploy_ros", "numpy"},
            *{"rclpy", "rosidl_runtime_py", "launch", "launch_ros", "ament_index_python", "setuptools"},
            *{"std_srvs", "geometry_msgs", "diagnostic_msgs", "lifecycle_msgs", "rcl_interfaces"},
        },
        lazy={"viewer"},
    ),
    # The simulated robot is made by `cli`, which alone may put rooms together: nothing in ros2_ws imports a simulator.
    "ros2_ws/src/deploy_sim": Rule(
        {"robots", "deploy", "cli", "deploy_ros", "deploy_sim", "numpy", "rclpy", "rosidl_runtime_py", "setuptools"}
    ),
}


def imports(tree: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool, int]]:
    """Yield (top-level package, inside a function, line) of every absolute import under `tree`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((name.name.split(".")[0], lazy, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0], lazy, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module"):
            named = node.args[0]
            start = named.values[0] if isinstance(named, ast.JoinedStr) else named
            if isinstance(start, ast.Constant):
                yield str(start.value).split(".")[0], True, node.lineno
        inside = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from imports(node, inside)


def violations(room: str, rule: Rule, name: str, source: str) -> list[str]:
    """Return what the file `name` of `room`, with the text `source`, imports against `rule`."""
    found = []
    for package, lazy, line in imports(ast.parse(source)):
        free = package in rule.allowed or package in sys.stdlib_module_names or package == room
        somewhere = any(fnmatch(name, pattern) for pattern in rule.only.get(package, ()))
        if not (free or somewhere or (lazy and package in rule.lazy)):
            found.append(f"{room}/{name}:{line} imports {package}" + (" (lazily)" if lazy else ""))
    return found


@pytest.mark.parametrize("room", RULES)
def test_rooms_import_only_what_they_may(room):
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        found += violations(room, RULES[room], str(path.relative_to(ROOT / room)), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("room", "name", "source", "guilty"),
    [
        ("robots", "a.py", "import torch", True),
        ("robots", "a.py", "import json\nimport numpy as np\nfrom robots.spec import Link", False),
        ("robots", "a.py", "def f():\n    from sim import terrain", True),
        ("deploy", "a.py", "import cyclonedds", True),
        ("deploy", "a.py", "def f():\n    import cyclonedds.domain", False),
        ("deploy", "a.py", "class A:\n    async def f(self):\n        import torch.nn", True),
        ("calibration", "a.py", "from importlib import import_module\nimport_module('torch.nn')", True),
        ("sim", "env.py", "import torch", False),
        ("sim", "terrain.py", "if True:\n    import torch", True),
        ("cli", "a.py", "import calibration", True),
        ("cli", "a.py", "def f():\n    import calibration", False),
    ],
)
def test_the_check_sees_what_it_should(room, name, source, guilty):
    assert bool(violations(room, RULES[room], name, source)) == guilty


def modules(room: str, besides: tuple[str, ...] = ()) -> list[str]:
    """Return the dotted names of the modules of `room` whose path in it matches none of `besides`."""
    paths = sorted((ROOT / room).rglob("*.py"))
    kept = [p for p in paths if not any(fnmatch(str(p.relative_to(ROOT / room)), pattern) for pattern in besides)]
    return [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in kept]


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (
            [name for room in ("robots", "deploy", "reports", "calibration", "cli") for name in modules(room)],
            [*LEARNING, "mujoco", "matplotlib", "onnx", "onnxscript", "cyclonedds"],
        ),
        (modules("sim", besides=TENSORS), [*LEARNING, "matplotlib", "onnx", "onnxscript"]),
    ],
    ids=["field side", "simulated robot"],
)
def test_loads_without(names, absent):
    code = (
        "import sys, importlib\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        f"for name in {names!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
