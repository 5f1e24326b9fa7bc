"""Names of what is evaluated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.evaluation.evaluated_policy import names_of

FOLDERS = st.lists(st.sampled_from(["outputs", "train", "act", "v2", "checkpoints", "last", "010000"]), max_size=4)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["checkpoints/twin_v2"], ["twin_v2"]),
        (["outputs/train/act/checkpoints/last/pretrained_model", "expert"], ["act", "expert"]),
        (["a/act/checkpoints/last", "b/act/checkpoints/010000"], ["a_act", "b_act"]),
        (["run/checkpoints/005000", "run/checkpoints/010000"], ["run_005000", "run_010000"]),
        (["../act/", "/act"], ["act_0", "act_1"]),
        (["checkpoints/last"], ["last"]),
    ],
)
def test_a_policy_is_called_what_a_person_called_its_folder(paths, names):
    assert names_of(paths) == names


@given(st.lists(FOLDERS.map("/".join), min_size=1, max_size=5, unique=True))
def test_names_differ_and_are_names_of_files(paths):
    names = names_of(paths)
    assert len(set(names)) == len(paths)
    assert all(name and "/" not in name for name in names)


def test_a_policy_named_twice_is_refused():
    with pytest.raises(ValueError, match="v2 is named twice"):
        names_of(["v2", "act", "v2"])
