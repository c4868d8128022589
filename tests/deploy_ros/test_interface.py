"""The tables agree with themselves, with the package's files and with the documentation."""

import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from deploy_ros import assembly, describe, interface

import robots

ROOT = Path(__file__).parents[2]
WORKSPACE = ROOT / "ros2_ws" / "src"
PACKAGE = WORKSPACE / "deploy"
SIMULATION = WORKSPACE / "deploy_sim"
MODULES = {PACKAGE: "deploy_ros", SIMULATION: "deploy_sim"}
SOURCES = sorted(path for package, module in MODULES.items() for path in (package / module).glob("*.py"))


def test_names_are_unique_and_parameters_keep_their_ranges():
    for driver in ("topics", "own"):
        names = [t.name for t in interface.PUBLISHED if t.driver in ("", driver)]
        assert len(set(names)) == len(names)
    names = [p.name for p in interface.PARAMETERS]
    assert len(set(names)) == len(names)
    for parameter in interface.PARAMETERS:
        assert parameter.text and (parameter.lower is None) == (parameter.upper is None)
        assert not parameter.choices or parameter.default in parameter.choices
        if parameter.lower is not None:
            assert parameter.lower <= parameter.default <= parameter.upper
    assert next(p for p in interface.PARAMETERS if p.name == "robot").choices == robots.NAMES


def test_types_of_our_own_exist_and_are_built():
    own = {t.type for t in (*interface.PUBLISHED, *interface.SERVICES, *interface.ACTIONS) if "deploy_msgs" in t.type}
    built = set(re.findall(r'"(\w+/\w+\.\w+)"', (WORKSPACE / "deploy_msgs" / "CMakeLists.txt").read_text()))
    for name in own:
        _, kind, message = name.split("/")
        assert f"{kind}/{message}.{kind}" in built
    assert len(own) == len(built) and all((WORKSPACE / "deploy_msgs" / name).is_file() for name in built)


def test_what_a_reader_asks_for_is_offered():
    offered = {t.name: t.qos for t in interface.PUBLISHED}
    assert offered["joint_commands"].reliable and not offered["joint_states"].reliable
    for topic in interface.SUBSCRIBED:
        assert not topic.qos.reliable and topic.qos.deadline is None and topic.qos.lease is None  # fits every publisher
    assert offered["joint_commands"].deadline < 0.5 and "deadline 100 ms" in offered["joint_commands"].text


def test_settings_of_the_shipped_configuration_are_parameters():
    text = (PACKAGE / "config" / "quadruped.yaml").read_text()
    named = re.findall(r"^    (\w+):", text, flags=re.MULTILINE)
    assert named and set(named) <= {p.name for p in interface.PARAMETERS}


def test_every_executable_has_its_module():
    names = set()
    for package, module in MODULES.items():
        for name, part in re.findall(rf'"(\w+) = {module}\.(\w+):main"', (package / "setup.py").read_text()):
            tree = ast.parse((package / module / f"{part}.py").read_text())
            assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
            names.add((package.name, name))
    assert {("deploy", "quadruped_controller"), ("deploy", "damp"), ("deploy_sim", "simulated_robot")} <= names


@pytest.mark.parametrize("package", MODULES, ids=lambda package: package.name)
def test_a_package_is_installed_under_its_own_name(package):
    assert ET.parse(package / "package.xml").getroot().findtext("name") == package.name
    assert f"lib/{package.name}\n" in (package / "setup.cfg").read_text()
    assert (package / "resource" / package.name).exists() and f'name="{package.name}"' in (
        package / "setup.py"
    ).read_text()


def test_packages_that_are_imported_are_declared():
    trees = [ET.parse(package / "package.xml").getroot() for package in MODULES]
    declared = {node.text for tree in trees for node in tree.iter() if "depend" in node.tag}
    used = set()
    for path in (*SOURCES, PACKAGE / "launch" / "quadruped.launch.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])
    ros = {
        name for name in used if name.endswith("_msgs") or name.endswith("_srvs") or name.startswith(("rcl", "launch"))
    }
    assert ros - {"rcl_interfaces"} <= declared


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_only_what_needs_rclpy_imports_it(path):
    nodes = {
        *("adapt_action", "damp", "declare", "jitter", "links", "node", "simulated_robot", "stopping", "teleop_key"),
        "view",
    }
    roots = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert ("rclpy" in roots) == (path.stem in nodes)


def test_the_launch_file_offers_what_the_node_takes():
    tree = ast.parse((PACKAGE / "launch" / "quadruped.launch.py").read_text())
    table = next(n for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "ARGUMENTS")
    names = {row.elts[0].value for row in table.value.elts}
    asked = {*("robot", "driver", "policy", "context", "terrain", "record", "teleop", "rviz", "namespace")}
    asked |= {"compensate", "release_sport", "silent_rivals"}
    assert asked <= names


def test_the_reference_in_the_documentation_is_up_to_date():
    document = (ROOT / "docs" / "ros2.md").read_text(encoding="utf-8")
    assert describe.replaced(document) == document, "run python -m deploy_ros.describe docs/ros2.md"


def test_settings_hold_every_parameter():
    assert set(assembly.Settings({})) == {p.name for p in interface.PARAMETERS}
