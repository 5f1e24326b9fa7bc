"""The camera node with a defect: from the third image on its source raises what no camera raises."""

import sys

import prana_ros.nodes.camera as node
from prana_ros.cameras.source import Frame


class Source(node.FileSource):
    images = 0

    def read(self) -> Frame:
        self.images += 1
        if self.images > 2:
            raise ZeroDivisionError("a defect")
        return super().read()


node.FileSource = Source

if __name__ == "__main__":
    sys.exit(node.main())
