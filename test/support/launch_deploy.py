"""``ros2 launch prana_ros deploy.launch.py NAME:=VALUE ...`` of this checkout, installed or not."""

import sys

from ros2cli.cli import main

from prana_ros.resources import packaged

if __name__ == "__main__":
    sys.argv[1:1] = ["launch", str(packaged("launch", "deploy.launch.py"))]
    sys.exit(main())
