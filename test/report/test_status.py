from support.records import arm, chunk, no_chunk, series

from prana_ros.report.status import Status


def test_the_line_shows_mode_rate_latency_frames_lost_and_seam():
    status = Status()
    status.on_series(series(0.0, "running", 1))
    status.on_arm(arm(0.0))
    for tenth in range(21):
        status.on_chunk(chunk(tenth / 10, latency=0.05, lost=3, seam=0.01))
    assert status.line() == (
        "episode 2/2 running 0 s | arm following | 10.0 chunks/s | latency 50 ms | 3 frames lost | seam 0.6°"
    )


def test_successes_are_counted_where_there_are_any():
    status = Status()
    status.on_series(series(0.0, "running", 1, ["missed"]))
    assert status.line().startswith("episode 2/2 running 0 s |")
    status.on_series(series(0.0, "done", 1, ["missed", "success"]))
    assert status.line().startswith("episode 2/2 done 0 s, 1 succeeded |")


def test_nothing_is_claimed_before_it_is_known():
    assert Status().line() == "arm not seen"


def test_only_the_last_seconds_count():
    status = Status()
    status.on_chunk(chunk(0.0, seam=1.0, latency=1.0))
    for second in (100.0, 100.5):
        status.on_chunk(chunk(second, latency=0.05))
    assert "latency 50 ms" in status.line()
    assert "2.0 chunks/s" in status.line()
    assert "seam 0.6°" in status.line()


def test_the_reason_is_shown_when_no_chunk_can_be_made():
    status = Status()
    status.on_chunk(no_chunk(0.0, "Input 'table' has published nothing."))
    assert status.line() == "arm not seen | no chunk: Input 'table' has published nothing."


def test_a_complaint_is_no_quick_chunk_without_losses():
    status = Status()
    for second in (0.0, 0.5):
        status.on_chunk(chunk(second, latency=0.05, lost=3))
    for second in (1.5, 2.5, 3.5):
        status.on_chunk(no_chunk(second, "Input 'wrist' is frozen."))
    assert "2.0 chunks/s: Input 'wrist' is frozen. | latency 50 ms | 3 frames lost" in status.line()


def test_chunks_that_the_arm_is_not_given_are_counted_with_the_reason():
    status = Status()
    for second in (0.0, 0.5):
        status.on_chunk(chunk(second, published=False))
    assert "2.0 chunks/s: the table camera is frozen" in status.line()


def test_a_stop_of_the_arm_is_shown():
    status = Status()
    status.on_arm(arm(0.0, mode="stopped", stop="overload of gripper"))
    assert status.line() == "arm stopped | overload of gripper"


def test_the_pause_between_episodes_does_not_slow_the_rate():
    status = Status()
    status.on_chunk(chunk(0.0))
    status.on_series(series(1.0, "resetting", 0))
    for time in (5.0, 5.5):
        status.on_chunk(chunk(time))
    assert "2.0 chunks/s" in status.line()
