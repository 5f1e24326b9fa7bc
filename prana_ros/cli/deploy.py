"""``prana deploy``: the graph of the launch file, as processes under one live status line."""

import argparse
import time
from pathlib import Path

from prana_ros.bringup.options import add_deploy_arguments, deploy_options
from prana_ros.bringup.preparation import checked, graph_of, with_real_time_factor
from prana_ros.bringup.session import run_graph
from prana_ros.bringup.terminal import Terminal


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "deploy",
        help="run a policy on an arm or on the twin",
        description="Start camera, driver and policy nodes, run a series of episodes, and bring everything down in "
        "order. Ctrl-C brings the arm to rest first.",
    )
    add_deploy_arguments(parser)
    parser.add_argument("--output", type=Path, help="folder of the run's log (default: outputs/deploy-<date>)")
    parser.set_defaults(func=deploy)


def deploy(arguments: argparse.Namespace) -> int:
    """Run the subcommand; return its exit code."""
    options = checked(deploy_options(vars(arguments)))
    folder = arguments.output or output_folder("deploy")
    folder.mkdir(parents=True, exist_ok=True)
    terminal = Terminal(folder / "run.log")
    try:
        options = with_real_time_factor(options, terminal.say)
        result = run_graph(graph_of(options), folder, terminal)
        terminal.say(f"log: {folder / 'run.log'}")
    finally:
        terminal.close()
    return result.exit_code


def output_folder(name: str) -> Path:
    """Return a folder for what a run leaves behind, named by the date."""
    return Path("outputs") / f"{name}-{time.strftime('%Y-%m-%d-%H%M%S')}"
