"""Installs the module and its executable."""

from setuptools import setup

setup(
    name="deploy_sim",
    version="0.1.0",
    packages=["deploy_sim"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/deploy_sim"]),
        ("share/deploy_sim", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="the DMCM stack authors",
    maintainer_email="maintainers@dmcm.invalid",
    description="A simulated quadruped that speaks the topics of a real one",
    license="BSD-3-Clause",
    entry_points={"console_scripts": ["simulated_robot = deploy_sim.simulated_robot:main"]},
)
