import pytest
import torch

from benchmarks.toys.bimodal import OBSTACLE_RADIUS, demonstrations, hits_obstacle, passes_above, sample, train

SAMPLES = 400


@pytest.fixture(scope="module")
def paths():
    paths = demonstrations()
    assert passes_above(paths).mean() == 0.5
    assert not hits_obstacle(paths).any()
    return paths


@pytest.fixture(autouse=True)
def one_thread():
    """Small products are quicker without a second thread, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", ["prana_v2", "prana_v3"])
def test_flow_matching_keeps_both_ways_round_the_obstacle(kind, paths):
    chunks = sample(train(kind, paths), paths, SAMPLES)
    assert 0.3 <= passes_above(chunks).mean() <= 0.7
    assert hits_obstacle(chunks).mean() < 0.06


def test_regression_averages_them_into_the_obstacle(paths):
    chunks = sample(train("prana_v1", paths), paths, 2)
    assert abs(chunks[0, 7:9, 1]).max() < OBSTACLE_RADIUS
    assert hits_obstacle(chunks).all()
