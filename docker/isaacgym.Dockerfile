# Training with Isaac Gym Preview 4: two interpreters, the trainer's and Isaac Gym's Python 3.8 (docs/isaacgym.md).
#
# NVIDIA gives the archive to registered developers only, so it comes from a folder of yours, the build context `isaacgym`:
#   docker build -f docker/isaacgym.Dockerfile --build-context isaacgym=FOLDER_WITH_THE_ARCHIVE -t dmcm-isaacgym .
FROM nvidia/cuda:11.8.0-base-ubuntu20.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Ubuntu 20.04's python3 is 3.8. g++ and ninja-build: Isaac Gym compiles its bridge to torch on first use.
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    ca-certificates g++ git libegl1 libgl1 libgomp1 libpython3.8 libvulkan1 ninja-build python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*

# Isaac Gym's interpreter: torch 2.4 is the last for Python 3.8; Isaac Gym uses np.float, which numpy 1.24 dropped.
# hadolint ignore=DL3013
RUN python3 -m venv /opt/isaacgym-python \
 && /opt/isaacgym-python/bin/pip install --no-cache-dir 'numpy<1.24' torch==2.4.1 'setuptools<70' wheel uv
# hadolint ignore=DL3022
COPY --from=isaacgym IsaacGym_Preview_4_Package.tar.gz /tmp/isaacgym.tar.gz
RUN tar --extract --gzip --file /tmp/isaacgym.tar.gz --directory /opt \
 && /opt/isaacgym-python/bin/pip install --no-cache-dir --no-deps --editable /opt/isaacgym/python \
 && rm /tmp/isaacgym.tar.gz

# The trainer's interpreter: uv brings a Python that Ubuntu 20.04 does not have.
ENV DMCM_ISAACGYM_PYTHON=/opt/isaacgym-python/bin/python \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
    OMP_WAIT_POLICY=passive \
    PATH=/opt/dmcm/bin:$PATH \
    UV_PYTHON_INSTALL_DIR=/opt/python
RUN /opt/isaacgym-python/bin/uv venv --python 3.12 --seed /opt/dmcm

WORKDIR /dmcm
# The libraries first, with an empty package in place of ours: what changes from day to day is below. pyproject.toml
# says which versions.
COPY pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN mkdir robots && touch robots/__init__.py \
 && pip install --no-cache-dir '.[sim,train]' \
 && pip uninstall --yes dmcm && rm -r robots
COPY . .
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --no-deps --editable .

# What is written belongs to whoever runs the container: docker run --user "$(id -u):$(id -g)"
ENV HOME=/tmp
VOLUME /dmcm/runs
ENTRYPOINT ["dmcm"]
CMD ["train", "policy", "--env.sim", "isaacgym", "--help"]
