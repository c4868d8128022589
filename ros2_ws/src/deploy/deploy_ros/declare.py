"""From the tables of `interface` to rclpy's objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rosidl_runtime_py.utilities import get_message

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

from deploy_ros import interface
from deploy_ros.interface import Parameter, Qos, Topic


class Polled(ReentrantCallbackGroup):
    """Subscriptions that a loop reads by itself, with `taken`; the executor serves their events only.

    An executor that wakes for every message holds the interpreter for 1 ms each time, and the loop is late.
    """

    def can_execute(self, entity: Any) -> bool:
        """Tell the executor to leave the messages alone."""
        return not isinstance(entity, Subscription)


def taken(subscription: Subscription) -> list[Any]:
    """Return the messages that have come since the last call, without waiting."""
    found = []
    with subscription.handle:
        while (message := subscription.handle.take_message(subscription.msg_type, False)) is not None:
            found.append(message[0])
    return found


def newest(subscription: Subscription) -> Any | None:
    """Return the newest message that has come since the last call, None if none has, without waiting."""
    found = taken(subscription)
    return found[-1] if found else None


def quality(qos: Qos) -> QoSProfile:
    """Return rclpy's quality of service."""
    profile = QoSProfile(
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.latched else DurabilityPolicy.VOLATILE,
    )
    if qos.deadline is not None:
        profile.deadline = Duration(seconds=qos.deadline)
    if qos.lease is not None:
        profile.liveliness_lease_duration = Duration(seconds=qos.lease)
    return profile


def subscribed(name: str) -> Topic:
    """Return the subscribed topic of that name."""
    return next(topic for topic in interface.SUBSCRIBED if topic.name == name)


def published(name: str) -> Topic:
    """Return the published topic of that name."""
    return next(topic for topic in interface.PUBLISHED if topic.name == name)


def subscribe(node: Node, topic: Topic, kind: str | None = None, **watched: Callable[[Any], None]) -> Subscription:
    """Return a subscription that is to be read with `taken` or `newest`.

    Args:
        node: owner.
        topic: what.
        kind: other ROS 2 type than the topic's.
        watched: callbacks of the middleware's events `deadline` and `liveliness`.
    """
    return node.create_subscription(
        get_message(kind or topic.type),
        topic.name,
        lambda _: None,
        quality(topic.qos),
        callback_group=Polled(),
        event_callbacks=SubscriptionEventCallbacks(**watched),
    )


def publisher_events(**watched: Callable[[Any], None]) -> PublisherEventCallbacks:
    """Return callbacks of a publisher's events `deadline` and `liveliness`."""
    return PublisherEventCallbacks(**watched)


def declare(node: Node, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Declare the parameters and return their values."""
    return {p.name: node.declare_parameter(p.name, p.default, descriptor(p)).value for p in parameters}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return a parameter's description, range and choices."""
    made = ParameterDescriptor(description=parameter.text, read_only=parameter.read_only)
    if parameter.choices:
        made.additional_constraints = f"one of: {', '.join(parameter.choices)}"
    if parameter.lower is not None and parameter.upper is not None:
        if isinstance(parameter.default, float):
            made.floating_point_range = [FloatingPointRange(from_value=parameter.lower, to_value=parameter.upper)]
        else:
            bounds = IntegerRange(from_value=int(parameter.lower), to_value=int(parameter.upper))
            made.integer_range = [bounds]
    return made
