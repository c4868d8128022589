"""Puts ground and robots into viser's scene, and moves them: a few messages a frame, however many robots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh
import viser

from sim.terrain import CELL, TILE, Box, TerrainWorld, tile_center
from viewer.body import Body, Shape, payload_scale

# The ground is under it, and moves against the robot that is followed, so that the camera stays the user's. The robots
# are not: a browser that falls behind shows their poses later than a frame's, and would lose them from view.
WORLD = "/world"
CAP = 0.15  # share of a capsule's half length that its round end takes; thighs and calves have 0.17 and 0.13
CLIMB = 0.06  # share of the way that the view rises with the robot it follows, in a frame
GROUND = (176, 182, 190)
WEAK = np.array([0.84, 0.37, 0.0])  # a leg without any strength
LOAD = (0, 114, 178)


class Stage:
    """The scene: ground, robots, and which of them the camera follows.

    Args:
        server: viser's.
        body: the robot.
        count: how many of them.
        ghost: whether a second, translucent set of robots shows where the joint targets are.

    Attributes:
        origin: point of the world, (3,), m, that is at the scene's origin.
    """

    def __init__(self, server: viser.ViserServer, body: Body, count: int = 1, ghost: bool = False) -> None:
        self.body, self.count, self._server = body, count, server
        scene = server.scene
        scene.set_up_direction("+z")
        scene.configure_default_lights(cast_shadow=True)
        self._world = scene.add_frame(WORLD, show_axes=False)
        self.floor()
        self._robots = self._add("robot")
        self._ghosts = self._add("target", opacity=0.25) if ghost else []
        self._payload = scene.add_batched_meshes_simple(
            "/payload",
            *_mesh("box"),
            batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            batched_positions=np.zeros((count, 3)),
            batched_scales=np.full(count, 1e-6, np.float32),
            batched_colors=LOAD,
            lod="off",
        )
        self._mass, self._height, self._followed = np.zeros(count), 0.0, np.full(2, np.inf)
        self.origin = np.zeros(3)

    def _add(self, name: str, opacity: float | None = None) -> list[Any]:
        """Add one batch for each kind of shape, hidden under the ground until it is placed."""
        handles = []
        for number, group in enumerate(self.body.groups):
            instances = self.count * len(group)
            shapes = [self.body.shapes[index] for index in group]
            handles.append(
                self._server.scene.add_batched_meshes_simple(
                    f"/{name}/{number}",
                    *_mesh(shapes[0].kind),
                    batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (instances, 1)),
                    batched_positions=np.tile([0.0, 0.0, -9.0], (instances, 1)),
                    batched_scales=np.tile([shape.scale for shape in shapes], (self.count, 1)).astype(np.float32),
                    batched_colors=self._colors(group, np.ones((self.count, 4))),
                    opacity=opacity,
                    lod="off",
                    cast_shadow=opacity is None,
                )
            )
        return handles

    def _colors(self, group: list[int], strength: np.ndarray) -> np.ndarray:
        """Return the colour of every instance of a kind, (count * shapes, 3) uint8; weak legs (count, 4) are marked."""
        return np.concatenate([_tint(self.body.shapes[i], strength) for i in group], axis=1).reshape(-1, 3)

    def floor(self, center: tuple[float, float] = (0.0, 0.0)) -> None:
        """Put a grid of 1 m on the ground around a point."""
        self._server.scene.add_grid(
            f"{WORLD}/floor",
            width=60.0,
            height=60.0,
            cell_size=0.5,
            section_size=1.0,
            cell_color=(226, 229, 233),
            section_color=(200, 205, 211),
            plane_color=(244, 245, 247),
            plane_opacity=1.0,
            shadow_opacity=0.25,
            position=(*center, -0.002),
        )

    def terrain(self, boxes: Sequence[Box], at: tuple[float, float] = (0.0, 0.0)) -> None:
        """Show boxes, about a point of the world, instead of what the terrain was."""
        parts = []
        for box in boxes:
            part = trimesh.creation.box(extents=2.0 * np.array(box.half))
            part.apply_transform(trimesh.transformations.rotation_matrix(box.pitch, [0, 1, 0]))
            part.apply_translation(np.add(box.center, [*at, 0.0]))
            parts.append(part)
        self._ground(trimesh.util.concatenate(parts) if parts else None)

    def tile(self, world: TerrainWorld, kind: str, level: int) -> None:
        """Show one tile of a terrain world, and the floor about it."""
        center, boxes = tile_center(kind, level), world.tiles.get((kind, level), [])
        self.floor(center)
        if boxes or kind == "flat":
            self.terrain(boxes, center)
            return
        corner, count = np.array(center) - TILE / 2, round(TILE / CELL)
        x, y = np.round(corner / CELL).astype(int)
        heights = world.heights[x : x + count : 2, y : y + count : 2]
        self.height_field(heights, 2 * CELL, (corner[0] + CELL / 2, corner[1] + CELL / 2))

    def height_field(self, heights: np.ndarray, cell: float, corner: tuple[float, float]) -> None:
        """Show a grid of heights (columns x, rows y), m, instead of what the terrain was."""
        columns, rows = heights.shape
        x, y = (corner[axis] + cell * np.arange(count) for axis, count in enumerate((columns, rows)))
        vertices = np.stack([*np.meshgrid(x, y, indexing="ij"), heights], axis=-1).reshape(-1, 3)
        at = np.arange(columns * rows).reshape(columns, rows)
        a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
        faces = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
        self._ground(trimesh.Trimesh(vertices, faces, process=False))

    def _ground(self, mesh: Any | None) -> None:
        name = f"{WORLD}/terrain"
        if mesh is None:
            self._server.scene.remove_by_name(name)
            return
        self._server.scene.add_mesh_simple(
            name, np.asarray(mesh.vertices), np.asarray(mesh.faces), color=GROUND, flat_shading=True
        )

    def condition(self, payload: np.ndarray, strength: np.ndarray) -> None:
        """Show payloads, kg, (n,), as cubes on the back and weak legs, factors (n, 4), in another colour."""
        self._mass = payload
        self._payload.batched_scales = payload_scale(payload).astype(np.float32)
        for handle, group in zip(self._robots, self.body.groups, strict=True):
            handle.batched_colors = self._colors(group, strength)

    def follow(self, position: np.ndarray | None) -> None:
        """Keep a robot, its trunk at (3,), m, in the middle of the view; None leaves the world where it is."""
        if position is None:
            return
        above = float(position[2]) - self.body.spec.standing_height
        jumped = np.abs(position[:2] - self._followed).max() > 0.5  # it started again somewhere else
        self._height += (1.0 if jumped else CLIMB) * (above - self._height)
        self._followed = position[:2].copy()
        self.origin = np.array([position[0], position[1], max(0.0, self._height)])
        self._world.position = tuple((-self.origin).tolist())

    def show(
        self, position: np.ndarray, quaternion: np.ndarray, joints: np.ndarray, targets: np.ndarray | None = None
    ) -> None:
        """Move the robots: (n, 3), (n, 4), joints and joint targets (n, 12)."""
        position = position - self.origin
        self._move(self._robots, *self.body.place(position, quaternion, joints))
        if self._ghosts and targets is not None:
            self._move(self._ghosts, *self.body.place(position, quaternion, targets))
        if self._mass.any():
            above = self.body.spec.trunk_size[2] + payload_scale(self._mass)[:, None]
            self._payload.batched_positions = (position + above * _up(quaternion)).astype(np.float32)
            self._payload.batched_wxyzs = quaternion.astype(np.float32)

    def _move(self, handles: list[Any], positions: np.ndarray, quaternions: np.ndarray) -> None:
        for handle, group in zip(handles, self.body.groups, strict=True):
            handle.batched_positions = positions[:, group].reshape(-1, 3).astype(np.float32)
            handle.batched_wxyzs = quaternions[:, group].reshape(-1, 4).astype(np.float32)


def _up(quaternion: np.ndarray) -> np.ndarray:
    """Return the trunk's z axis in the world, (n, 3)."""
    w, x, y, z = quaternion.T
    return np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)


def _tint(shape: Shape, strength: np.ndarray) -> np.ndarray:
    """Return a shape's colour on each robot, (n, 1, 3) uint8."""
    share = np.clip(strength[:, shape.leg], 0.0, 1.0)[:, None] if shape.leg >= 0 else np.ones((len(strength), 1))
    return (255 * (share * np.array(shape.color) + (1 - share) * WEAK)).astype(np.uint8)[:, None]


def _mesh(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and faces of a primitive of unit half extents, coarse enough to travel fast."""
    make = trimesh.creation
    if kind == "box":
        mesh = make.box(extents=(2.0, 2.0, 2.0))
        mesh.unmerge_vertices()  # sharp edges
    elif kind == "sphere":
        mesh = make.icosphere(subdivisions=2)
    elif kind == "capsule":
        mesh = make.capsule(height=2.0 * (1.0 - CAP), radius=CAP, count=[16, 8])
        mesh.apply_scale([1.0 / CAP, 1.0 / CAP, 1.0])
    else:
        mesh = make.cylinder(radius=1.0, height=2.0, sections=24)
        mesh.unmerge_vertices()
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)
