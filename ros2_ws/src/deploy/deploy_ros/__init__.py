"""The quadruped controller in ROS 2: everything but `node` and the other executables works without rclpy."""
