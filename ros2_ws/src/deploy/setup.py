"""Installs the module, its executables, the launch file and the configuration."""

from glob import glob

from setuptools import setup

setup(
    name="deploy",
    version="0.1.0",
    packages=["deploy_ros"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/deploy"]),
        ("share/deploy", ["package.xml"]),
        ("share/deploy/launch", glob("launch/*.launch.py")),
        ("share/deploy/config", glob("config/*")),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="the DMCM stack authors",
    maintainer_email="maintainers@dmcm.invalid",
    description="The quadruped controller as a lifecycle node",
    license="BSD-3-Clause",
    entry_points={
        "console_scripts": [
            "quadruped_controller = deploy_ros.node:main",
            "damp = deploy_ros.damp:main",
            "teleop_key = deploy_ros.teleop_key:main",
            "describe = deploy_ros.describe:main",
            "jitter = deploy_ros.jitter:main",
            "view = deploy_ros.view:main",
        ],
    },
)
