"""Puts a robot and a terrain into one MuJoCo model."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from robots import mjcf
from robots.spec import RobotSpec
from sim.shapes import TILE, Box
from sim.terrain import KINDS, LEVELS, TerrainWorld, tile_center

CONTROL_STEPS = 4  # physics steps of 5 ms in a control period of 20 ms
FINE_STEPS = 10  # of 2 ms, where physics is to be right rather than fast
FIRM = 10.0  # ratio of the stiffness of friction to that of contact: feet do not creep
MAX_LATENCY = 0.03  # s, what the command history can hold
BURIED = 50.0  # m below the ground


def _box(box: Box, name: str = "") -> str:
    center, half = (" ".join(f"{v:.9g}" for v in values) for values in (box.center, box.half))
    label = f'name="{name}" ' if name else ""
    return f'<geom {label}type="box" class="ground" pos="{center}" size="{half}" euler="0 {box.pitch:.9g} 0"/>'


def tile_geom(slot: int) -> str:
    """Return the name of a slot's geom in the training model."""
    return f"tile_{slot}"


@dataclass(frozen=True)
class TileShapes:
    """What the boxes of the training model's slots become when a robot is put on a tile, by kind and level.

    Slots that a tile does not need are buried.

    Attributes:
        pos: centres, (len(KINDS), LEVELS, slots, 3), m, world, of the tile at level 0's place in its row.
        size: half extents, (len(KINDS), LEVELS, slots, 3), m.
        quat: attitudes w x y z, (len(KINDS), LEVELS, slots, 4).
    """

    pos: np.ndarray
    size: np.ndarray
    quat: np.ndarray

    @property
    def slots(self) -> int:
        """Number of boxes that a simulation holds."""
        return self.pos.shape[2]


def tile_shapes(world: TerrainWorld) -> TileShapes:
    """Return the shapes of all tiles of the world; it takes as many slots as the kind with the most boxes needs."""
    slots = max((len(boxes) for boxes in world.tiles.values()), default=0)
    pos, size = np.zeros((2, len(KINDS), LEVELS, slots, 3))
    quat = np.zeros((len(KINDS), LEVELS, slots, 4))
    pos[..., 2], size[:], quat[..., 0] = -BURIED, 0.1, 1.0
    for (kind, level), boxes in world.tiles.items():
        row, center = KINDS.index(kind), np.array([*tile_center(kind, 0), 0.0])
        for i, box in enumerate(boxes):
            pos[row, level, i], size[row, level, i] = center + box.center, box.half
            quat[row, level, i] = [np.cos(box.pitch / 2), 0.0, np.sin(box.pitch / 2), 0.0]
    return TileShapes(pos, size, quat)


def _slots(world: TerrainWorld) -> str:
    """Return a box for every slot, as large as any that it may become, so that engines' bounding volumes hold for all.

    The boxes are tilted by a trace, else MuJoCo would ignore later tilts.
    """
    largest = tile_shapes(world).size.max(axis=(0, 1))
    return "\n".join(
        _box(Box((0.0, 0.0, -BURIED), tuple(size), pitch=1e-4), tile_geom(i)) for i, size in enumerate(largest)
    )


PLANE = '<geom name="plane" type="plane" class="ground" size="0 0 1" material="grid"/>\n'


def _fields(world: TerrainWorld) -> str:
    """Return the rows that are height fields."""
    return "".join(
        f'<geom name="{kind}" type="hfield" class="ground" hfield="{kind}" '
        f'pos="{LEVELS * TILE / 2} {(KINDS.index(kind) + 0.5) * TILE} 0"/>\n'
        for kind in world.fields
    )


def _assets(fields: dict[str, np.ndarray]) -> str:
    grid = (
        '<texture name="grid" type="2d" builtin="checker" rgb1=".9 .9 .9" rgb2=".8 .8 .8" width="256" height="256"/>'
        '<material name="grid" texture="grid" texrepeat="1 1" texuniform="true"/>'
        '<texture type="skybox" builtin="gradient" rgb1=".75 .83 .92" rgb2="1 1 1" width="64" height="64"/>'
    )
    for kind, heights in fields.items():
        size = f"{LEVELS * TILE / 2} {TILE / 2} {heights.max():.9g} 0.1"
        grid += f'<hfield name="{kind}" nrow="{heights.shape[0]}" ncol="{heights.shape[1]}" size="{size}"/>'
    return grid


def _servos(spec: RobotSpec, step: float) -> str:
    history = round(MAX_LATENCY / step) + 2
    return "\n".join(
        f'<position name="{joint}" joint="{joint}" kp="{spec.kp:.9g}" kv="{spec.kd:.9g}" '
        f'forcerange="-{limit:.9g} {limit:.9g}" delay="0" nsample="{history}"/>'
        for joint, limit in zip(spec.joint_names, spec.torque_limit, strict=True)
    )


def _motors(spec: RobotSpec) -> str:
    return "\n".join(f'<motor name="{joint}" joint="{joint}"/>' for joint in spec.joint_names)


def _compile(option: str, assets: str, ground: str, spec: RobotSpec, actuators: str) -> mujoco.MjModel:
    xml = f"""<mujoco model="{spec.name}">
  {option}
  <visual><global offwidth="1280" offheight="720"/><headlight ambient=".4 .4 .4" diffuse=".5 .5 .5"/></visual>
  {mjcf.header()}
  <asset>{assets}</asset>
  <worldbody>
    <light pos="0 0 20" dir="-0.3 -0.2 -1" type="directional" castshadow="false" diffuse=".5 .5 .5"/>
    {ground}
    {mjcf.robot_body(spec)}
  </worldbody>
  <actuator>{actuators}</actuator>
  <sensor>{mjcf.touch_sensors()}</sensor>
</mujoco>"""
    return mujoco.MjModel.from_xml_string(xml)


def training_model(spec: RobotSpec, world: TerrainWorld, fine: bool = False) -> mujoco.MjModel:
    """Return the training model: servos with a command delay, boxes for one tile.

    Fast physics has steps of 5 ms and pyramidal friction, under which standing feet creep; fine physics has 2 ms and
    elliptic friction as firm as the field robot's.
    """
    step = spec.control_dt / (FINE_STEPS if fine else CONTROL_STEPS)
    friction = f'cone="elliptic" impratio="{FIRM:g}"' if fine else 'cone="pyramidal"'
    option = f'<option timestep="{step:.9g}" integrator="implicitfast" solver="Newton" iterations="10" {friction}/>'
    ground = PLANE + _fields(world) + _slots(world)
    model = _compile(option, _assets(world.fields), ground, spec, _servos(spec, step))
    heights = [(values / values.max()).ravel() for values in world.fields.values()]
    model.hfield_data[:] = np.concatenate([np.zeros(0), *heights])
    return model


def field_model(spec: RobotSpec, boxes: list[Box], timestep: float = 0.001) -> mujoco.MjModel:
    """Return the field model: 1 ms steps, elliptic friction, plain torque motors; what it stands on is `boxes`."""
    option = (
        f'<option timestep="{timestep:.9g}" integrator="implicitfast" solver="Newton" cone="elliptic" '
        f'impratio="{FIRM:g}"/>'
    )
    return _compile(option, _assets({}), PLANE + "\n".join(_box(box) for box in boxes), spec, _motors(spec))
