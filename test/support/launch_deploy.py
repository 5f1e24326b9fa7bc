"""A script that does what ``ros2 launch prana_ros deploy.launch.py NAME:=VALUE ...`` does, where there is no ros2."""

import sys

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchService
from prana_ros.resources import packaged

if __name__ == "__main__":
    arguments = [tuple(argument.split(":=", 1)) for argument in sys.argv[1:]]
    service = LaunchService()
    source = PythonLaunchDescriptionSource(str(packaged("launch", "deploy.launch.py")))
    service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=arguments))
    sys.exit(service.run())
