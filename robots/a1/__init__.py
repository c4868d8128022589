"""Unitree A1.

Sources: [URDF] the maker's robot description (unitree_ros, a1_description/urdf/a1.urdf); [MJCF] MuJoCo Menagerie,
unitree_a1; [chosen] our own design decision. [URDF] has no rotors of its own: its links carry them already.
"""

from robots.spec import Joint, Link, RobotSpec

ARMATURE = 0.01  # kg m^2 at every joint [MJCF]; the maker publishes no rotor inertia

SPEC = RobotSpec(
    name="a1",
    trunk=Link(6.0, (0.0, 0.0041, -0.0005), (0.0158533, 0.0377999, 0.0456542)),  # [URDF]
    hip=Link(0.696, (-0.003311, 0.000635, 0.000031), (0.000469246, 0.00080749, 0.000552929)),  # [URDF]
    thigh=Link(1.013, (-0.003237, -0.022327, -0.027326), (0.005529065, 0.005139339, 0.001367788)),  # [URDF]
    calf=Link(0.166, (0.006435, 0.0, -0.107388), (0.002997972, 0.003014022, 0.000032426)),  # [URDF]
    foot=Link(0.06, (0.0, 0.0, 0.0), (9.6e-06, 9.6e-06, 9.6e-06)),  # [URDF]
    hip_offset=(0.1805, 0.047),  # [URDF]
    abduction_offset=0.0838,  # [URDF]
    thigh_length=0.2,  # [URDF]
    calf_length=0.2,  # [URDF]
    foot_radius=0.02,  # [URDF]
    trunk_size=(0.1335, 0.097, 0.057),  # half of 0.267 x 0.194 x 0.114 m [URDF]
    hip_joint=Joint(-0.802851, 0.802851, -0.802851, 0.802851, 33.5, 21.0, ARMATURE),  # [URDF]
    thigh_joint=Joint(-1.047198, 4.18879, -1.047198, 4.18879, 33.5, 21.0, ARMATURE),  # [URDF]
    calf_joint=Joint(-2.696534, -0.916298, -2.696534, -0.916298, 33.5, 21.0, ARMATURE),  # [URDF]
    default_hip=0.1,  # pose in common use (legged_gym and others)
    default_thigh_front=0.8,
    default_thigh_rear=1.0,
    default_calf=-1.5,
    kp=30.0,  # [chosen] from the 20-40 N m/rad in common use
    kd=0.8,  # [chosen] from the 0.5-1 N m s/rad in common use
    action_scale=0.25,  # in common use
    control_dt=0.02,
    payload_mount=(0.0, 0.0, 0.09),  # [chosen] a box on the back
)
