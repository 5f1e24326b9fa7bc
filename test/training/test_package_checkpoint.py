import json

import pytest
from lerobot.policies.factory import make_policy, make_pre_post_processors
from support.episodes import episode, evaluation
from support.policies import swinging_dataset, tiny_config
from support.scripts import load_script

from prana_ros.evaluation.result import write_evaluation
from prana_ros.learning.training_log import TrainingLog
from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy

pytestmark = pytest.mark.usefixtures("starts_processes")

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
    run = tmp_path / "run"
    log = TrainingLog(run)
    for step in (10, 40):
        log.append({"step": step, "loss": 1.0, "update_s": 89.0, "dataloading_s": 1.0})
    folder = run / "checkpoints" / "000040" / "pretrained_model"
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)
    data = {"repo_id": "test/swinging", "root": str(dataset.root)}
    train = {"steps": 100, "batch_size": 4, "seed": 1000, "dataset": data}
    (folder / "train_config.json").write_text(json.dumps(train))
    (folder.parent / "training_state").mkdir()
    (folder.parent / "training_state" / "training_step.json").write_text('{"step": 40}')
    return folder.parent


def test_the_package_deploys_and_says_what_it_is(checkpoint, tmp_path):
    result = tmp_path / "hard.json"
    outcomes = ["success"] * 9 + ["missed"]
    episodes = [episode(seed, outcome) for seed, outcome in enumerate(outcomes)]
    write_evaluation(evaluation(episodes, policy={"type": "prana_v2"}, command="make bench-success"), result)
    target = tmp_path / "packaged"
    for _ in range(2):  # a second time replaces the first
        package_checkpoint.package(checkpoint, target, [result], "Swings.")
    assert (checkpoint / "pretrained_model" / "training_weights.safetensors").is_file()
    assert not (target / "training_weights.safetensors").exists()
    assert PranaV2Policy.from_pretrained(target, strict=True).noise_problem() is None
    card = (target / "README.md").read_text()
    assert "`test/swinging`: 1 episodes, 12 frames at 10 a second. Swings." in card
    assert "40 steps of batch 4, 160 samples, from seed 1000" in card
    assert "; 1.00 h on " in card
    assert "| hard | lockstep | 9 of 10 | 59.6% to 98.2% | missed 1 |" in card
    assert "by `make bench-success`" in card


def test_a_result_of_another_policy_is_not_told_as_this_ones(checkpoint, tmp_path):
    write_evaluation(evaluation([episode(0)], policy={"type": "act"}), tmp_path / "act.json")
    with pytest.raises(ValueError, match="the result act is of 'act'; allowed: results of this 'prana_v2'"):
        package_checkpoint.package(checkpoint, tmp_path / "packaged", [tmp_path / "act.json"])
    assert not (tmp_path / "packaged").exists()


def test_a_folder_that_is_no_checkpoint_is_neither_packaged_nor_overwritten(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="no pretrained_model"):
        package_checkpoint.package(tmp_path / "data", tmp_path / "packaged")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("keep me")
    with pytest.raises(ValueError, match="something else"):
        package_checkpoint.package(checkpoint, precious)
    assert (precious / "letter.txt").read_text() == "keep me"
