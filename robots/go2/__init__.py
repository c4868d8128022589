"""Unitree Go2.

Sources: [URDF] the maker's robot description (unitree_ros, go2_description); [chosen] our own design decision. A leg's
rotors belong to the link that carries them: hip rotors to the trunk, thigh rotors to the hip, calf rotors to the thigh.
"""

from robots.spec import Joint, Link, RobotSpec

ROTOR_MASS = 0.089  # kg, one per joint [URDF]
ROTOR_INERTIA = 1.11842e-4  # kg m^2 about its axis [URDF]
GEAR, KNEE_GEAR = 6.33, 6.33 * 1.917  # reduction; the knee's linkage multiplies it (effort 23.7 -> 45.43 N m) [URDF]
HIP_ROTOR = (0.11973, 0.0465)  # x, y of the four hip rotors in the trunk, m [URDF]

SPEC = RobotSpec(
    name="go2",
    # Trunk 6.921 kg [URDF] with the four hip rotors as point masses.
    trunk=Link(
        mass=6.921 + 4 * ROTOR_MASS,
        com=(0.0201, 0.0, -0.0051),
        inertia=(
            0.02448 + 4 * ROTOR_MASS * HIP_ROTOR[1] ** 2,
            0.09808 + 4 * ROTOR_MASS * HIP_ROTOR[0] ** 2,
            0.10700 + 4 * ROTOR_MASS * (HIP_ROTOR[0] ** 2 + HIP_ROTOR[1] ** 2),
        ),
    ),
    hip=Link(0.678 + ROTOR_MASS, (-0.0054, 0.0019, -0.0001), (0.00048, 0.000884, 0.000596)),  # [URDF]
    thigh=Link(1.152 + ROTOR_MASS, (-0.0037, -0.0223, -0.0327), (0.00584, 0.00595, 0.00088)),  # [URDF]
    calf=Link(0.154, (0.0055, -0.0006, -0.1156), (0.00108, 0.0011, 0.000033)),  # [URDF]
    foot=Link(0.04, (0.0, 0.0, 0.0), (9.6e-06, 9.6e-06, 9.6e-06)),  # [URDF]
    hip_offset=(0.1934, 0.0465),  # [URDF]
    abduction_offset=0.0955,  # [URDF]
    thigh_length=0.213,  # [URDF]
    calf_length=0.213,  # [URDF]
    foot_radius=0.022,  # [URDF]
    trunk_size=(0.1881, 0.04675, 0.057),  # half of 0.3762 x 0.0935 x 0.114 m [URDF]
    hip_joint=Joint(-1.0472, 1.0472, -1.0472, 1.0472, 23.7, 30.1, ROTOR_INERTIA * GEAR**2),  # [URDF]
    thigh_joint=Joint(-1.571, 3.491, -0.524, 4.538, 23.7, 30.1, ROTOR_INERTIA * GEAR**2),  # [URDF]
    calf_joint=Joint(-2.723, -0.838, -2.723, -0.838, 45.43, 15.7, ROTOR_INERTIA * KNEE_GEAR**2),  # [URDF]
    default_hip=0.1,  # pose in common use (legged_gym and others)
    default_thigh_front=0.8,
    default_thigh_rear=1.0,
    default_calf=-1.5,
    kp=35.0,  # [chosen] from the 20-40 N m/rad in common use, for the heavier robot
    kd=1.0,  # [chosen] from the 0.5-1 N m s/rad in common use
    action_scale=0.25,  # in common use
    control_dt=0.02,
    payload_mount=(0.0, 0.0, 0.09),  # [chosen] a box on the back
)
