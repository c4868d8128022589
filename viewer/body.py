"""The robot as shapes to draw: read from its MJCF, placed by its pose and joint angles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree

import numpy as np

from robots import mjcf
from robots.joints import LEGS
from robots.spec import RobotSpec

PAYLOAD_EDGE = 0.055  # m: half an edge of the cube that is drawn for 1 kg
NEXT, AFTER = np.array([1, 2, 0]), np.array([2, 0, 1])  # axes after x, y, z
DARKER = 2.0  # exponent on the MJCF's colours: a browser's lights are brighter than MuJoCo's


@dataclass(frozen=True)
class Shape:
    """A primitive on a body.

    Attributes:
        body: index of the body.
        kind: MJCF's type: box, sphere, capsule or cylinder, the last two along z.
        size: MJCF's size: half extents, radius, or radius and half length, m.
        position, quaternion: in the body's frame.
        color: red, green, blue, 0 to 1.
        leg: index of the leg, -1 for the trunk.
    """

    body: int
    kind: str
    size: tuple[float, ...]
    position: np.ndarray
    quaternion: np.ndarray
    color: tuple[float, float, float]
    leg: int

    @property
    def scale(self) -> tuple[float, float, float]:
        """Half extents, m: what makes a mesh of unit half extents of its kind this shape."""
        if self.kind == "box":
            return (self.size[0], self.size[1], self.size[2])
        radius = self.size[0]
        height = {"sphere": radius, "cylinder": self.size[-1], "capsule": self.size[-1] + radius}[self.kind]
        return radius, radius, height


@dataclass(frozen=True)
class _Link:
    parent: int
    depth: int
    position: np.ndarray
    axis: np.ndarray
    joint: int


class _Row:
    """The links of one depth, which are placed together: one of each leg."""

    def __init__(self, links: list[_Link], depth: int) -> None:
        mine = [link for link in links if link.depth == depth]
        self.links = [i for i, link in enumerate(links) if link.depth == depth]
        self.parents, self.joints = [link.parent for link in mine], [link.joint for link in mine]
        self.positions, self.axes = (np.array([getattr(link, name) for link in mine]) for name in ("position", "axis"))


class Body:
    """A robot's tree of links and the shapes on it.

    Args:
        spec: the robot.

    Attributes:
        shapes: what to draw, the payload left out.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self._links: list[_Link] = []
        self.shapes: list[Shape] = []
        self._colors = _class_colors()
        self._walk(ElementTree.fromstring(mjcf.robot_body(spec)), -1, -1)
        self._rows = [_Row(self._links, depth) for depth in range(1, 1 + max(link.depth for link in self._links))]
        self._local = np.array([shape.position for shape in self.shapes])
        self._turn = np.array([shape.quaternion for shape in self.shapes])
        self._owner = np.array([shape.body for shape in self.shapes])

    def _walk(self, element: ElementTree.Element, parent: int, leg: int) -> None:
        name = element.get("name", "")
        if name == mjcf.PAYLOAD_BODY:
            return
        leg = LEGS.index(name[:2]) if name[:2] in LEGS else leg
        joint = element.find("joint")
        axis = np.zeros(3) if joint is None else _numbers(joint.get("axis", "0 0 1"))
        number = -1 if joint is None else self.spec.joint_names.index(joint.get("name", ""))
        index, depth = len(self._links), 0 if parent < 0 else self._links[parent].depth + 1
        self._links.append(_Link(parent, depth, _numbers(element.get("pos", "0 0 0")), axis, number))
        self.shapes += [self._shape(geom, index, leg) for geom in element.findall("geom")]
        for child in element.findall("body"):
            self._walk(child, index, leg)

    def _shape(self, geom: ElementTree.Element, body: int, leg: int) -> Shape:
        kind, size = geom.get("type", ""), tuple(_numbers(geom.get("size", "0")))
        position, quaternion = _numbers(geom.get("pos", "0 0 0")), np.array([1.0, 0.0, 0.0, 0.0])
        if "fromto" in geom.attrib:
            ends = _numbers(geom.get("fromto", "")).reshape(2, 3)
            position, along = ends.mean(axis=0), ends[1] - ends[0]
            size, quaternion = (*size, float(np.linalg.norm(along) / 2)), _align(along)
        if "zaxis" in geom.attrib:
            quaternion = _align(_numbers(geom.get("zaxis", "")))
        color = self._colors[geom.get("class", "")]
        return Shape(body, kind, size, position, quaternion, color, leg)

    @cached_property
    def groups(self) -> list[list[int]]:
        """Indices of the shapes of one kind, which one batch draws."""
        kinds: dict[str, list[int]] = {}
        for index, shape in enumerate(self.shapes):
            kinds.setdefault(shape.kind, []).append(index)
        return list(kinds.values())

    def place(self, position: np.ndarray, quaternion: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the shapes are.

        Args:
            position: of the trunk in the world, m, (n, 3).
            quaternion: of the trunk, w x y z, (n, 4).
            joints: rad, (n, 12).

        Returns:
            Positions (n, shapes, 3), m, and quaternions (n, shapes, 4), in the world.
        """
        count = len(position)
        places, turns = np.zeros((count, len(self._links), 3)), np.zeros((count, len(self._links), 4))
        places[:, 0], turns[:, 0] = position, quaternion
        half = np.concatenate([joints / 2, np.zeros((count, 1))], axis=1)  # the last is that of links without a joint
        for row in self._rows:
            turn, angle = turns[:, row.parents], half[:, row.joints, None]
            places[:, row.links] = places[:, row.parents] + rotate(turn, row.positions)
            turns[:, row.links] = multiply(turn, np.concatenate([np.cos(angle), np.sin(angle) * row.axes], axis=2))
        owner = turns[:, self._owner]
        return places[:, self._owner] + rotate(owner, self._local), multiply(owner, self._turn)


def payload_scale(mass: np.ndarray) -> np.ndarray:
    """Return half the edge of the cubes drawn for payloads, kg, m; nothing is drawn for nothing."""
    return np.where(mass > 1e-3, PAYLOAD_EDGE * np.cbrt(np.maximum(mass, 0.0)), 1e-6)


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return vectors (..., 3) turned by quaternions (..., 4)."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    twice = 2.0 * _cross(axis, vector)
    return vector + w * twice + _cross(axis, twice)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the product of quaternions (..., 4)."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    scalar = aw * bw - (av * bv).sum(axis=-1, keepdims=True)
    return np.concatenate([scalar, aw * bv + bw * av + _cross(av, bv)], axis=-1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the vector product; numpy's own takes several times as long for a few vectors."""
    return a.take(NEXT, axis=-1) * b.take(AFTER, axis=-1) - a.take(AFTER, axis=-1) * b.take(NEXT, axis=-1)


def _align(along: np.ndarray) -> np.ndarray:
    """Return the shortest turn from z to a direction."""
    along = along / np.linalg.norm(along)
    if along[2] < -1.0 + 1e-9:
        return np.array([0.0, 1.0, 0.0, 0.0])
    turn = np.array([1.0 + along[2], -along[1], along[0], 0.0])
    return turn / np.linalg.norm(turn)


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _class_colors() -> dict[str, tuple[float, float, float]]:
    """Return the colour of every default class of the MJCF."""
    defaults = ElementTree.fromstring(f"<all>{mjcf.header()}</all>").find("default")
    assert defaults is not None
    colors = {}
    for entry in defaults.findall("default"):
        geom = entry.find("geom")
        if geom is not None:
            red, green, blue, _ = _numbers(geom.get("rgba", "0.5 0.5 0.5 1"))
            colors[entry.get("class", "")] = tuple(float(part) ** DARKER for part in (red, green, blue))
    return colors
