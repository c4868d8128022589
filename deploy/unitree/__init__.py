"""Drivers of Unitree robots: Go2 over DDS, Go1 over UDP, and the other end of both wires for simulated robots."""
