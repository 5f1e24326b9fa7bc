"""A parameter file of the user's."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.bringup.parameters import parameters_of, with_parameter_file
from prana_ros.graphs.deploy import DeployOptions, build_graph
from prana_ros.graphs.spec import Graph, GraphError, NodeSpec

GRAPH = build_graph(DeployOptions(sim=True, policy_path="p", namespace="left"))


def written(tmp_path, content) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def section(**parameters):
    return {"ros__parameters": parameters}


def test_without_a_file_the_graph_is_the_same():
    assert with_parameter_file(GRAPH, "") is GRAPH


@pytest.mark.parametrize("pattern", ["policy", "/left/policy", "/**/policy", "/*/policy", "/left/pol*"])
def test_a_section_reaches_the_node_that_it_names(tmp_path, pattern):
    graph = with_parameter_file(GRAPH, written(tmp_path, {pattern: section(mode="rolling", max_input_age=1.5)}))
    for spec, before in zip(graph.nodes, GRAPH.nodes, strict=True):
        own = {"mode": "rolling", "max_input_age": 1.5} if spec.name == "policy" else {}
        assert spec.parameters == {**before.parameters, **own}
        assert spec.parameter_file == before.parameter_file


def test_a_section_for_all_nodes_reaches_each_and_a_later_one_wins(tmp_path):
    content = {"/**": section(extra=1), "so101_driver": section(extra=2, nested={"deep": True})}
    graph = with_parameter_file(GRAPH, written(tmp_path, content))
    assert parameters_of(graph, "policy")["extra"] == 1
    assert parameters_of(graph, "so101_driver")["extra"] == 2
    assert parameters_of(graph, "so101_driver")["nested.deep"] is True


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"polcy": section(mode="rolling")},
            "a section 'polcy', but this graph has no such node: did you mean policy",
        ),
        ({"/right/policy": section(mode="rolling")}, "a section '/right/policy', but this graph has no such node"),
        ({"camera": section(fps=30.0)}, "no such node: it has twin, so101_driver, policy, episodes."),
        ({"policy": section(playback_rate=0.5)}, "sets 'playback_rate' of policy, which an argument of the graph sets"),
        ({"policy": {"mode": "rolling"}}, "the section 'policy' must hold 'ros__parameters'"),
        ({"policy": section(mode=None)}, "'mode' of 'policy' has no value: give one or leave it out."),
        ({"policy": section(joint_names=[])}, "'joint_names' of 'policy' has no value"),
        ("- a\n- b\n", "holds ['a', 'b']; it must map names of nodes to their parameters."),
        ("a: [", "is not YAML: while parsing"),
    ],
)
def test_what_no_node_would_notice_is_refused(tmp_path, content, sentence):
    with pytest.raises(GraphError, match=re.escape(sentence)):
        with_parameter_file(GRAPH, written(tmp_path, content))


@pytest.mark.parametrize("path", ["no_such_file.yaml", "/"])
def test_a_file_that_cannot_be_read_is_named(path):
    with pytest.raises(GraphError, match=f"params_file {path} cannot be read: "):
        with_parameter_file(GRAPH, path)


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


@given(st.lists(names, min_size=1, max_size=4), names)
def test_double_stars_stand_for_any_namespace_and_one_star_for_one_part(tmp_path_factory, parts, other):
    namespace, name = "".join(f"/{part}" for part in parts[:-1]), parts[-1]
    graph = Graph(namespace, (NodeSpec(name, "p", "e"),))
    folder = tmp_path_factory.mktemp("parameters")
    for pattern in (f"/**/{name}", "/**", "/*" * len(parts), name, f"{namespace}/{name}"):
        assert parameters_of(with_parameter_file(graph, written(folder, {pattern: section(a=1)})), name)["a"] == 1
    for pattern in (f"{namespace}/{name}x", "/*" * (len(parts) + 1), f"/{other}x/**"):
        with pytest.raises(GraphError, match="no such node"):
            with_parameter_file(graph, written(folder, {pattern: section(a=1)}))
