"""Cameras that have another name on the robot than in the checkpoint.

A camera of the robot is a ROS node, so its name is a ROS name; a checkpoint's camera has any name that was given when
the data were recorded: ``Top-View``, ``cam.high``. The text ``table=Top-View,wrist=cam.high`` says which is which, the
robot's name first. A camera that the text leaves out has the same name on both sides.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from prana_ros.inference.loaded_policy import LoadedPolicy

EXAMPLE = "camera_keys is a list such as table=Top-View,wrist=cam.high"
_ROS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CameraKeysError(ValueError):
    """Cameras that cannot be told apart by these keys; the message is one sentence."""


def read_camera_keys(text: str) -> dict[str, str]:
    """The checkpoint's key of each of the robot's cameras that the text names.

    Raises:
        CameraKeysError: if the text is not a list of pairs, or names a camera or a key twice.
    """
    keys: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        camera, equals, key = (part.strip() for part in entry.partition("="))
        if not (camera and equals and key):
            raise CameraKeysError(f"camera_keys holds {entry!r}, which is no pair camera=key; {EXAMPLE}.")
        if camera in keys:
            raise CameraKeysError(f"camera_keys gives camera {camera!r} two keys, {keys[camera]} and {key}.")
        if key in keys.values():
            other = next(name for name, given in keys.items() if given == key)
            raise CameraKeysError(f"camera_keys gives the key {key!r} to two cameras, {other} and {camera}.")
        keys[camera] = key
    return keys


def with_robot_names(policy: LoadedPolicy, keys: Mapping[str, str], robot_cameras: Iterable[str] = ()) -> LoadedPolicy:
    """The policy with its cameras called as the robot calls them.

    Args:
        policy: as it was loaded.
        keys: the checkpoint's key of each camera with another name, with or without ``observation.images.``.
        robot_cameras: all names of the robot's cameras; empty where they are not known.

    Raises:
        CameraKeysError: if a camera or a key does not exist, or two cameras are left for one name.
    """
    names = _robot_names(policy, keys, tuple(robot_cameras))
    return replace(
        policy,
        spec=replace(policy.spec, cameras={names[name]: shape for name, shape in policy.spec.cameras.items()}),
        image_keys={names[name]: key for name, key in policy.image_keys.items()},
    )


def _robot_names(policy: LoadedPolicy, keys: Mapping[str, str], robot_cameras: tuple[str, ...]) -> dict[str, str]:
    """The robot's name of each of the checkpoint's cameras."""
    names: dict[str, str] = {}
    present = _list(policy.image_keys)
    for camera, key in keys.items():
        if robot_cameras and camera not in robot_cameras:
            raise CameraKeysError(
                f"camera_keys names the camera {camera!r}; this robot has {_list(robot_cameras)}, the checkpoint "
                f"{present}."
            )
        name = next((name for name, feature in policy.image_keys.items() if key in (name, feature)), None)
        if name is None:
            raise CameraKeysError(f"camera_keys gives camera {camera!r} the key {key!r}; the checkpoint has {present}.")
        if name in names:
            raise CameraKeysError(
                f"camera_keys gives the key {name!r} to two cameras, {names[name]} and {camera}; the checkpoint has "
                f"{present}."
            )
        names[name] = camera
    for name in (name for name in policy.image_keys if name not in names):
        if name in keys:
            raise CameraKeysError(
                f"camera_keys gives camera {name!r} the key {keys[name]!r}, but the checkpoint has a camera {name!r} "
                f"too; name a camera for each of {present}."
            )
        names[name] = name
    return names


def is_ros_name(camera: str) -> bool:
    """Whether a camera's topics can be called by this name."""
    return _ROS_NAME.fullmatch(camera) is not None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "no cameras"
