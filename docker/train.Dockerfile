# Training on a GPU: MuJoCo Warp, and MuJoCo on the CPU. Build from the repository's root (docker/README.md).
FROM nvidia/cuda:12.8.1-base-ubuntu24.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# git: a run records the commit of its code. libegl1: `dmcm play --video` renders without a screen.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends git libegl1 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/dmcm/bin:$PATH \
    MUJOCO_GL=egl \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
    OMP_WAIT_POLICY=passive
RUN python3 -m venv /opt/dmcm

WORKDIR /dmcm
# The libraries first, with an empty package in place of ours: what changes from day to day is below. pyproject.toml
# says which versions.
COPY pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN mkdir robots && touch robots/__init__.py \
 && pip install --no-cache-dir '.[sim,train,gpu]' \
 && pip uninstall --yes dmcm && rm -r robots
COPY . .
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --no-deps --editable .

# What is written belongs to whoever runs the container: docker run --user "$(id -u):$(id -g)"
ENV HOME=/tmp
VOLUME /dmcm/runs
ENTRYPOINT ["dmcm"]
CMD ["--help"]
