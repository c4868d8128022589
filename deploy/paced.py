"""A simulated robot in real time."""

from __future__ import annotations

from deploy.driver import JointCommand, Operator, RobotDriver, StateLike
from deploy.loop import Pacer


class Paced:
    """A driver whose `wait` takes as long as its period says; satisfies `deploy.driver.RobotDriver`.

    Args:
        driver: a simulation, whose own `wait` returns when it has been computed.
    """

    def __init__(self, driver: RobotDriver) -> None:
        self.robot, self.joint_names, self.command_dt = driver.robot, driver.joint_names, driver.command_dt
        self.serial, self._driver, self._pacer = driver.serial, driver, Pacer(driver.command_dt)

    @property
    def problem(self) -> str | None:
        """What the simulation knows to be wrong."""
        return self._driver.problem

    def read(self) -> StateLike | None:
        """Return the latest state."""
        return self._driver.read()

    def write(self, command: JointCommand) -> None:
        """Send a command."""
        self._driver.write(command)

    def remote(self) -> Operator | None:
        """Return what the remote asks for."""
        return self._driver.remote()

    def wait(self) -> None:
        """Advance the simulation, and block until the next command period."""
        self._driver.wait()
        self._pacer.wait()

    def close(self) -> None:
        """Release the simulation."""
        self._driver.close()
