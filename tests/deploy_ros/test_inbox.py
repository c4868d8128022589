"""What the operator asks for reaches the control loop, and its answer comes back."""

import threading
from types import SimpleNamespace

import pytest
from deploy_ros.inbox import Gamepad, Inbox

from deploy.driver import Operator
from tests.deploy.fake_robot import FakeRobot


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Loop:
    """Steps a controller by hand or, entered as a context, in a thread, as the node does."""

    def __init__(self, controller, inbox):
        self.controller, self.inbox = controller, inbox
        self.robot = FakeRobot(controller.spec, controller.config.command_dt)
        self.wishes, self._end = [], threading.Event()
        inbox.open()

    def tick(self):
        state = self.robot.read()
        wish = self.inbox.commands(self.controller, state)
        self.wishes.append(wish)
        if wish is not None:
            self.robot.write(self.controller.step(state, wish))
            self.robot.wait()
        return wish

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        while not self._end.is_set():
            self.tick()

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def until(self, state):
        for _ in range(5000):
            if self.controller.state == state:
                return
            self.tick()
        raise AssertionError(f"state is {self.controller.state}, not {state}")


@pytest.fixture
def inbox():
    return Inbox(Clock())


@pytest.fixture
def loop(controller, inbox):
    return Loop(controller, inbox)


def test_velocity_goes_with_its_age(inbox, loop):
    assert loop.tick().age == float("inf")
    inbox.set_velocity(0.3, -0.1, 0.5)
    inbox._clock.now += 0.2
    wish = loop.tick()
    assert wish.velocity == (0.3, -0.1, 0.5) and wish.age == pytest.approx(0.2) and wish.event is None


def test_answers_are_the_controllers_own(inbox, loop):
    with loop:
        refused, granted = inbox.ask("walk"), inbox.ask("stand")
    assert not refused.accepted and "not allowed in state 'passive'" in refused.text
    assert granted.accepted and granted.text == "state is stand_up"


def test_stand_means_stand_up_from_lying_and_stop_from_walking(inbox, loop):
    with loop:
        inbox.ask("stand")
    loop.until("stand")
    with loop2(loop):
        assert inbox.ask("walk").accepted
        assert inbox.ask("stand").text == "state is stop"


def loop2(loop):
    loop._end.clear()
    return loop


def test_emergency_stop_goes_before_what_was_asked_for_earlier(inbox, loop):
    with loop:
        inbox.ask("stand")
    waiting = [threading.Thread(target=inbox.ask, args=("lie_down",)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    inbox.e_stop()
    assert loop.tick().event == "damping" and loop.controller.state == "damping"
    for _ in range(8):
        loop.tick()
    for thread in waiting:
        thread.join()
    assert loop.controller.state == "damping"


def test_asking_for_the_emergency_stop_is_answered(inbox, loop):
    with loop:
        assert inbox.ask("damping").accepted
    assert loop.controller.state == "damping"


def test_changes_are_made_between_steps_and_their_errors_are_refusals(inbox, loop):
    def change(controller):
        controller.set_terrain("the moon")
        return "done"

    with loop:
        assert inbox.change(lambda controller: f"in {controller.state}").text == "in passive"
        refused = inbox.change(change)
    assert not refused.accepted and "the moon" in refused.text


def test_says_when_nobody_answers_and_when_the_loop_does_not_run(controller):
    inbox = Inbox()
    assert "activate the node" in inbox.ask("stand").text
    inbox.open()
    assert "did not answer within 0.05 s" in inbox.ask("stand", patience=0.05).text
    inbox.close()
    assert not inbox.ask("stand").accepted and not inbox.is_open


def test_what_waits_when_the_loop_ends_is_refused(inbox, loop):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(inbox.ask("stand")))
    thread.start()
    while inbox._jobs.empty():
        pass
    inbox.stop()
    assert loop.tick() is None
    inbox.close()
    thread.join()
    assert answers[0].text == "the control loop has ended"


def test_a_routine_goes_before_velocities_and_other_requests_but_not_the_emergency_stop(inbox, loop):
    wishes = [Operator(event="stand_up"), Operator((0.1, 0.0, 0.0)), None]
    inbox.routine = lambda controller, state: wishes.pop(0)
    inbox.set_velocity(0.9, 0.0, 0.0)
    assert loop.tick().event == "stand_up"
    assert "cancel the action" in inbox.ask("lie_down").text
    inbox.e_stop()
    assert loop.tick() == Operator((0.1, 0.0, 0.0), "damping")
    assert loop.tick().velocity == (0.9, 0.0, 0.0) and inbox.routine is None


def joy(buttons=(), axes=(0.0,) * 6):
    return SimpleNamespace(buttons=[int(i in buttons) for i in range(8)], axes=list(axes))


AXES, BUTTONS, LIMIT = (1, 0, 3), (1, 0, 3, 2, 4), (1.0, 0.5, 2.0)


def test_gamepad_buttons_are_events_once():
    pad = Gamepad()
    assert pad.read(joy({1, 3}), AXES, BUTTONS, LIMIT) == (["damping", "walk"], None)
    assert pad.read(joy({1, 3}), AXES, BUTTONS, LIMIT) == ([], None)
    pad.read(joy(), AXES, BUTTONS, LIMIT)
    assert pad.read(joy({1}), AXES, BUTTONS, LIMIT)[0] == ["damping"]


def test_gamepad_gives_a_velocity_only_while_its_button_is_held():
    pad, axes = Gamepad(), (-1.0, 0.5, 0.0, 0.25, 0.0, 0.0)
    assert pad.read(joy((), axes), AXES, BUTTONS, LIMIT)[1] is None
    assert pad.read(joy({4}, axes), AXES, BUTTONS, LIMIT)[1] == (0.5, -0.5, 0.5)


def test_a_smaller_gamepad_reads_as_not_touched():
    assert Gamepad().read(SimpleNamespace(buttons=[1], axes=[]), AXES, BUTTONS, LIMIT) == (["stand"], None)
    assert Gamepad().read(joy({0}), AXES, (1, 0), LIMIT) == (["stand"], None)


@pytest.mark.parametrize(("axes", "velocity"), [((1, 0), (0.5, -0.5, 0.0)), ((), (0.0, 0.0, 0.0))])
def test_axes_that_are_not_given_read_as_not_touched(axes, velocity):
    assert Gamepad().read(joy({4}, (-1.0, 0.5, 0.0, 0.25)), axes, BUTTONS, LIMIT) == ([], velocity)
    assert Gamepad().read(joy({4}, (-1.0, 0.5, 0.0, 0.25)), (*AXES, 0), BUTTONS, LIMIT)[1] == (0.5, -0.5, 0.5)
