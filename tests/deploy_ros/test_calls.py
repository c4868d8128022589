"""What the ROS packages call of this repository takes what they give: no real ROS 2 runs them in CI."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "ros2_ws" / "src"
OURS = ("robots", "deploy", "calibration", "cli", "sim", "models")


def imported(tree: ast.Module) -> dict[str, object]:
    """Return what a module imports from this repository, by the name that it has there."""
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            for alias in node.names:
                member = getattr(module, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                found[alias.asname or alias.name] = member
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name in OURS]
            found.update({name: importlib.import_module(name) for name in names})
    return found


def calls(tree: ast.Module, known: dict[str, object]) -> Iterator[tuple[Callable, ast.Call]]:
    """Yield the calls of what is imported: `name(...)`, and `name.member(...)` of a module or class."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if callable(known.get(name)):
                yield known[name], node  # type: ignore[misc]
            case ast.Attribute(value=ast.Name(id=name), attr=member) if name in known:
                yield getattr(known[name], member), node


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCES)))
def test_calls_fit_the_signatures(path):
    pytest.importorskip("mujoco")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for called, node in calls(tree, imported(tree)):
        given = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
        named = {keyword.arg: None for keyword in node.keywords if keyword.arg}
        whole = len(given) == len(node.args) and len(named) == len(node.keywords)
        signature = inspect.signature(called)
        try:
            (signature.bind if whole else signature.bind_partial)(*given, **named)
        except TypeError as problem:
            pytest.fail(f"{path.name}, line {node.lineno}: {ast.unparse(node)}: {problem}")
