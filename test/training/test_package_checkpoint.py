import json

import pytest
from lerobot.policies.factory import make_policy, make_pre_post_processors
from support.policies import swinging_dataset, tiny_config
from support.scripts import load_script

from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy

package_checkpoint = load_script("training/package_checkpoint.py")


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as LeRobot's trainer leaves it."""
    dataset = swinging_dataset(tmp_path / "data", lengths=(12,))
    config = tiny_config()
    config.input_features, config.output_features = {}, {}
    policy = make_policy(config, ds_meta=dataset.meta)
    policy.update()
    policy.update()
    folder = tmp_path / "000040" / "pretrained_model"
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)
    train = {"steps": 100, "batch_size": 4, "dataset": {"repo_id": "test/swinging"}}
    (folder / "train_config.json").write_text(json.dumps(train))
    (tmp_path / "000040" / "training_state").mkdir()
    (tmp_path / "000040" / "training_state" / "training_step.json").write_text('{"step": 40}')
    return tmp_path / "000040"


def test_the_package_deploys_and_says_what_it_is(checkpoint, tmp_path):
    evaluation = tmp_path / "evaluation.json"
    result = {"successes": 9, "episodes": 10, "wilson_95": [0.6, 0.98], "outcomes": {"success": 9, "missed": 1}}
    evaluation.write_text(json.dumps({**result, "command": ["training/evaluate.py", "x"]}))
    target = tmp_path / "packaged"
    for _ in range(2):  # a second time replaces the first
        package_checkpoint.package(checkpoint, target, evaluation)
    assert (checkpoint / "pretrained_model" / "training_weights.safetensors").is_file()
    assert not (target / "training_weights.safetensors").exists()
    assert PranaV2Policy.from_pretrained(target, strict=True).noise_problem() is None
    card = (target / "README.md").read_text()
    assert "40 steps of batch 4" in card
    assert "9 of 10 unseen episodes succeeded" in card
    assert "60% to 98%" in card


def test_a_folder_that_is_no_checkpoint_is_neither_packaged_nor_overwritten(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="no pretrained_model"):
        package_checkpoint.package(tmp_path / "data", tmp_path / "packaged", None)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("keep me")
    with pytest.raises(ValueError, match="something else"):
        package_checkpoint.package(checkpoint, precious, None)
    assert (precious / "letter.txt").read_text() == "keep me"
