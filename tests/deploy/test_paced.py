"""A simulated robot in real time is still that robot."""

from deploy.paced import Paced
from robots.joints import JOINT_NAMES
from tests.deploy.fake_robot import FakeRobot


def test_everything_passes_through(spec, controller):
    robot = FakeRobot(spec)
    robot.problem = "for the test"
    paced = Paced(robot)
    assert (paced.robot, paced.joint_names, paced.command_dt) == ("go1", JOINT_NAMES, robot.command_dt)
    assert (paced.serial, paced.problem, paced.remote()) == (robot.serial, "for the test", None)
    command = controller.damping_command()
    paced.write(command)
    before = paced.read().stamp
    paced.wait()
    assert robot.commands == [command] and paced.read().stamp > before
    paced.close()
    assert robot.closed
