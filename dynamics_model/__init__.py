"""Learning what a robot and a terrain do to the motion: contexts by meta-learning, their bank, and export."""
