"""Unitree Go1.

Sources: [URDF] the maker's robot description (unitree_ros, go1_description); [SDK] joint limits of the maker's motor
SDK (unitree_legged_sdk 3.8, go1_const); [chosen] our own design decision. Where [URDF] and [SDK] disagree on a limit,
the tighter one is taken. A leg's rotors belong to the link that carries them: hip rotors to the trunk, thigh rotors to
the hip, calf rotors to the thigh.
"""

from robots.spec import Joint, Link, RobotSpec

ROTOR_MASS = 0.089  # kg, one per joint [URDF]
ROTOR_INERTIA = 1.11842e-4  # kg m^2 about its axis [URDF]
GEAR, KNEE_GEAR = 6.0, 9.0  # reduction; the knee has a second stage of 1.5 [URDF]
HIP_ROTOR = (0.11215, 0.04675)  # x, y of the four hip rotors in the trunk, m [URDF]

SPEC = RobotSpec(
    name="go1",
    # Trunk 5.204 kg [URDF] with the four hip rotors as point masses.
    trunk=Link(
        mass=5.204 + 4 * ROTOR_MASS,
        com=(0.0209, 0.0019, -0.0005),
        inertia=(
            0.01681 + 4 * ROTOR_MASS * HIP_ROTOR[1] ** 2,
            0.06301 + 4 * ROTOR_MASS * HIP_ROTOR[0] ** 2,
            0.07166 + 4 * ROTOR_MASS * (HIP_ROTOR[0] ** 2 + HIP_ROTOR[1] ** 2),
        ),
    ),
    hip=Link(0.591 + ROTOR_MASS, (-0.0049, -0.0076, -0.0001), (0.000399, 0.000734, 0.000468)),  # [URDF]
    thigh=Link(0.920 + ROTOR_MASS, (-0.0030, -0.0193, -0.0305), (0.004609, 0.004787, 0.000709)),  # [URDF]
    calf=Link(0.136, (0.0062, 0.0014, -0.1167), (0.00088, 0.00089, 0.000034)),  # [URDF], foot taken out
    foot=Link(0.06, (0.0, 0.0, 0.0), (9.6e-06, 9.6e-06, 9.6e-06)),  # [URDF]
    hip_offset=(0.1881, 0.04675),  # [URDF]
    abduction_offset=0.08,  # [URDF]
    thigh_length=0.213,  # [URDF]
    calf_length=0.213,  # [URDF]
    foot_radius=0.02,  # [URDF]
    trunk_size=(0.1881, 0.0467, 0.057),  # half of 0.3762 x 0.0935 x 0.114 m [URDF]
    hip_joint=Joint(-0.863, 0.863, -0.863, 0.863, 23.7, 30.1, ROTOR_INERTIA * GEAR**2),  # [URDF], tighter than [SDK]
    thigh_joint=Joint(-0.663, 2.966, -0.663, 2.966, 23.7, 30.1, ROTOR_INERTIA * GEAR**2),  # limits [SDK]
    calf_joint=Joint(-2.721, -0.888, -2.721, -0.888, 35.55, 20.06, ROTOR_INERTIA * KNEE_GEAR**2),  # [SDK], [URDF]
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
