# The robot's side under ROS 2 Jazzy: the pip package, the workspace built, the launch file (docs/ros2.md).
FROM ros:jazzy-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*

# ROS 2's own modules stay in sight; its messages are compiled against numpy 1.
RUN python3 -m venv --system-site-packages /opt/dmcm
ENV PATH=/opt/dmcm/bin:$PATH
# `ros2` runs under the system's interpreter, and reads a launch file that imports the package.
ENV PYTHONPATH=/opt/dmcm/lib/python3.12/site-packages
WORKDIR /dmcm
COPY . .
# hadolint ignore=DL3013
RUN pip install --no-cache-dir 'numpy<2' '.[sim]'

WORKDIR /dmcm/ros2_ws
RUN . /opt/ros/jazzy/setup.bash \
 && apt-get update && rosdep update \
 && rosdep install --from-paths src --ignore-src -y \
 && rm -rf /var/lib/apt/lists/* \
 && python -m colcon build

# The shell is replaced by the launch, which Ctrl-C reaches and which ends every process.
ENTRYPOINT ["/dmcm/docker/ros2_entrypoint.sh"]
CMD ["ros2", "launch", "deploy", "quadruped.launch.py", "robot:=go1", "driver:=sim"]
