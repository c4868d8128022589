"""The action server of `adapt_context`: goals in, feedback once a second, the result at the end.

A goal that was accepted is executed only when its outcome is there: an execute callback that waits would stop the
executor, and one that awaits would keep it spinning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rosidl_runtime_py.utilities import get_action

from deploy_ros import interface
from deploy_ros.adaptation import Adaptation, Feedback, Goal, Outcome


class AdaptContext:
    """Runs one adaptation at a time.

    Args:
        node: owner.
        start: begins an adaptation; None where it cannot.
    """

    def __init__(self, node: Node, start: Callable[[Goal], Adaptation | None]) -> None:
        action = interface.ACTIONS[0]
        self._node, self._start, self._type = node, start, get_action(action.type)
        self._goal: Any = None
        self._adaptation: Adaptation | None = None
        self._server = ActionServer(
            node,
            self._type,
            action.name,
            self._execute,
            goal_callback=self._admit,
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
        )
        node.create_timer(1.0, self._tell)
        node.create_timer(0.5, self._finish)

    def _admit(self, request: Any) -> GoalResponse:
        if self._goal is not None:
            self._node.get_logger().warning("adapt_context refused: one is running")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accept(self, handle: Any) -> None:
        request = handle.request
        self._goal = handle
        self._adaptation = self._start(Goal(float(request.seconds), request.speed_profile, bool(request.accept)))
        if self._adaptation is None:
            handle.execute()

    def _cancel(self, handle: Any) -> CancelResponse:
        if self._adaptation is not None:
            self._adaptation.cancel()
        return CancelResponse.ACCEPT

    def _tell(self) -> None:
        if self._goal is not None and self._adaptation is not None:
            self._goal.publish_feedback(feedback_message(self._type.Feedback(), self._adaptation.feedback()))

    def _finish(self) -> None:
        if self._adaptation is not None and self._adaptation.outcome is not None and self._goal is not None:
            goal, self._goal = self._goal, None
            goal.execute()

    def _execute(self, handle: Any) -> Any:
        """Return the outcome, which is there."""
        adaptation, self._adaptation, self._goal = self._adaptation, None, None
        outcome = adaptation.outcome if adaptation else None
        outcome = outcome or Outcome(False, "the control loop does not run: activate the node")
        if handle.is_cancel_requested:
            handle.canceled()
        elif outcome.accepted or outcome.report:
            handle.succeed()
        else:
            handle.abort()
        if not outcome.accepted:
            self._node.get_logger().warning(f"adapt_context: {outcome.reason}")
        result = self._type.Result()
        result.accepted, result.reason = outcome.accepted, outcome.reason
        result.context, result.report = outcome.context, outcome.report
        return result


def feedback_message(message: Any, feedback: Feedback) -> Any:
    """Put feedback into its message."""
    message.phase, message.progress, message.walked = feedback.phase, feedback.progress, feedback.walked
    message.quality, message.error = feedback.quality, feedback.error
    return message
