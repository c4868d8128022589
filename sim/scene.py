"""Puts a robot and a terrain into one MuJoCo model."""

from __future__ import annotations

import mujoco
import numpy as np

from robots import mjcf
from robots.spec import RobotSpec
from sim.terrain import BOXED, KINDS, LEVELS, TILE, Box, TerrainWorld, tile_center

CONTROL_STEPS = 4  # physics steps of 5 ms in a control period of 20 ms
MAX_LATENCY = 0.03  # s, what the command history can hold


def _box(box: Box, name: str = "") -> str:
    center, half = (" ".join(f"{v:.9g}" for v in values) for values in (box.center, box.half))
    label = f'name="{name}" ' if name else ""
    return f'<geom {label}type="box" class="ground" pos="{center}" size="{half}" euler="0 {box.pitch:.9g} 0"/>'


def _extent(box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper corner of a box's axis-aligned hull."""
    cos, sin = abs(np.cos(box.pitch)), abs(np.sin(box.pitch))
    hull = np.array([cos * box.half[0] + sin * box.half[2], box.half[1], sin * box.half[0] + cos * box.half[2]])
    return np.array(box.center) - hull, np.array(box.center) + hull


def tile_geoms(kind: str, index: int) -> str:
    """Return the name of the geom that is box `index` of a kind's tile in the training model."""
    return f"{kind}_{index}"


def _tile_hulls(world: TerrainWorld) -> str:
    """Return one tile of each kind at level 0's place; each box is the hull of what it is at any level.

    MuJoCo's bounding volumes are made from these, so they hold for every level that a simulation gives its boxes.
    """
    geoms = []
    for kind in BOXED:
        x, y = tile_center(kind, 0)
        for i in range(len(world.tiles[kind, 0])):
            corners = [_extent(world.tiles[kind, level][i]) for level in range(LEVELS)]
            low, high = np.min([c[0] for c in corners], axis=0), np.max([c[1] for c in corners], axis=0)
            center = (low + high) / 2 + np.array([x, y, 0.0])
            hull = Box(tuple(center), tuple((high - low) / 2), pitch=1e-4)  # untilted, MuJoCo would ignore later tilts
            geoms.append(_box(hull, tile_geoms(kind, i)))
    return "\n".join(geoms)


PLANE = '<geom name="plane" type="plane" class="ground" size="0 0 1" material="grid"/>\n'


def _rough() -> str:
    x, y = LEVELS * TILE / 2, (KINDS.index("rough") + 0.5) * TILE
    return f'<geom name="rough" type="hfield" class="ground" hfield="rough" pos="{x} {y} 0"/>\n'


def _assets(rough: np.ndarray | None) -> str:
    grid = (
        '<texture name="grid" type="2d" builtin="checker" rgb1=".9 .9 .9" rgb2=".8 .8 .8" width="256" height="256"/>'
        '<material name="grid" texture="grid" texrepeat="1 1" texuniform="true"/>'
        '<texture type="skybox" builtin="gradient" rgb1=".75 .83 .92" rgb2="1 1 1" width="64" height="64"/>'
    )
    if rough is None:
        return grid
    rows, columns = rough.shape
    size = f"{LEVELS * TILE / 2} {TILE / 2} {rough.max():.9g} 0.1"
    return grid + f'<hfield name="rough" nrow="{rows}" ncol="{columns}" size="{size}"/>'


def _servos(spec: RobotSpec) -> str:
    history = round(MAX_LATENCY / (spec.control_dt / CONTROL_STEPS)) + 2
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


def training_model(spec: RobotSpec, world: TerrainWorld) -> mujoco.MjModel:
    """Return the training model: 5 ms steps, pyramidal friction, joint servos with a command delay, one tile a kind."""
    step = spec.control_dt / CONTROL_STEPS
    option = (
        f'<option timestep="{step:.9g}" integrator="implicitfast" solver="Newton" iterations="10" cone="pyramidal"/>'
    )
    ground = PLANE + _rough() + _tile_hulls(world)
    model = _compile(option, _assets(world.rough), ground, spec, _servos(spec))
    model.hfield_data[:] = (world.rough / world.rough.max()).ravel()
    return model


def field_model(spec: RobotSpec, boxes: list[Box], timestep: float = 0.001) -> mujoco.MjModel:
    """Return the field model: 1 ms steps, elliptic friction, plain torque motors; what it stands on is `boxes`."""
    option = (
        f'<option timestep="{timestep:.9g}" integrator="implicitfast" solver="Newton" cone="elliptic" impratio="10"/>'
    )
    return _compile(option, _assets(None), PLANE + "\n".join(_box(box) for box in boxes), spec, _motors(spec))
