"""What benchmarks make of closed-loop evaluations: what is compared with what, on which scenes, with which goal."""

import dataclasses
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from support.checkpoints import save_act, save_prana
from support.episodes import episode, evaluation

from benchmarks import ablations, closed_loop, demo_training, harness, latency_robustness, success
from benchmarks.__main__ import benchmark_names
from benchmarks.ablation_runs import Change, compare_with_references, figures_of, in_order
from benchmarks.evaluation_tables import success_table
from benchmarks.inpainting_variants import NO_PREFIX, Variant
from prana_ros.evaluation.result import Evaluation
from prana_ros.learning.training_log import TrainingLog

BENCHMARKS = Path(success.__file__).parent


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results are kept elsewhere, and the command line is a benchmark's without options."""
    for module in (harness, closed_loop):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    return tmp_path


def made(name: str, failures: int, scenes: int = 10, **changes: object) -> Evaluation:
    """An evaluation of the scenes from 0 on, of which the first fail; v2 is twice as smooth as the others."""
    jerk, seam = (10.0, 0.01) if name == "prana_v2" else (20.0, 0.04)
    episodes = [
        episode(seed, "missed" if seed < failures else "success", jerk=jerk, seam_steps=(seam,))
        for seed in range(scenes)
    ]
    return evaluation(episodes, name, **{"seconds": 30.0, **changes})


def by_name(figures) -> dict[str, harness.Figure]:
    return {figure.name: figure for figure in figures}


def test_only_modules_that_write_their_own_result_are_run_as_benchmarks():
    for name in benchmark_names():
        source = (BENCHMARKS / f"{name}.py").read_text()
        assert 'if __name__ == "__main__":' in source, name
        assert f'"{name}"' in source, name


def test_v2_is_compared_with_its_rivals_on_the_same_scenes():
    figures = by_name(success.figures_of([made("act", 3), made("prana_v1", 0), made("prana_v2", 1)]))
    assert figures["hard, prana_v2, lockstep: success in 10"].goal == "at least 90"
    assert figures["hard, prana_v2, lockstep: success in 10"].holds
    assert figures["hard, act, lockstep: success in 10"].holds is None
    assert figures["hard, act, lockstep: episodes"].value == pytest.approx(20.0)
    difference = figures["hard, prana_v2 minus act: success"]
    assert (difference.value, difference.holds) == (pytest.approx(20.0), True)
    assert figures["hard, prana_v2 minus prana_v1: success"].holds is None
    assert figures["hard, prana_v2 relative to act: jerk"].value == pytest.approx(0.5)
    assert figures["hard, prana_v2 relative to act: seam step, median"].value == pytest.approx(0.25)
    assert not by_name(success.figures_of([made("act", 0), made("prana_v2", 1)]))[
        "hard, prana_v2 minus act: success"
    ].holds


def test_the_graph_is_compared_with_lockstep_on_the_scenes_that_it_was_given():
    """Half of the first ten scenes fail in lock-step, all others succeed: over all scenes it would be 45 points off."""
    evaluations = [made("prana_v2", 5, scenes=100), made("prana_v2", 5, scenes=10, runner="graph")]
    figure = by_name(success.figures_of(evaluations))["hard, prana_v2, graph minus prana_v2: success"]
    assert (figure.value, figure.holds) == (0.0, True)
    evaluations[1] = made("prana_v2", 4, scenes=10, runner="graph")
    figure = by_name(success.figures_of(evaluations))["hard, prana_v2, graph minus prana_v2: success"]
    assert (figure.value, figure.holds) == (pytest.approx(10.0), False)


def test_results_on_other_scenes_end_the_command_in_one_sentence():
    with (
        pytest.raises(SystemExit, match=r"^success: prana_v2 was given hard scenes 0 to 9 and act hard scenes 0 to 1;"),
        harness.in_one_sentence("success"),
    ):
        list(success.figures_of([made("act", 0, scenes=2), made("prana_v2", 0)]))


def test_the_result_of_success_has_every_pair_and_relates_to_the_expert(results):
    evaluations = [made("expert", 0), made("act", 3), made("prana_v2", 1)]
    evaluations += [dataclasses.replace(each, scenes="standard") for each in evaluations]
    success.report(evaluations, {"act": {"chunk_ms": 12.0}})
    result = json.loads((results / "success.json").read_text())
    assert [(pair["scenes"], pair["first"], pair["second"]) for pair in result["pairs"]] == [
        ("standard", "prana_v2", "act"),
        ("hard", "prana_v2", "act"),
    ]
    assert (result["pairs"][1]["only_first"], result["pairs"][1]["only_second"]) == (2, 0)
    (v2,) = (row for row in result["evaluations"] if (row["name"], row["scenes"]) == ("prana_v2", "hard"))
    assert v2["relative_to_expert"]["jerk"][0] == pytest.approx(0.5)
    assert [figure["value"] for figure in result["figures"] if figure["unit"] == "ms"] == [12.0]
    rows = [line.split(" | ")[1] for line in success_table(result).splitlines()[2:]]
    assert rows == ["expert", "prana_v2", "act"] * 2


def test_what_was_kept_is_read_again_and_replaced(results):
    for failures in (3, 1):
        closed_loop.keep(made("as deployed, joined", failures), "ablations")
    closed_loop.keep(made("as deployed", 0), "ablations")
    assert [(each.name, each.successes) for each in closed_loop.kept("ablations")] == [
        ("as deployed", 10),
        ("as deployed, joined", 9),
    ]


def test_what_was_broken_off_is_not_kept(results):
    with pytest.raises(ValueError, match=r"act, hard, graph was broken off after 10 of 50 scenes.*: policy died"):
        closed_loop.keep(made("act", 0, requested=50, runner="graph", graph={"failure": "policy died"}), "success")
    with pytest.raises(ValueError, match=r"were not kept: interrupted$"):
        closed_loop.keep(made("act", 0, requested=50), "success")
    assert closed_loop.kept("success") == []


def test_changes_are_compared_with_their_own_reference_on_one_distribution():
    runs = {"as deployed": Change("as deployed"), "a": Change("as deployed"), "b": Change("b"), "c": Change("b")}
    evaluations = [made("c", 5), made("a", 2), made("as deployed", 1), made("a", 5, scenes=5)]
    evaluations[-1] = dataclasses.replace(evaluations[-1], scenes="standard")
    chosen = in_order(evaluations, runs, "hard")
    assert [each.name for each in chosen] == ["as deployed", "a", "c"]
    pairs = compare_with_references(chosen, runs)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "as deployed")]
    figures = by_name(figures_of(chosen, pairs, {"a": 5.0}))
    loss = figures["a: success minus that of 'as deployed'"]
    assert (loss.value, loss.goal, loss.holds) == (pytest.approx(-10.0), "at least -5", False)
    assert figures["c: success in 10"].value == 50.0
    assert figures["a: seam step, median"].value == pytest.approx(math.degrees(0.04))


@pytest.mark.parametrize("runs", [ablations.ABLATIONS, latency_robustness.RUNS])
def test_every_run_has_a_reference_that_is_played_alike_but_for_what_is_changed(runs):
    for name, run in runs.items():
        reference = runs[run.reference]
        assert reference.reference == run.reference, name
        differ = [run.changes != reference.changes, run.playback != reference.playback]
        assert sum(differ) == (name != run.reference), name
    assert latency_robustness.LOSSES.keys() <= latency_robustness.RUNS.keys()


def test_a_variant_is_changed_and_says_so(tmp_path):
    path = str(save_prana(tmp_path / "v2"))
    threads = torch.get_num_threads()
    try:
        plain = Variant("as deployed", path, "cpu")
        changed = Variant(
            "changed", path, "cpu", joining=NO_PREFIX, white_noise=True, noise_scale=0.0, denoising_steps=2
        )
        loaded, other = plain.load(), changed.load()
    finally:
        torch.set_num_threads(threads)
    assert loaded.spec.takes_prefix
    assert not other.spec.takes_prefix
    assert torch.equal(other.policy.noise.cholesky, torch.eye(96))
    assert not torch.equal(loaded.policy.noise.cholesky, torch.eye(96))
    assert (plain.describe(loaded)["denoising_steps"], changed.describe(other)["denoising_steps"]) == (4, 2)
    assert other.policy.config.num_inference_steps == 2
    assert (loaded.policy.config.noise_scale, other.policy.config.noise_scale) == (1.0, 0.0)
    description = changed.describe(other)
    assert (description["joining"], description["noise_scale"]) == (NO_PREFIX, 0.0)


def test_a_variant_of_a_policy_that_does_not_denoise_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'act'"):
        Variant("one step", str(save_act(tmp_path / "act")), "cpu", fps=10.0, denoising_steps=1).load()


@pytest.fixture
def training(tmp_path):
    """What a finished run leaves that its cost is told from: 40 steps of 90 s."""
    run = tmp_path / "run"
    log = TrainingLog(run)
    for step in (10, 40):
        times = {"update_s": 89.0, "dataloading_s": 1.0, "samples_per_s": 0.1}
        log.append({"step": step, "samples": 4 * step, "loss": 1 / step, "lr": 1e-3, **times})
    folder = run / "checkpoints" / "last" / "pretrained_model"
    folder.mkdir(parents=True)
    demonstrations = tmp_path / "demos"
    (demonstrations / "meta").mkdir(parents=True)
    (demonstrations / "meta" / "info.json").write_text('{"total_episodes": 3, "total_frames": 120}')
    train = {"seed": 7, "batch_size": 4, "steps": 40, "output_dir": str(run), "dataset": {"root": str(demonstrations)}}
    (folder / "train_config.json").write_text(json.dumps(train))
    for name in ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"):
        (folder / name).touch()
    return run


def test_training_cost_is_that_of_the_run_that_the_checkpoint_is_from(training):
    figures, details = demo_training.training_run(training)
    values = {figure.name: figure.value for figure in figures}
    assert values["training, wall time"] == pytest.approx(1.0)
    assert (values["demonstrations"], values["frames"], values["samples"]) == (3, 120, 160)
    assert (details["seed"], details["steps"], len(details["curve"])) == (7, 40, 2)
    packaged = training.parent / "packaged"
    (training / "checkpoints" / "last" / "pretrained_model").rename(packaged)
    assert success.training_cost(str(packaged)) == {"training_samples": 160, "training_hours": pytest.approx(1.0)}
    (training / "metrics.jsonl").unlink()
    assert success.training_cost(str(packaged)) == {}
    with pytest.raises(ValueError, match="is missing or empty; allowed: the output folder of a training run"):
        demo_training.training_run(training)


def test_a_policy_that_is_not_here_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [candidate.name for candidate in success.candidates()] == ["expert"]
    with pytest.raises(
        ValueError, match=r"act, all its steps trained, is not at outputs/train/twin_act/checkpoints/last"
    ):
        success.candidates(["act"])


def test_a_policy_is_here_once_its_training_is_over(training):
    last = training / "checkpoints" / "last"
    assert not success.is_trained(training / "nowhere")
    last.rename(last.with_name("000030"))
    last.symlink_to("000030")
    assert not success.is_trained(last)
    last.unlink()
    last.with_name("000030").rename(last.with_name("000040"))
    last.symlink_to("000040")
    assert success.is_trained(last)
