"""The simulated robot as a ROS 2 node; a package of its own, so that nothing on a robot needs a simulator."""
