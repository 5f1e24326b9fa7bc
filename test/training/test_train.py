"""Real training runs by this project's script."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from draccus.wrappers import docstring
from lerobot.scripts import lerobot_train
from PIL import Image
from safetensors.torch import load_file
from support.policies import swinging_dataset
from support.scripts import load_script

from prana_ros.learning.training_log import read_metrics
from prana_ros.so101.model import JOINT_NAMES

pytestmark = pytest.mark.usefixtures("starts_processes")

ROOT = Path(__file__).parents[2]
train = load_script("training/train.py")

SMALL_BACKBONE = ["--policy.backbone=small_cnn", "--policy.freeze_backbone=false", "--policy.image_size=32"]
SMALL = [
    *SMALL_BACKBONE,
    "--policy.dim=16",
    "--policy.num_heads=2",
    "--policy.chunk_size=8",
    "--policy.n_action_steps=8",
    "--policy.scheduler_warmup_steps=1",
]
SMALL_FLOW = [
    "--policy.num_context_layers=1",
    "--policy.num_decoder_layers=1",
    "--policy.flow_samples_per_context=2",
]
TINY = [
    "--policy.type=prana_v2",
    "--policy.device=cpu",
    "--policy.push_to_hub=false",
    *SMALL,
    *SMALL_FLOW,
    "--batch_size=4",
    "--steps=4",
    "--save_freq=2",
    "--log_freq=1",
    "--num_workers=0",
]
# As the README that this project grew from gives them; the paths, the script, wandb and the device are ours.
PUBLISHED = [
    "--dataset.repo_id=Siddarth09/PRANA",
    "--dataset.video_backend=pyav",
    "--dataset.image_transforms.enable=false",
    "--policy.device=cpu",
    '--policy.camera_order=["observation.images.table","observation.images.wrist"]',
    "--num_workers=0",
    "--policy.push_to_hub=false",
    "--wandb.enable=false",
]
OTHERS = {
    "act": [
        "--policy.pretrained_backbone_weights=null",
        "--policy.dim_model=32",
        "--policy.n_heads=2",
        "--policy.dim_feedforward=64",
        "--policy.n_encoder_layers=1",
        "--policy.n_vae_encoder_layers=1",
        "--policy.chunk_size=8",
        "--policy.n_action_steps=8",
    ],
    "diffusion": [
        "--policy.crop_shape=null",
        "--policy.down_dims=[16,32]",
        "--policy.horizon=8",
        "--policy.n_action_steps=4",
        "--policy.num_train_timesteps=4",
        "--policy.diffusion_step_embed_dim=8",
        "--policy.n_groups=2",
        "--policy.spatial_softmax_num_keypoints=4",
    ],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder of local datasets, as HF_LEROBOT_HOME names it."""
    return tmp_path_factory.mktemp("lerobot")


@pytest.fixture(scope="module")
def dataset(home) -> Path:
    root = home / "Siddarth09" / "PRANA"
    swinging_dataset(root, lengths=(12, 10), video=True)
    return root


def run(*command: str, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture
def train_here(monkeypatch):
    """Run the script in this process: PyTorch and LeRobot take seconds to import."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two would wait for each other wherever the machine is busy
    before = torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        train.main()

    yield call
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32 = before


def where(dataset: Path, output: Path) -> list[str]:
    return ["--dataset.repo_id=test/swinging", f"--dataset.root={dataset}", f"--output_dir={output}"]


def losses(output: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_metrics(output / "metrics.jsonl")}


def assert_plots(checkpoint: Path) -> None:
    for name in ("loss.png", "chunks.png"):
        with Image.open(checkpoint / "plots" / name) as image:
            image.verify()


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory) -> Path:
    """The output folder of a run of four steps with two checkpoints, and its log beside."""
    output = tmp_path_factory.mktemp("trained") / "run"
    log = run(sys.executable, "training/train.py", "--threads=1", *where(dataset, output), *TINY)
    (output / "log.txt").write_text(log)
    return output


@pytest.mark.timeout(600)
def test_train_writes_a_checkpoint_with_what_deployment_asks_for(trained):
    checkpoint = trained / "checkpoints" / "last" / "pretrained_model"
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["fps"] == 10
    assert config["joint_names"][0] == "shoulder_pan"
    assert bool(load_file(checkpoint / "model.safetensors")["noise.noise_is_fitted"])


@pytest.mark.timeout(600)
def test_it_shows_and_writes_how_training_went(trained):
    log = (trained / "log.txt").read_text()
    assert "Decoding frames" in log
    assert "4/4" in log
    assert "samples/s" in log
    assert "no plots" not in log
    lines = read_metrics(trained / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["loss"] > 0 and line["samples_per_s"] > 0 and line["lr"] >= 0 for line in lines)
    assert_plots(trained / "checkpoints" / "000002")
    assert_plots(trained / "checkpoints" / "000004")


@pytest.mark.timeout(600)
def test_neither_plots_nor_the_place_of_the_frames_change_the_training(trained, dataset, tmp_path, train_here):
    """One run plots between its steps and reads frames from the file, the other does neither."""
    output = tmp_path / "run"
    train_here("--threads=1", "--frame_cache_device=cpu", *where(dataset, output), *TINY, "--save_freq=100")
    assert losses(output) == losses(trained)


@pytest.mark.timeout(600)
def test_decoding_in_every_step_trains_the_same(trained, dataset, tmp_path, train_here):
    """The frames differ only by being stored as whole numbers."""
    output = tmp_path / "run"
    train_here("--threads=1", "--frame_cache=none", *where(dataset, output), *TINY, "--save_freq=100")
    assert losses(output) == pytest.approx(losses(trained), rel=1e-3)
    assert_plots(output / "checkpoints" / "last")


@pytest.mark.timeout(600)
def test_mixed_precision_trains_nearly_the_same_in_float32_weights(trained, dataset, tmp_path):
    """A process of its own: Accelerate has one precision a process."""
    output = tmp_path / "run"
    command = [sys.executable, "training/train.py", "--threads=1", *where(dataset, output), *TINY]
    run(*command, "--save_freq=100", "--mixed_precision=bf16")
    mixed = losses(output)
    assert mixed != losses(trained)
    assert mixed == pytest.approx(losses(trained), rel=2e-2)
    weights = load_file(output / "checkpoints" / "last" / "pretrained_model" / "model.safetensors")
    assert not [name for name, weight in weights.items() if weight.dtype is torch.bfloat16]
    noise = load_file(trained / "checkpoints" / "last" / "pretrained_model" / "model.safetensors")["noise.cholesky"]
    assert torch.equal(weights["noise.cholesky"], noise)


@pytest.mark.timeout(600)
def test_a_resumed_run_continues_the_curve(trained, tmp_path, train_here):
    """From the middle: what the first run did after that checkpoint is forgotten."""
    first = losses(trained)
    output = shutil.copytree(trained, tmp_path / "run", symlinks=True)
    config = output / "checkpoints" / "000002" / "pretrained_model" / "train_config.json"
    train_here(f"--config_path={config}", "--resume=true", f"--output_dir={output}", "--steps=6")
    resumed = losses(output)
    assert list(resumed) == [1, 2, 3, 4, 5, 6]
    assert (resumed[1], resumed[2]) == (first[1], first[2])
    assert resumed[4] != first[4]
    last = (output / "checkpoints" / "last").resolve()
    assert int(last.name) == 6
    assert_plots(last)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["prana_v1", "prana_v2", "prana_v3"])
def test_the_published_flags_train(kind, home, dataset, tmp_path, train_here, monkeypatch):
    for module in ("lerobot.datasets.dataset_metadata", "prana_ros.learning.training_data"):
        monkeypatch.setattr(f"{module}.HF_LEROBOT_HOME", home)
    batch = {"prana_v1": 1}.get(kind, 8)
    small = SMALL if kind == "prana_v1" else [*SMALL, *SMALL_FLOW]
    output = tmp_path / "run"
    train_here(
        *PUBLISHED, f"--policy.type={kind}", f"--batch_size={batch}", "--steps=2", f"--output_dir={output}", *small
    )
    checkpoint = output / "checkpoints" / "last"
    config = json.loads((checkpoint / "pretrained_model" / "config.json").read_text())
    assert config["type"] == kind
    assert config["camera_order"] == ["observation.images.table", "observation.images.wrist"]
    assert list(losses(output)) == [2]  # fewer steps than a line is long
    assert_plots(checkpoint)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", OTHERS)
def test_lerobots_own_policies_train_from_cached_frames(kind, dataset, tmp_path, train_here):
    """With the small backbone, by which they are compared with PRANA's."""
    output = tmp_path / "run"
    common = [f"--policy.type={kind}", "--policy.device=cpu", "--batch_size=4", "--steps=1", *OTHERS[kind]]
    common.append("--policy.vision_backbone=resnet_small_cnn")
    train_here(*where(dataset, output), *common, "--frame_cache_size=32")
    checkpoint = output / "checkpoints" / "last" / "pretrained_model"
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["input_features"]["observation.images.table"]["shape"] == [3, 32, 32]
    assert json.loads((checkpoint / "train_config.json").read_text())["num_workers"] == 0
    assert_plots(checkpoint.parent)
    if kind == "act":  # resumed without the flag: the size is known from the policy
        train_here(f"--config_path={checkpoint / 'train_config.json'}", "--resume=true", "--steps=2")
        assert list(losses(output)) == [1, 2]


@pytest.mark.timeout(600)
def test_two_processes_share_a_cache_and_train_together(dataset, tmp_path):
    """``accelerate launch`` starts several processes on GPUs only; torchrun starts the same ones on a CPU."""
    output, cache = tmp_path / "run", tmp_path / "cache"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    log = run(
        *launch,
        "training/train.py",
        "--threads=1",
        f"--frame_cache={cache}",
        *where(dataset, output),
        *TINY,
        OMP_NUM_THREADS="1",
        GLOO_SOCKET_IFNAME="lo",
    )
    assert log.count("44/44") == 1, "only one of the processes decodes"
    assert "4 x 2 = 8" in log
    lines = read_metrics(output / "metrics.jsonl")
    assert [(line["step"], line["samples"]) for line in lines] == [(1, 8), (2, 16), (3, 24), (4, 32)]
    assert_plots(output / "checkpoints" / "last")


def refusal(train_here, *arguments: str) -> str:
    """The one sentence with which the script ends."""
    with pytest.raises(SystemExit, match=r"^train: ") as refused:
        train_here(*arguments)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frame_cache_size=big"], "--frame_cache_size is 'big'; allowed: a whole number above 0"),
        (["--frame_cache_size=48"], "--frame_cache_size is 48, but the policy's image_size is 32"),
        (["--frame_cache_size=32", "--frame_cache=none"], "--frame_cache_size is 32, but these frames are not cached"),
        (["--mixed_precision=fp8"], "--mixed_precision is 'fp8'; allowed: no, bf16"),
        (["--frame_cache_device=gpu"], "--frame_cache_device is 'gpu', which is not available here"),
        (['--policy.camera_order=["observation.images.top"]'], "the dataset has no camera observation.images.top"),
        (["--policy.dim=17"], "dim must be even and a multiple of num_heads = 2, got 17"),
        (["--policy.dim=wide"], "`policy.dim`: Couldn't parse 'wide' into an int"),
        (["--policy.chunk_size=13"], "chunk_size is 13, but the longest episode has 12 frames"),
        (["--dataset.episodes=[0,7]"], "--dataset.episodes names 7; test/swinging has 0 to 1"),
        (["--dataset.root=no/where"], "'no/where' is neither a folder here, nor a dataset in"),
        (["--output_dir=training"], "Output directory training already exists"),
    ],
)
def test_bad_requests_are_one_sentence(arguments, sentence, dataset, tmp_path, train_here, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert sentence in refusal(train_here, *where(dataset, tmp_path / "run"), *TINY, *arguments)


@pytest.fixture
def renamed(dataset, tmp_path) -> Path:
    """The dataset with the joint names of an SO-100, as LeRobot once recorded it."""
    copy = tmp_path / "renamed"
    shutil.copytree(dataset, copy)
    info = json.loads((copy / "meta" / "info.json").read_text())
    for key in ("action", "observation.state"):
        info["features"][key]["names"] = ["Rotation", "Pitch", "Elbow", "Wrist_Pitch", "Wrist_Roll", "Jaw"]
    (copy / "meta" / "info.json").write_text(json.dumps(info))
    return copy


def test_joints_of_other_names_are_refused_before_the_first_step_with_the_flag(renamed, tmp_path, train_here):
    output = tmp_path / "run"
    said = refusal(train_here, *where(renamed, output), *TINY)
    assert "the joints are Rotation, Pitch" in said
    assert "--policy.joint_names=[shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll,gripper]" in said
    assert not (output / "checkpoints").exists()


@pytest.mark.timeout(600)
def test_joint_names_and_units_that_are_said_are_printed_and_kept(renamed, tmp_path, train_here, capsys):
    flags = [f"--policy.joint_names=[{','.join(JOINT_NAMES)}]", "--policy.units=m100_100"]
    train_here(*where(renamed, tmp_path / "run"), *TINY, *flags)
    printed = capsys.readouterr().out
    assert f"joints   {', '.join(JOINT_NAMES)} (--policy.joint_names)" in printed
    assert "units    m100_100" in printed
    checkpoint = tmp_path / "run" / "checkpoints" / "last" / "pretrained_model"
    config = json.loads((checkpoint / "config.json").read_text())
    assert (config["joint_names"], config["units"]) == (list(JOINT_NAMES), "m100_100")


@pytest.mark.timeout(600)
def test_a_dataset_without_statistics_of_its_images_trains(dataset, tmp_path, train_here):
    """The policies normalize images by their backbone's own constants."""
    copy = tmp_path / "without"
    shutil.copytree(dataset, copy)
    file = copy / "meta" / "stats.json"
    stats = json.loads(file.read_text())
    images = [key for key in stats if key.startswith("observation.images.")]
    assert images
    file.write_text(json.dumps({key: value for key, value in stats.items() if key not in images}))
    train_here(*where(copy, tmp_path / "run"), *TINY)
    assert (tmp_path / "run" / "checkpoints" / "last").exists()


@pytest.mark.parametrize("option", ["--policy.path", "--config_path"])
def test_a_checkpoint_that_is_not_there_is_one_sentence(option, dataset, tmp_path, train_here):
    said = refusal(train_here, *where(dataset, tmp_path / "run"), f"{option}=no/such/place")
    assert said == f"train: {option} is 'no/such/place'; allowed: what exists here, or a repo id like owner/policy"


def test_no_policy_is_one_sentence(dataset, tmp_path, train_here):
    assert "Policy is not configured" in refusal(train_here, *where(dataset, tmp_path / "run"))


def test_what_fails_in_a_step_keeps_its_traceback(dataset, tmp_path, train_here, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(lerobot_train, "update_policy", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        train_here(*where(dataset, tmp_path / "run"), *TINY)


def test_help_tells_of_both_sorts_of_flags(train_here, capsys):
    """LeRobot's parser reads it from the source of all classes, where a stray quotation breaks it."""
    with pytest.raises(SystemExit, match="0"):
        train_here("--help")
    said = capsys.readouterr().out
    for text in ("--frame_cache_size=PIXELS", "--policy.noise_beta", "Set `dir` to where you would like to save"):
        assert text in said


def test_the_parser_collects_its_help_texts_only_for_help(train_here, monkeypatch):
    collect, used = docstring.get_attribute_docstring, []
    monkeypatch.setattr(lerobot_train, "main", lambda: used.append(docstring.get_attribute_docstring))
    train_here("--steps=1")
    train_here("--help")
    assert used[0] is not collect
    assert used[1] is collect
