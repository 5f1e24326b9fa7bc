import pytest

from prana_ros.cli import main


def raiser(error: BaseException):
    def run(_arguments):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (ValueError("port is empty."), "prana: port is empty.")],
)
def test_what_the_user_did_ends_the_command_without_a_traceback(monkeypatch, error, code):
    monkeypatch.setattr("prana_ros.cli.deploy.deploy", raiser(error))
    with pytest.raises(SystemExit) as ending:
        main(["deploy"])
    assert ending.value.code == code


def test_a_defect_of_the_program_shows_its_traceback(monkeypatch):
    monkeypatch.setattr("prana_ros.cli.deploy.deploy", raiser(KeyError("missing")))
    with pytest.raises(KeyError):
        main(["deploy"])
