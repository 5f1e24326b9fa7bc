"""The ``prana`` command: one module per subcommand, each with an ``add_parser`` that sets ``func``."""

import argparse
import importlib
import sys

COMMANDS = ("deploy", "demo", "twin", "check")

# What the user did wrong or the machine lacks: the message is the sentence to show. Anything else is a defect of the
# program, whose traceback is wanted.
_EXPECTED_ERRORS = (OSError, ValueError, RuntimeError)


def main(argv: list[str] | None = None) -> None:
    """Run the subcommand that the arguments name and exit with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    # Only the module of the chosen subcommand is imported: some of them import PyTorch, which takes seconds.
    chosen = arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS
    parser = argparse.ArgumentParser(prog="prana", description="Visuomotor policies on an SO-101 arm in ROS 2.")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    for command in chosen:
        importlib.import_module(f"prana_ros.cli.{command}").add_parser(subparsers)
    parsed = parser.parse_args(arguments)
    try:
        code = parsed.func(parsed)
    except _EXPECTED_ERRORS as error:
        sys.exit(f"prana: {error}")
    except KeyboardInterrupt:  # before or after the time in which a command handles the signal itself
        sys.exit(130)
    sys.exit(code)
