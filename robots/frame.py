"""The one definition of what the dynamics model sees of a robot at a control step, in the lab and in the field."""

FRAME = (
    ("angular_velocity", 3),  # base frame, rad/s
    ("projected_gravity", 3),  # base frame, unit vector
    ("joint_position", 12),  # from the default pose, rad
    ("joint_velocity", 12),  # rad/s
    ("action", 12),  # the policy's output that is applied during the step
)
FRAME_SIZE = sum(size for _, size in FRAME)
STATE_SIZE = FRAME_SIZE - 12  # what one step changes, and the model predicts: the frame without its action
