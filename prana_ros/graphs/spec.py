"""A graph of nodes as data. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PACKAGE = "prana_ros"


@dataclass(frozen=True)
class PackagedPath:
    """A file or folder that the package ships, relative to its root: what starts the node finds where it lies."""

    path: str


class GraphError(ValueError):
    """An option that no graph can be built from; the message is one sentence for the user."""


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph.

    ``parameters`` override those of ``parameter_file``; a :class:`PackagedPath` among them or among ``arguments``
    stands for the absolute path. ``activates_after`` names a later node that must be active before this one is
    activated. ``ends_graph`` marks the node whose clean exit means
    that the work is done. ``stop_time`` (s) is how long an orderly stop may take before it is forced.
    """

    name: str
    package: str
    executable: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameter_file: PackagedPath | None = None
    arguments: tuple[str | PackagedPath, ...] = ()
    lifecycle: bool = True
    activates_after: str = ""
    ends_graph: bool = False
    stop_time: float = 60.0


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they are started; they are stopped in the opposite order."""

    namespace: str
    nodes: tuple[NodeSpec, ...]

    def full_name(self, node: NodeSpec) -> str:
        """Return the node's name as the ROS graph reports it, such as ``/arm/policy``."""
        return f"{self.namespace}/{node.name}"

    @property
    def transitions(self) -> tuple[tuple[NodeSpec, str], ...]:
        """Return which node is to ``configure`` or to ``activate``, one after the other, until the graph is up."""
        steps, waiting = [], []
        for node in (node for node in self.nodes if node.lifecycle):
            steps.append((node, "configure"))
            if node.activates_after:
                waiting.append(node)
                continue
            steps.append((node, "activate"))
            steps += [(other, "activate") for other in waiting if other.activates_after == node.name]
        return tuple(steps)

    @property
    def stop_order(self) -> tuple[NodeSpec, ...]:
        """Return the nodes in the order in which they are stopped."""
        return tuple(reversed(self.nodes))
