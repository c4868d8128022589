#!/bin/bash
# Runs a command with ROS 2 and the workspace in sight.
set -e
source /opt/ros/jazzy/setup.bash
source /dmcm/ros2_ws/install/setup.bash
exec "$@"
