"""Which parameters the nodes of a graph get: the packaged ones, and a ROS parameter file of the user's on top."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from prana_ros import resources
from prana_ros.graphs.spec import Graph, GraphError, NodeSpec

ROOT = "ros__parameters"


def parameters_of(graph: Graph, name: str) -> dict[str, Any]:
    """Return all parameters that a node of the graph is started with."""
    spec = next(spec for spec in graph.nodes if spec.name == name)
    packaged = {}
    if spec.parameter_file is not None:
        path = Path(resources.packaged(*spec.parameter_file.path.split("/")))
        packaged = yaml.safe_load(path.read_text(encoding="utf-8"))["/**"][ROOT]
    return {**packaged, **spec.parameters}


def with_parameter_file(graph: Graph, path: str) -> Graph:
    """Return the graph whose nodes have the parameters of the file at ``path``; the same graph if it is empty.

    Names and values are the nodes' own to judge, at configure. What is judged here is what no node would notice: a
    section for a node that the graph does not have, and a parameter that an argument sets.

    Raises:
        GraphError: one sentence that names file, node and parameter.
    """
    if not path:
        return graph
    own: dict[str, dict[str, Any]] = {spec.name: {} for spec in graph.nodes}
    for pattern, parameters in _sections(path):
        matching = [spec for spec in graph.nodes if _matches(pattern, graph.full_name(spec))]
        if not matching:
            raise _no_such_node(path, pattern, graph)
        for spec in matching:
            own[spec.name] |= _checked(path, spec, parameters)
    return replace(graph, nodes=tuple(replace(n, parameters={**n.parameters, **own[n.name]}) for n in graph.nodes))


def _checked(path: str, spec: NodeSpec, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in parameters:
        if name in spec.parameters:
            raise GraphError(
                f"params_file {path} sets '{name}' of {spec.name}, which an argument of the graph sets: give it there "
                "and leave it out of the file."
            )
    return parameters


def _sections(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pattern of node names and the parameters of each section."""
    for pattern, section in _content(path).items():
        if not (isinstance(section, dict) and set(section) == {ROOT} and isinstance(section[ROOT], dict)):
            raise GraphError(
                f"params_file {path}: the section '{pattern}' must hold '{ROOT}' with a mapping of parameters, and "
                "nothing else."
            )
        parameters = dict(_flat(section[ROOT]))
        for name, value in parameters.items():
            if value is None or value == []:
                raise GraphError(f"params_file {path}: '{name}' of '{pattern}' has no value: give one or leave it out.")
        yield str(pattern), parameters


def _content(path: str) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GraphError(f"params_file {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except yaml.YAMLError as error:
        raise GraphError(f"params_file {path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise GraphError(f"params_file {path} holds {content!r}; it must map names of nodes to their parameters.")
    return content


def _flat(parameters: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested parameters under their dotted names, as ROS has them."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _matches(pattern: str, full_name: str) -> bool:
    """Whether a section is for a node: a name, with or without namespace; ``*`` is one part of it, ``**`` any."""
    if pattern in (full_name, full_name.rpartition("/")[2]):
        return True
    parts = ["(/[^/]+)*" if part == "**" else f"/{re.escape(part).replace(r'\*', '[^/]*')}" for part in _parts(pattern)]
    return "*" in pattern and re.fullmatch("".join(parts), full_name) is not None


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part]


def _no_such_node(path: str, pattern: str, graph: Graph) -> GraphError:
    names = [spec.name for spec in graph.nodes]
    nearest = difflib.get_close_matches(pattern.rpartition("/")[2], names, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(names)}."
    return GraphError(f"params_file {path} has a section '{pattern}', but this graph has no such node: {hint}")
