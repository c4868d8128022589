from sim.gl import choose_offscreen

choose_offscreen()  # before any test imports mujoco
