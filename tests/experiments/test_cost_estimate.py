"""What an estimate says of time, disk and odd plans."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_runs import planned, small_recipe, small_run

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.cost import calibration
from ia2_eval.experiments.cost import estimate as estimate_module
from ia2_eval.experiments.cost.estimate import Estimate, estimate
from ia2_eval.experiments.cost.lengths import Lengths
from ia2_eval.experiments.cost.rates import Rates, Timing
from ia2_eval.experiments.cost.schedule import makespan
from ia2_eval.experiments.cost.show import byte_count, duration, print_estimate, short
from ia2_eval.experiments.cost.work import Work, total
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.settings import Settings
from ia2_eval.lm.base_model import BaseFiles, locate

QUESTIONS = [{"source": "embedded_arithmetic", "n": 4}]


def estimated(recipe: Recipe, budget: float = 0.0, files: BaseFiles | None = None, **arguments: Any) -> Estimate:
    files = files or locate(recipe.base)
    done = arguments.pop("done", ())
    cells = planned(recipe, files.base)
    return estimate(cells, done, files, Settings(device="cpu", **arguments), (1, 2), budget)


def printed(found: Estimate, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_estimate(found, console)
    text = console.file.getvalue()
    assert isinstance(text, str)
    return text


def test_rates_are_found_again_from_timings() -> None:
    seconds = {"step": 0.5, "token": 0.001, "idle": 0.0}
    works = [Work(amounts={"step": s, "token": t, "idle": i}) for s, t, i in ((1, 9, 2), (5, 100, 1), (3, 4000, 0))]
    timings = [Timing(work, sum(seconds[name] * amount for name, amount in work.amounts.items())) for work in works]
    rates = Rates.fit(timings)
    assert rates.seconds == pytest.approx(seconds, abs=1e-9)
    assert rates.of(Work(amounts={"step": 10, "token": 1000, "other": 7})) == pytest.approx(6.0)
    assert rates.unknown([Work(amounts={"step": 1, "other": 7, "none": 0})]) == ["other"]


def test_rates_are_never_negative() -> None:
    # The longer piece took less time: a straight line would give the token a negative price.
    timings = [Timing(Work(amounts={"step": 1, "token": 10}), 2.0), Timing(Work(amounts={"step": 1, "token": 20}), 1.9)]
    rates = Rates.fit(timings)
    assert rates.seconds["token"] == 0
    assert 1.9 < rates.seconds["step"] < 2.0


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [([5, 4, 3, 3], 1, 15), ([5, 4, 3, 3], 2, 8), ([9, 1, 1, 1], 2, 9), ([2, 2], 8, 2), ([], 3, 0)],
)
def test_each_worker_takes_the_next_group_when_it_is_free(seconds: list[float], workers: int, expected: float) -> None:
    assert makespan(seconds, workers) == expected


def test_lengths_are_those_of_the_draws() -> None:
    files = locate(small_recipe().base)
    lengths = Lengths(estimate_module._tokenizer(files))
    data = load_benchmark("embedded_mood")
    drawn = lengths.drawn("embedded_mood", 3, 9)
    training_set = draw_training_set(data, 6, 3)
    tokenizer = lengths.tokenizer
    whole = "\n\n".join([*(e.text for e in training_set.train), training_set.dev[0].prompt])
    assert drawn.demonstrations[:6].sum() + drawn.prompts[6] == len(tokenizer(whole)["input_ids"])
    assert list(drawn.answers[6:9]) == [len(tokenizer(e.answer)["input_ids"]) for e in training_set.dev]
    assert lengths.exact


def test_a_tokenizer_that_does_not_cut_at_blank_lines_is_noticed() -> None:
    class Merging:
        """A token for seven characters, wherever they stand."""

        def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
            return {"input_ids": [[0] * -(-len(text) // 7) for text in texts]}

        def num_special_tokens_to_add(self, pair: bool) -> int:
            return 1

    lengths = Lengths(Merging())  # type: ignore[arg-type]
    drawn = lengths.drawn("embedded_mood", 0, 6)
    assert not lengths.exact
    texts = [e.text for e in draw_training_set(load_benchmark("embedded_mood"), 4, 0).train]
    assert drawn.demonstrations[:4].sum() == pytest.approx((sum(map(len, texts)) + 8) / 7, rel=0.1)


def test_what_is_done_costs_nothing() -> None:
    recipe = small_recipe()
    cells = planned(recipe, locate(recipe.base).base)
    everything = estimated(recipe)
    before = estimated(recipe, done=[cell.key for cell in cells if cell.method != "ia2_sft"])
    ia2_sft = [cell for cell in cells if cell.method == "ia2_sft"]
    assert (before.cells, before.adapters) == (len(ia2_sft), len(ia2_sft))
    # It goes on from the adapter of ia2: only its last phase is left, and no teacher is asked.
    assert 0 < before.work.trained < everything.work.trained / 2
    assert before.work.teacher == before.disk.targets == 0
    nothing = estimated(recipe, done=[cell.key for cell in cells])
    assert (nothing.cells, nothing.work.forward, nothing.disk.total) == (0, 0, 0)
    assert printed(nothing) == "nothing is left to do\n"


def test_generated_text_counts_at_most() -> None:
    plain = estimated(small_recipe(benchmarks=QUESTIONS, methods=["no_icl"]))
    sampled = estimated(
        small_recipe(benchmarks=QUESTIONS, methods=["no_icl"], agreement={"samples": 3, "temperature": 1.0})
    )
    assert plain.work.generated == 12 * 16  # queries, tokens at most
    assert sampled.work.generated == 4 * plain.work.generated
    assert plain.work.read < sampled.work.read <= 4 * plain.work.read
    assert sampled.disk.samples > plain.disk.samples


def test_targets_are_collected_once_for_all_that_learn_from_them() -> None:
    alone = estimated(small_recipe(methods=["ia2"]))
    several = estimated(small_recipe(methods=["ia2", "ia2+sft", "ia2_sft"], learning_rates=[1e-3, 1e-2]))
    assert several.work.teacher == alone.work.teacher > 0
    assert several.disk.targets == alone.disk.targets
    width, layers, examples = 128, 4, 4 + 2
    assert alone.disk.targets == examples * width * layers * 4
    soft = estimated(small_recipe(methods=["ia2", "soft_sft"]))
    assert soft.disk.targets == alone.disk.targets + examples * 656 * 4


@pytest.mark.parametrize("adapter", [None, "ia3", "prompt", "prefix", "full"])
def test_disk_is_what_a_run_leaves(adapter: str | None, tmp_path: Path) -> None:
    changes: dict[str, Any] = {} if adapter is None else {"adapter": adapter}
    recipe = small_recipe(methods=["icl", "sft"], epochs=1, limit=60, temperature_scaling=True, **changes)
    small_run(recipe, tmp_path)
    found = estimated(recipe).disk

    def left(*folders: str) -> int:
        return sum(p.stat().st_size for folder in folders for p in (tmp_path / folder).rglob("*") if p.is_file())

    assert found.adapters == pytest.approx(left("adapters"), rel=0.1)
    assert found.samples == pytest.approx(left("samples"), rel=0.15)
    assert found.records == pytest.approx(left("records") + (tmp_path / "plan.json").stat().st_size, rel=0.3)


def test_time_is_measured_for_every_kind_of_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration, "start_seconds", lambda files, device: 7.0)
    monkeypatch.setattr(calibration, "LONGEST", 1000)  # on a busy machine too
    sources = [{"source": "embedded_mood", "n": [2, 4]}, *QUESTIONS]
    recipe = small_recipe(benchmarks=sources, seeds=[0, 1], methods=["no_icl", "icl", "sft", "ia2", "ia2_sft"])
    found = estimated(recipe, budget=0.5, targets_dir=tmp_path / "targets")
    assert found.time and not found.no_time and not found.notes
    assert found.time.start_seconds == 7.0
    assert 7.0 + found.time.longest_pass <= found.time.seconds[2] < found.time.seconds[1] < 600
    assert not (tmp_path / "targets").exists()
    said = " ".join(printed(found).split())
    assert "with 1 worker" in said and "with 2 workers, if they do not disturb each other" in said


def test_a_worker_starts_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    files = locate(small_recipe().base)
    assert calibration.start_seconds(files, "cpu") > 0.5
    monkeypatch.setattr("sys.executable", "false")
    with pytest.raises(UserError, match="cannot be loaded: it was killed"):
        calibration.start_seconds(files, "cpu")


def test_without_weights_there_is_no_time_and_the_reason(tmp_path: Path) -> None:
    recipe = small_recipe()
    there = locate(recipe.base)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((there.directory / name).read_bytes())
    files = BaseFiles(there.base.model_copy(update={"model": "org/model"}), tmp_path)
    found = estimated(recipe, budget=5.0, files=files)
    assert found.time is None and found.work == estimated(recipe).work
    assert "hf download org/model" in found.no_time and found.no_time[:20] in printed(found)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    assert not calibration.weights_on_disk(files)
    (tmp_path / "model-2.safetensors").touch()
    assert calibration.weights_on_disk(files)


def test_a_piece_that_fails_leaves_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(calibration, "start_seconds", lambda files, device: 1.0)
    monkeypatch.setattr(calibration.CellTrainer, "train", fail)
    found = estimated(small_recipe(methods=["sft"]), budget=1.0)
    assert found.time is None and found.work.trained > 0
    assert "no such kernel" in found.no_time


@pytest.mark.parametrize("width", [80, 100])
def test_it_fits_the_terminal(width: int) -> None:
    found = estimated(small_recipe(benchmarks=QUESTIONS))
    said = printed(found, width)
    assert all(len(line) <= width for line in said.splitlines())
    assert "judge calls  none" in said and "7 cells" not in said
    assert "5 cells, 3 adapters" in said


def test_numbers_are_short() -> None:
    assert [duration(s) for s in (5.52, 59.4, 140, 3599.9, 11_100, 200_000)] == [
        "5.5 s", "59 s", "2 min 20 s", "1 h 00 min", "3 h 05 min", "2 days 7 h",
    ]  # fmt: skip
    assert [short(n) for n in (840, 13_219, 999_600, 12_345_678, 4.567e9)] == [
        "840", "13.2 k", "1 M", "12.3 M", "4.57 B",
    ]  # fmt: skip
    assert [byte_count(n) for n in (512, 3_356_160, 3 << 30)] == ["0.5 KiB", "3.2 MiB", "3 GiB"]


def test_amounts_add_up() -> None:
    parts = [Work(read=2, amounts={"a": 1.0}), Work(read=3, trained=1, amounts={"a": 2.0, "b": 1.0})]
    assert total(parts) == Work(read=5, trained=1, amounts={"a": 3.0, "b": 1.0})
