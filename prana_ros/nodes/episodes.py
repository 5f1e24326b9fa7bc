"""Runs a series of episodes, on the twin or on the arm, then ends: with it the graph comes down."""

import sys
import threading
import traceback
from typing import Any

from std_msgs.msg import Header

from prana_msgs.msg import EpisodeStatus
from prana_ros.episodes.series import EXIT_BROKEN_OFF, Series, SeriesState, broken_off
from prana_ros.messages.standard import stamp_from_ns
from prana_ros.nodes import qos
from prana_ros.nodes.episode_environment import RosEnvironment
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import Changeable, declare
from prana_ros.nodes.run_node import run_node

STATUS_PERIOD = 0.2
"""Seconds between two reports without a change."""

_STATES = {
    SeriesState.IDLE: EpisodeStatus.STATE_IDLE,
    SeriesState.RESETTING: EpisodeStatus.STATE_RESETTING,
    SeriesState.RUNNING: EpisodeStatus.STATE_RUNNING,
    SeriesState.DONE: EpisodeStatus.STATE_DONE,
}


class EpisodesNode(PranaNode):
    """Publishes ``~/status`` and calls driver, policy and twin; the process ends when the series is over.

    Deactivating ends the series but not the process: activating begins a series anew.

    On the twin a reset puts the objects where ``seed`` plus the episode's number says, and an episode ends as soon as
    the twin reports success. On the arm a person has ``reset_time`` seconds to reset the scene.
    """

    def __init__(self) -> None:
        super().__init__("episodes")
        declare(self, "sim", False, "Whether the arm is the twin, whose scene can be reset and judged.")
        declare(self, "dry_run", False, "Leave the arm where it is: the policy only shows what it would do.")
        declare(self, "episodes", 1, "Number of episodes.", (1, 100_000), changeable=Changeable.INACTIVE)
        live: dict[str, Any] = {"changeable": Changeable.ALWAYS}  # read anew for every episode
        declare(self, "task", "", "The task in words, given to the policy.", **live)
        declare(self, "episode_time", 30.0, "Seconds after which an episode ends.", (0.1, 86_400.0), **live)
        declare(self, "reset_time", 10.0, "Seconds for a person to reset the scene.", (0.0, 86_400.0), **live)
        declare(self, "seed", 0, "Seed of the first episode's scene on the twin.", (0, None), **live)
        self._series: Series | None = None
        self._thread: threading.Thread | None = None
        self._state_since_ns = 0
        self._outcomes_said = 0

    def configure(self) -> None:
        """Create the report, and the clients of the other nodes."""
        self._status = self.create_lifecycle_publisher(EpisodeStatus, "~/status", qos.REPORT)
        self._environment = RosEnvironment(self)
        self.create_timer(STATUS_PERIOD, self._publish_status)

    def activate(self) -> None:
        """Begin the series."""
        self._environment.resume()
        self._outcomes_said = 0
        self._series = Series(self._environment, self.value("episodes"), self._on_change)
        self._thread = threading.Thread(target=self._run_series, args=(self._series,), name="series", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """End the series; a policy that runs is stopped."""
        self._environment.interrupt()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def cleanup(self) -> None:
        """Forget the series: the timer may be called once more when its publisher is gone already."""
        self._series = None

    def _run_series(self, series: Series) -> None:
        try:
            series.run()
        except Exception as error:
            # Nobody else would hear of an exception in this thread, and the series would seem to go on.
            self.get_logger().fatal(f"the series broke off: {error!r}\n{traceback.format_exc()}")
            self.finish(1)
            return
        if not self._environment.is_interrupted:
            self.finish(EXIT_BROKEN_OFF if broken_off(series.outcomes) else 0)

    def _on_change(self) -> None:
        if (series := self._series) is not None:
            for outcome in series.outcomes[self._outcomes_said :]:
                self._outcomes_said += 1
                self.get_logger().info(f"episode {self._outcomes_said} of {series.episodes}: {outcome}")
        self._state_since_ns = self.now_ns()
        self._publish_status()

    def _publish_status(self) -> None:
        series = self._series
        if series is None:
            return
        now_ns = self.now_ns()
        self._status.publish(
            EpisodeStatus(
                header=Header(stamp=stamp_from_ns(now_ns)),
                state=_STATES[series.state],
                episode=series.episode,
                episodes=series.episodes,
                elapsed=1e-9 * (now_ns - self._state_since_ns),
                task=self.value("task"),
                outcomes=list(series.outcomes),
            )
        )


def main() -> int:
    """Run the node until the series is over or it is stopped."""
    return run_node(EpisodesNode)


if __name__ == "__main__":
    sys.exit(main())
