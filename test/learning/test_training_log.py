import pytest
from PIL import Image

from prana_ros.learning.training_log import TrainingLog, plot_loss, read_metrics


def line(step: int, loss: float = 1.0) -> dict[str, float]:
    return {"step": step, "loss": loss, "lr": 1e-4}


def test_a_resumed_log_continues_from_its_checkpoint(tmp_path):
    first = TrainingLog(tmp_path)
    for step in (10, 20, 30):
        first.append(line(step))
    resumed = TrainingLog(tmp_path, start_step=20)
    resumed.append(line(30, loss=2.0))
    assert [(entry["step"], entry["loss"]) for entry in read_metrics(resumed.path)] == [(10, 1.0), (20, 1.0), (30, 2.0)]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    log = TrainingLog(tmp_path)
    log.append(line(10))
    with log.path.open("a") as file:
        file.write('{"step": 20, "lo')
    TrainingLog(tmp_path, start_step=15).append(line(20))
    assert [entry["step"] for entry in read_metrics(log.path)] == [10, 20]


@pytest.mark.parametrize("lines", [1, 3, 400])
@pytest.mark.parametrize("loss", [0.5, -2.0])
def test_the_curve_is_an_image_however_short_or_negative(tmp_path, lines, loss):
    path = tmp_path / "loss.png"
    plot_loss([line(step + 1, loss) for step in range(lines)], path)
    with Image.open(path) as image:
        image.verify()


def test_nothing_to_plot_is_said(tmp_path):
    with pytest.raises(ValueError, match="no metrics were logged"):
        plot_loss([], tmp_path / "loss.png")
