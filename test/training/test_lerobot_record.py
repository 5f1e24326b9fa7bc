"""Stock ``lerobot-record`` with a policy: SO101Follower on the twin's port, the file camera for its cameras."""

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from PIL import Image
from support.checkpoints import save_prana
from support.lerobot_commands import python_path

from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy

pytestmark = pytest.mark.usefixtures("starts_processes")

FPS, SECONDS = 10, 3
TWIN = ("-c", "from prana_ros.cli import main; main()", "twin")


@pytest.fixture
def twin(processes, tmp_path):
    """A running ``prana twin`` with cameras and LeRobot's calibration file; the path of its link."""
    process = processes.python(*TWIN, "--link", tmp_path / "arm", "--robot-id", "recorded", "--camera-fps", str(FPS))
    process.wait_for("Ctrl-C ends the twin", timeout=90.0)
    return tmp_path / "arm"


def camera(path, width: int, height: int) -> str:
    return f"{{type: prana_file, path: {path}, width: {width}, height: {height}, fps: {FPS}}}"


def test_a_policy_drives_the_twin_and_its_episode_can_be_read(processes, twin, tmp_path):
    checkpoint = save_prana(tmp_path / "checkpoint")
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        Image.fromarray(np.full((48, 64, 3), 50 * number, np.uint8)).save(images / f"{number}.png")
    cameras = f"{{table: {camera(f'{twin}_table.frames', 320, 240)}, wrist: {camera(images, 64, 48)}}}"
    root = tmp_path / "recorded"
    process = processes.python(
        *("-m", "support.lerobot_commands", "lerobot_record"),
        *("--robot.type=so101_follower", f"--robot.port={twin}", "--robot.id=recorded"),
        *(f"--robot.cameras={cameras}", f"--policy.path={checkpoint}"),
        *("--dataset.repo_id=test/eval_twin", f"--dataset.root={root}", "--dataset.single_task=Swing"),
        *(f"--dataset.fps={FPS}", "--dataset.num_episodes=1", f"--dataset.episode_time_s={SECONDS}"),
        *("--dataset.push_to_hub=false", "--dataset.vcodec=h264", "--play_sounds=false"),
        env={**python_path(), "PRANA_TEST_PATIENCE_MS": "5000"},
    )
    process.must_end(0, within=150.0)

    dataset = LeRobotDataset("test/eval_twin", root=root, video_backend="pyav")
    assert dataset.num_episodes == 1
    assert 2 <= len(dataset) <= FPS * SECONDS + 1
    frames = [dataset[i] for i in range(len(dataset))]
    action = np.stack([frame["action"].numpy() for frame in frames])
    state = np.stack([frame["observation.state"].numpy() for frame in frames])
    assert np.isfinite(action).all()
    assert (np.ptp(action, axis=0) > 0.1).all(), "the chunk of this policy moves every joint"
    assert (np.ptp(state, axis=0)[:4] > 0.1).all(), "and the arm follows"
    for name, size in (("table", (3, 240, 320)), ("wrist", (3, 48, 64))):
        assert frames[0][f"observation.images.{name}"].shape == size
    assert frames[0]["observation.images.table"].std() > 0.1, "the twin's image, not an empty one"
    levels = {round(float(frame["observation.images.wrist"].mean()) * 255 / 50) for frame in frames}
    assert len(levels) > 1, "the folder's images, one after the other"
    assert levels <= set(range(5))

    # The first action is the policy's for the first observation: within the spread that its noise leaves.
    policy = PranaV2Policy.from_pretrained(checkpoint)
    preprocess, postprocess = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    draws = 64
    batch = preprocess(
        {key: frames[0][key].expand(draws, *frames[0][key].shape) for key in policy.config.input_features}
    )
    expected = postprocess(policy.predict_action_chunk(batch)[:, 0]).numpy()
    assert (np.abs(action[0] - expected.mean(0)) < 6 * expected.std(0)).all()
