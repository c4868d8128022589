"""Reads the values of a legged_gym configuration file, by parsing it: nothing of it is run."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy.foreign import legged_gym_defaults

KNOWN = {"LeggedRobotCfg": legged_gym_defaults.ROBOT, "LeggedRobotCfgPPO": legged_gym_defaults.LEARNER}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Unread:
    """A value that only running the file would tell."""

    source: str


@dataclass
class Section:
    """A class of the file, or of legged_gym.

    Attributes:
        values: by name: numbers, text, lists, other sections.
        given: names that the file itself sets, here or in a class that this one derives from.
        root: which class of legged_gym this one derives from, if any.
    """

    values: dict[str, Any] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    root: str | None = None

    def leaves(self, path: str = "") -> Iterator[tuple[str, Any, bool]]:
        """Yield the dotted path of every value, the value, and whether the file sets it."""
        for name, value in self.values.items():
            if isinstance(value, Section):
                yield from value.leaves(f"{path}{name}.")
            else:
                yield f"{path}{name}", value, name in self.given


@dataclass
class LeggedGymFile:
    """What a file says.

    Attributes:
        robot, learner: the configuration of the environment and of PPO, if the file has them, and their names.
        problems: (where, what could not be read).
    """

    robot: tuple[str, Section]
    learner: tuple[str, Section] | None
    problems: list[tuple[str, str]]


def read(path: Path, name: str | None = None) -> LeggedGymFile:
    """Return what the file says, with what it inherits.

    Args:
        path: a Python file with a subclass of `LeggedRobotCfg`.
        name: which subclass, where there are several.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not Python, has no such subclass, or several and no name says which.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}: give the file with the subclass of LeggedRobotCfg")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError) as problem:
        raise ValueError(f"{path} is not Python: {problem}") from None
    reader = _Reader()
    reader.body(tree.body, "", reader.module)
    leaves = reader.leaves()
    robot = _choose(path, {n: s for n, s in leaves.items() if s.root == "LeggedRobotCfg"}, name)
    learners = {n: s for n, s in leaves.items() if s.root == "LeggedRobotCfgPPO"}
    learner = learners.get(f"{robot}PPO") or (next(iter(learners.values())) if len(learners) == 1 else None)
    named = next((n for n, s in learners.items() if s is learner), "")
    return LeggedGymFile((robot, leaves[robot]), (named, learner) if learner else None, reader.problems)


def _choose(path: Path, found: Mapping[str, Section], name: str | None) -> str:
    if name in found:
        return str(name)
    if not found:
        raise ValueError(f"{path} has no subclass of LeggedRobotCfg: give the file of the task's configuration")
    if name is not None or len(found) > 1:
        wrong = f"has no configuration '{name}'" if name else "has several configurations"
        raise ValueError(f"{path} {wrong}: choose with --name one of {', '.join(found)}")
    return next(iter(found))


class _Reader:
    def __init__(self) -> None:
        self.module = Section({name: _known(values, name) for name, values in KNOWN.items()})
        self.problems: list[tuple[str, str]] = []
        self.bases: set[str] = set()

    def leaves(self) -> dict[str, Section]:
        """Return the classes of the file from which no other one of it derives."""
        given = {name: value for name, value in self.module.values.items() if name in self.module.given}
        return {n: s for n, s in given.items() if isinstance(s, Section) and n not in self.bases}

    def body(self, statements: list[ast.stmt], path: str, section: Section) -> None:
        """Read assignments and classes into the section."""
        for statement in statements:
            if isinstance(statement, ast.ClassDef):
                self._set(section, statement.name, self._class(statement, f"{path}{statement.name}", section))
            elif isinstance(statement, ast.Assign):
                value = self._value(statement.value, section)
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        self._set(section, target.id, value)
                    else:
                        self._skip(path, statement)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                if statement.value is not None:
                    self._set(section, statement.target.id, self._value(statement.value, section))
            elif isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass)) or _is_text(statement):
                continue
            elif path:  # on the level of the module a statement may be anything
                self._skip(path, statement)

    def _class(self, node: ast.ClassDef, path: str, around: Section) -> Section:
        section = Section()
        for base in reversed(node.bases):
            found = self._value(base, around)
            name = ast.unparse(base)
            if isinstance(found, Section):
                section.values.update(found.values)
                section.given |= found.given
                section.root = name if name in KNOWN else found.root
                self.bases.add(name)
            elif name not in ("BaseConfig", "object"):
                self.problems.append((path, f"its base class {name} is neither in the file nor known: paste it in"))
                self._guess(section, path, name)
        self.body(node.body, f"{path}.", section)
        return section

    def _guess(self, section: Section, path: str, base: str) -> None:
        """Let legged_gym's own class stand in for a base in another file, if that is what the base's name says."""
        if "." in path or section.root or "Cfg" not in base:
            return
        section.root = "LeggedRobotCfgPPO" if base.endswith("PPO") else "LeggedRobotCfg"
        self.module.values[base] = self.module.values[section.root]  # for `class env(base.env)`
        section.values.update(self.module.values[base].values)

    def _set(self, section: Section, name: str, value: Any) -> None:
        section.values[name] = value
        section.given.add(name)

    def _skip(self, path: str, statement: ast.stmt) -> None:
        text = ast.unparse(statement).splitlines()[0]
        self.problems.append((f"{path}line {statement.lineno}", f"`{text}` would have to be run"))

    def _value(self, node: ast.expr, section: Section) -> Any:
        try:
            return self._evaluate(node, section)
        except (ArithmeticError, KeyError, TypeError, AttributeError, ValueError):
            return Unread(ast.unparse(node))

    def _evaluate(self, node: ast.expr, section: Section) -> Any:
        """Return the value of an expression.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: if it is not one that can be known without running it.
        """
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self._evaluate(item, section) for item in node.elts]
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return {self._evaluate(key, section): self._evaluate(value, section) for key, value in pairs if key}
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = self._evaluate(node.operand, section)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            left, right = self._evaluate(node.left, section), self._evaluate(node.right, section)
            numbers = all(isinstance(side, (int, float)) for side in (left, right))
            if not numbers or (isinstance(node.op, ast.Pow) and abs(right) > 64):
                raise ValueError("numbers of a sensible size only")
            return OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.Name):
            return section.values[node.id] if node.id in section.values else self.module.values[node.id]
        if isinstance(node, ast.Attribute):
            if ast.unparse(node) in ("math.pi", "np.pi", "numpy.pi", "torch.pi"):
                return math.pi
            return self._evaluate(node.value, section).values[node.attr]
        raise ValueError(f"cannot be known without running it: {ast.unparse(node)}")


def _known(values: Mapping[str, Any], root: str | None = None) -> Section:
    made = {name: _known(value) if isinstance(value, dict) and value else value for name, value in values.items()}
    return Section(made, set(), root)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
