"""Twin node: a simulated SO-101 with its scene and its cameras, behind a serial port.

The arm itself has no topics here: the driver opens the port at ``link`` as it would open a real arm's. This node
publishes what the twin's cameras see (``table`` and ``wrist``), where the objects are, and how the task stands;
and ``/clock`` where the twin does not run in real time.
"""

import sys
import time
from itertools import chain

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from prana_msgs.srv import ResetScene
from prana_ros.cameras.intrinsics import pinhole
from prana_ros.cameras.mounting import camera_frames, optical_frame_of
from prana_ros.messages.diagnostics import OK, WARN, status_to_msg
from prana_ros.messages.object_markers import object_markers
from prana_ros.messages.standard import stamp_from_ns
from prana_ros.nodes import qos
from prana_ros.nodes.camera_publisher import CameraPublisher
from prana_ros.nodes.diagnostics import publish_diagnostics
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import ParameterError, declare
from prana_ros.nodes.run_node import run_node
from prana_ros.nodes.static_transforms import StaticTransforms
from prana_ros.simulation.scene import DISTRIBUTIONS, Scene, sample_scene, scene_distribution
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.twin import Twin, prefer_this_process
from prana_ros.simulation.twin_cameras import TwinCameras
from prana_ros.simulation.world import CAMERAS, World

CLOCK_PERIOD_NS = 4_000_000
OUTCOME_PERIOD_NS = 50_000_000
MARKER_PERIOD = 0.1
WATCH_PERIOD = 5.0
DRIVER_TIME = 120.0
"""Seconds that a driver may take to bring the arm to rest."""
SILENCE = 1.0
"""Seconds without a packet after which nobody drives the arm any more."""


class TwinNode(PranaNode):
    """Time runs from configure on, so that a driver finds an arm that behaves; images come while active."""

    def __init__(self) -> None:
        super().__init__("twin")
        declare(self, "link", "", "Where to put the symbolic link to the arm's serial port.")
        declare(self, "scene", "standard", "How scenes are drawn from a seed.", choices=tuple(DISTRIBUTIONS))
        declare(self, "seed", 0, "Seed of the first scene.", range=(0, None))
        declare(self, "real_time_factor", 1.0, "Simulated seconds per second; /clock unless 1.", range=(0.01, 100.0))
        declare(self, "camera_width", 320, "Width of the images in pixels.", range=(16, 1920))
        declare(self, "camera_height", 240, "Height of the images in pixels.", range=(16, 1080))
        declare(
            self, "camera_fps", 30, "Images a second of each camera; stamps are multiples of 1/fps.", range=(1, 120)
        )
        declare(self, "frame_prefix", "", "What the names of the arm's frames begin with, such as left/.")
        self._twin: Twin | None = None
        self._cameras: TwinCameras | None = None

    def configure(self) -> None:
        """Build the world, plug in the arm and let time run."""
        if not self.value("link"):
            raise ParameterError("parameter 'link' is empty; name the path for the link to the arm's port")
        size = (self.value("camera_width"), self.value("camera_height"))
        world = World(self._scene(self.value("seed")), camera_size=size)
        self._twin = Twin(world, [self.value("link")], self.value("real_time_factor"))
        self._monitor = TaskMonitor(world)
        self._real_time = self.value("real_time_factor") == 1.0
        self._publish_topics(world, *size)
        if not self._real_time:
            self._clock_publisher = self.create_publisher(Clock, "/clock", qos.CLOCK)
            self._twin.add_observer(self._publish_clock)
        self._twin.start()
        self.get_logger().info(f"the arm is at {self.value('link')} ({self._twin.buses[0].port})")

    def _publish_topics(self, world: World, width: int, height: int) -> None:
        prefix = self.value("frame_prefix")
        frames = {camera: optical_frame_of(camera, prefix) for camera in CAMERAS}
        self._images = {
            camera: CameraPublisher(self, camera, pinhole(width, height, world.field_of_view(camera)), frame)
            for camera, frame in frames.items()
        }
        self._transforms = StaticTransforms(self)
        self._publish_transforms(world)
        self._markers = self.create_lifecycle_publisher(MarkerArray, "~/markers", qos.LATCHED)
        self._outcome = self.create_lifecycle_publisher(String, "~/outcome", qos.LATCHED)
        self.create_service(ResetScene, "~/reset_scene", self._reset_scene)
        self.create_timer(MARKER_PERIOD, self._publish_markers)
        self.create_timer(WATCH_PERIOD, self._watch)
        publish_diagnostics(self, self._diagnose)
        self._lost_seconds, self._skipped = 0.0, 0
        self._published_outcome = ""

    def _publish_transforms(self, world: World) -> None:
        """Say where the cameras are in this scene."""
        prefix = self.value("frame_prefix")
        frames = (
            camera_frames(camera, world.camera_mounting(camera), prefix, optical_frame_of(camera, prefix))
            for camera in CAMERAS
        )
        self._transforms.publish(chain.from_iterable(frames))

    def activate(self) -> None:
        """Start the cameras and the judging of the task."""
        assert self._twin is not None
        self._cameras = TwinCameras(self._twin, self.value("camera_fps"), self._stamp_ns, self._publish_image)
        self._cameras.start()
        self._skipped = 0
        self._published_outcome = ""
        self._twin.add_observer(self._judge)

    def deactivate(self) -> None:
        """Stop the cameras; the arm and its time go on."""
        if self._twin is not None:
            self._twin.remove_observer(self._judge)
        if self._cameras is not None:
            self._cameras.stop()
            self._cameras = None

    def check_cleanup(self) -> None:
        """Refuse while a driver is connected: it would lose its arm, and a raised arm its torque."""
        if self._twin is not None and _hears_driver(self._twin):
            raise RuntimeError(f"a driver is connected to the arm at {self.value('link')}; clean up or stop it first")

    def cleanup(self) -> None:
        """Stop time and remove the port, once nobody drives the arm any more."""
        self.deactivate()
        if self._twin is not None:
            _await_driver(self._twin)
            self._twin.close()
            self._twin = None

    def _scene(self, seed: int) -> Scene:
        return sample_scene(scene_distribution(self.value("scene")), seed)

    def _stamp_ns(self, sim_time_ns: int, due_ns: int) -> int:
        """Stamp of the state that is due at a monotonic time: of the system's clock in real time, else simulated."""
        return due_ns + time.time_ns() - time.monotonic_ns() if self._real_time else sim_time_ns

    def _publish_image(self, camera: str, image, stamp_ns: int) -> None:
        self._images[camera].publish(image, stamp_ns)

    def _publish_clock(self, sim_time_ns: int, _due_ns: int) -> None:
        if sim_time_ns % CLOCK_PERIOD_NS == 0:
            self._clock_publisher.publish(Clock(clock=stamp_from_ns(sim_time_ns)))

    def _judge(self, sim_time_ns: int, _due_ns: int) -> None:
        """Publish what the episode would be called if it ended now, whenever that changes."""
        if sim_time_ns % OUTCOME_PERIOD_NS == 0:
            self._monitor.update()
            outcome = self._monitor.outcome()
            if outcome != self._published_outcome:
                self._published_outcome = outcome
                self._outcome.publish(String(data=outcome))

    def _reset_scene(self, request: ResetScene.Request, response: ResetScene.Response) -> ResetScene.Response:
        twin = self._twin
        if twin is None:
            response.message = "the twin is not configured"
            return response
        try:
            at_rest = twin.reset_scene(self._scene(request.seed))
        except (ValueError, RuntimeError) as error:
            response.message = str(error)
            return response
        self._monitor, self._published_outcome = TaskMonitor(twin.world), ""
        self._publish_transforms(twin.world)
        response.success = True
        place = "was put to rest" if at_rest else "stays where it is, because its torque is on"
        response.message = f"scene {request.seed} is laid out; the arm {place}"
        return response

    def _now(self) -> Time:
        if self._real_time or self._twin is None:
            return self.get_clock().now().to_msg()
        return stamp_from_ns(self._twin.sim_time_ns)

    def _publish_markers(self) -> None:
        if self._twin is not None and self.is_active:
            self._markers.publish(object_markers(self._twin.world, self._now(), self.value("frame_prefix")))

    def _diagnose(self) -> list[DiagnosticStatus]:
        twin, cameras = self._twin, self._cameras
        if twin is None:
            return []
        values = (
            ("real-time factor", f"{twin.real_time_factor:g}"),
            ("simulated time (s)", f"{1e-9 * twin.sim_time_ns:.1f}"),
            ("simulated time lost (s)", f"{twin.lost_seconds:.2f}"),
            ("images left out", cameras.skipped if cameras is not None else 0),
            ("packets answered", twin.packets),
        )
        slow = twin.lost_seconds > self._lost_seconds
        message = "too slow for its real-time factor" if slow else "runs"
        name = self.get_fully_qualified_name()
        return [status_to_msg(name, message, values, WARN if slow else OK, self.value("link"))]

    def _watch(self) -> None:
        """Say what was lost since the last time; end the process where the simulation has failed."""
        twin, cameras = self._twin, self._cameras
        failure = (twin and twin.failure) or (cameras and cameras.failure)
        if failure:
            self.get_logger().fatal(f"the simulation has stopped: {failure!r}")
            self.finish(1)
        if twin is not None and twin.lost_seconds > self._lost_seconds:
            self.get_logger().warning(
                f"this machine is too slow for {twin.real_time_factor:g} times real time: "
                f"{twin.lost_seconds:.2f} s of simulated time lost so far"
            )
            self._lost_seconds = twin.lost_seconds
        if cameras is not None and cameras.skipped > self._skipped:
            self.get_logger().warning(f"{cameras.skipped} camera images left out so far: drawing them took too long")
            self._skipped = cameras.skipped


def _hears_driver(twin: Twin) -> bool:
    packets, end = twin.packets, time.monotonic() + SILENCE
    while twin.packets == packets and time.monotonic() < end:
        time.sleep(0.02)
    return twin.packets != packets


def _await_driver(twin: Twin) -> None:
    """Wait while a driver brings the arm to rest: a Ctrl-C in a terminal reaches the driver and the twin at once.

    A driver that has switched the torque off, or whose port has fallen silent, has nothing left to do.
    """
    end = time.monotonic() + DRIVER_TIME
    packets = -1
    while twin.is_driven and packets != (packets := twin.packets) and time.monotonic() < end:
        time.sleep(SILENCE)


def main() -> int:
    """Run the node until it is stopped."""
    prefer_this_process()
    return run_node(TwinNode)


if __name__ == "__main__":
    sys.exit(main())
