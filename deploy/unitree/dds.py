"""DDS as Unitree's robots speak it: participants on one interface, topics by name, and the motion switcher."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from xml.sax.saxutils import quoteattr

from deploy.unitree.idl import types

LOW_CMD, LOW_STATE, WIRELESS = "rt/lowcmd", "rt/lowstate", "rt/wirelesscontroller"
MOTION_REQUEST, MOTION_RESPONSE = "rt/api/motion_switcher/request", "rt/api/motion_switcher/response"
CHECK_MODE, RELEASE_MODE = 1001, 1003  # calls of the motion switcher
NOT_IMPLEMENTED = 3203  # status of a call that the service does not have
ROBOT_DOMAIN, SIMULATION_DOMAIN = 0, 1
URI = "CYCLONEDDS_URI"


def configuration(interface: str) -> str:
    """Return the configuration that keeps Cyclone DDS on one network interface, XML.

    The loopback interface has no multicast flag; discovery works there once it is told to use multicast all the same.
    """
    multicast = "true" if interface == "lo" else "default"
    pinned = f'<NetworkInterface name={quoteattr(interface)} multicast="{multicast}"/>'
    general = f"<General><Interfaces>{pinned}</Interfaces></General>"
    return f'<CycloneDDS><Domain Id="any">{general}</Domain></CycloneDDS>'


def participant(domain: int, interface: str) -> Any:
    """Join a domain on one interface; an empty one leaves the choice to CYCLONEDDS_URI or to Cyclone DDS.

    Raises:
        ModuleNotFoundError: if cyclonedds is not installed.
        OSError: if the domain cannot be joined on that interface.
    """
    from cyclonedds.core import DDSException
    from cyclonedds.domain import DomainParticipant

    before = os.environ.get(URI)
    if interface:
        os.environ[URI] = configuration(interface)
    try:
        return DomainParticipant(domain)
    except DDSException:
        where = f"interface '{interface}'" if interface else "the default interface"
        known = ", ".join(sorted(os.listdir("/sys/class/net"))) if os.path.isdir("/sys/class/net") else "unknown"
        raise OSError(f"cannot join DDS domain {domain} on {where}: interfaces here are {known}") from None
    finally:
        if interface:
            os.environ.pop(URI)
            if before is not None:
                os.environ[URI] = before


def writer(of: Any, topic: str, kind: type) -> Any:
    """Return a writer as the maker's are: reliable, the newest sample only."""
    from cyclonedds.pub import DataWriter
    from cyclonedds.topic import Topic

    return DataWriter(of, Topic(of, topic, kind))


def reader(of: Any, topic: str, kind: type, depth: int = 1, others_only: bool = False) -> Any:
    """Return a best-effort reader, which takes whatever a writer offers.

    Args:
        of: participant.
        topic: its name.
        kind: one of `types()`.
        depth: samples that are kept until they are taken.
        others_only: leave out what this participant itself writes.
    """
    from cyclonedds.qos import Policy, Qos
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    policies = [Policy.History.KeepLast(depth)]
    if others_only:
        policies.append(Policy.IgnoreLocal.Participant)
    return DataReader(of, Topic(of, topic, kind), Qos(*policies))


def take(of: Any, count: int = 1) -> list[Any]:
    """Return what a reader has received since the last time, without what says that a writer has gone."""
    return [sample for sample in of.take(count) if sample.sample_info.valid_data]


def write(by: Any, sample: Any) -> bool:
    """Send a sample and return whether it was taken; a reader that hangs can make a reliable writer refuse."""
    from cyclonedds.core import DDSException

    try:
        by.write(sample)
    except DDSException:
        return False
    return True


class Rivals:
    """Watches for other programs that command the robot.

    Attributes:
        present: writers of LowCmd besides this participant's.
        heard: commands that they have sent.
    """

    def __init__(self, of: Any) -> None:
        self.present = self.heard = 0
        self._commands = reader(of, LOW_CMD, types().LowCmd, depth=16, others_only=True)

    def poll(self) -> None:
        """See who is there and what they have sent."""
        self.heard += len(take(self._commands, 16))
        self.present = len(self._commands.get_matched_publications())


class MotionSwitcher:
    """Asks which of the robot's own controllers is active, and releases it; never blocks.

    Attributes:
        mode: name of the active controller, "" if there is none, None while nobody has answered.
    """

    def __init__(self, of: Any) -> None:
        self.mode: str | None = None
        self._requests = writer(of, MOTION_REQUEST, types().Request)
        self._responses = reader(of, MOTION_RESPONSE, types().Response, depth=8)
        self._asked: set[int] = set()

    def forget(self) -> None:
        """Take no answer to what has been asked so far: the robot may have been restarted since."""
        self.mode = None
        self._asked.clear()

    def ask(self, call: int = CHECK_MODE) -> None:
        """Send a request; `poll` takes the answer."""
        t, number = types(), time.time_ns()
        header = t.RequestHeader(t.RequestIdentity(number, call), t.RequestLease(0), t.RequestPolicy(0, False))
        self._requests.write(t.Request(header, "{}", []))
        if call == CHECK_MODE:
            self._asked.add(number)

    def poll(self) -> str | None:
        """Take the answers that have arrived and return `mode`."""
        for answer in take(self._responses, 8):
            if answer.header.identity.id not in self._asked or answer.header.status.code != 0:
                continue
            self._asked.discard(answer.header.identity.id)
            try:
                self.mode = str(json.loads(answer.data).get("name") or "")
            except (ValueError, AttributeError):
                continue
        return self.mode

    def wait(self, seconds: float) -> str | None:
        """Ask until somebody answers or the time is up, and return the mode."""
        self.forget()
        end = time.monotonic() + seconds
        while self.mode is None and time.monotonic() < end:
            self.ask()
            pause = time.monotonic() + 0.2
            while self.poll() is None and time.monotonic() < pause:
                time.sleep(0.01)
        return self.mode
