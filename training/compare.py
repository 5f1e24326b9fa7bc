"""Compare policies that training/evaluate.py evaluated on the same scenes, from the results that it kept.

    python training/compare.py outputs/evaluation-one/twin_v2.json outputs/evaluation-two/act.json

Prints each policy and each pair: the difference of the success rates with its 95 % interval, and the ratios of path
length and jerk where both succeeded. Where the expert's result is among them, path and jerk are relative to it.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from prana_ros.evaluation.comparison import compare_all
from prana_ros.evaluation.evaluated_policy import names_of
from prana_ros.evaluation.report import expert_among, report, write_comparisons, write_images
from prana_ros.evaluation.result import read_evaluation


def compare(results: list[Path], output: Path | None) -> None:
    """Print the tables; write the pairs as JSON and the plots into ``output``, where it is given.

    Raises:
        ValueError: if there are less than two results, one is none, or two are not of the same scenes.
        OSError: if the output cannot be written.
    """
    if len(results) < 2:
        raise ValueError(f"{len(results)} result cannot be compared; two or more are needed")
    evaluations = [read_evaluation(path) for path in results]
    if len({evaluation.name for evaluation in evaluations}) < len(evaluations):
        names = names_of([str(path.with_suffix("")) for path in results])
        evaluations = [dataclasses.replace(e, name=name) for e, name in zip(evaluations, names, strict=True)]
    expert = expert_among(evaluations)
    pairs = compare_all(evaluations)
    print(report(evaluations, expert))
    if output:
        output.mkdir(parents=True, exist_ok=True)
        write_comparisons(pairs, output / "comparison.json")
        written = [output / "comparison.json", *write_images(evaluations, output, expert)]
        print(f"\nwritten: {', '.join(map(str, written))}")


def main() -> int:
    """Command line of :func:`compare`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json", help="what evaluate.py wrote")
    parser.add_argument("--output", type=Path, help="folder for comparison.json and the plots")
    options = parser.parse_args()
    try:
        compare(options.results, options.output)
    except (ValueError, OSError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
