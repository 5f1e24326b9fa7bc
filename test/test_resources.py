import pytest

from prana_ros import resources


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as colcon installs it: no source tree around it, its files in the share folder of a prefix."""
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "prana_ros").touch()
    share = tmp_path / "share/prana_ros"
    (share / "config").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setattr(resources, "_SOURCE_TREE", tmp_path / "site-packages")
    return share


def test_a_file_of_the_source_tree_is_found():
    assert "SHM" in resources.packaged("config", "fastdds.xml").read_text()


def test_a_file_that_colcon_installed_is_found(installed):
    (installed / "config/fastdds.xml").write_text("installed")
    assert resources.packaged("config", "fastdds.xml").read_text() == "installed"


def test_a_missing_file_is_told_with_the_places_looked_at(installed):
    with pytest.raises(FileNotFoundError, match=f"'config/none.yaml' of prana_ros is in none of {installed}, "):
        resources.packaged("config", "none.yaml")
