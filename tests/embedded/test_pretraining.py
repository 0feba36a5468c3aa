"""Building the embedded model: the losses of the shipped log, resuming, exporting, the command."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from ia2_eval.cli import app
from ia2_eval.embedded import MODEL_DIRECTORY, pretraining
from ia2_eval.embedded.curriculum import STAGES, Stage, draw_batch
from ia2_eval.embedded.pretraining import LOG_FILE, Build
from ia2_eval.errors import UserError

WEIGHTS = {"mood": 1.0, "tense": 1.0}
TINY = (
    Stage("first", steps=5, tokens=24, adamw_learning_rate=2e-3, one_word_steps=2, ramp_steps=4, axis_weights=WEIGHTS),
    Stage("second", steps=4, tokens=32, adamw_learning_rate=1e-3, long_share=0.0, axis_weights=WEIGHTS),
)
ALL_STEPS = 9
Weights = dict[str, torch.Tensor]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log every step, checkpoint every second one, and do not spend seconds on measuring accuracy."""
    monkeypatch.setattr(pretraining, "LOG_EVERY", 1)
    monkeypatch.setattr(pretraining, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(Build, "probe", lambda self: {"mood": {"15": 0.5}})


def log_of(directory: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (directory / LOG_FILE).read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "cpu_seconds"} for entry in entries]


def build(
    directory: Path, steps: int | None = None, report: Callable[[dict[str, Any]], None] = lambda entry: None
) -> Build:
    """A new `Build`, as in a new process."""
    work = Build(directory, TINY)
    work.run(report, steps)
    return work


def assert_same(work: Build, other: Build) -> None:
    for (name, weight), expected in zip(work.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(weight, expected), name


def test_the_first_200_steps_are_those_of_the_shipped_log(tmp_path: Path) -> None:
    """Takes half a minute."""
    Build(tmp_path).run(lambda entry: None, steps=200)
    built, shipped = log_of(tmp_path), log_of(MODEL_DIRECTORY)[:4]
    assert [entry["step"] for entry in built] == [entry["step"] for entry in shipped] == [0, 50, 100, 150]
    # Another processor rounds differently, which grows tenfold in fifty steps; the margin over that is tenfold too.
    for entry, expected, tolerance in zip(built, shipped, (1e-3, 2e-3, 2e-2, 0.1), strict=True):
        assert entry == pytest.approx(expected, abs=tolerance)
    assert built[-1]["label_loss"] < 1.2 < 1.5 < built[1]["label_loss"] < 3 < 6 < built[0]["label_loss"]


def test_the_logged_losses_are_the_models(tmp_path: Path, often: None) -> None:
    """The first entry, recomputed token by token."""
    work = Build(tmp_path, TINY)
    labels, texts = [], []
    for sequence in draw_batch(np.random.default_rng(pretraining.SEED), TINY[0], 0):
        ids = work.tokenizer.convert_tokens_to_ids(sequence.tokens)
        with torch.no_grad():
            log_probabilities = work.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(1, len(ids)):
            loss = -log_probabilities[place - 1, ids[place]].item()
            labels.append(loss if sequence.scored[place] else None)
            texts.append(0.0 if sequence.scored[place] else loss)
    work.run(lambda entry: None, steps=1)
    (entry,) = log_of(tmp_path)
    assert entry["label_loss"] == pytest.approx(np.mean([loss for loss in labels if loss is not None]), abs=1e-3)
    assert entry["text_loss"] == pytest.approx(np.mean(texts), abs=1e-3)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Build:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "LOG_EVERY", 1)
        patch.setattr(Build, "probe", lambda self: {"mood": {"15": 0.5}})
        return build(tmp_path_factory.mktemp("uninterrupted"))


def test_a_build_takes_every_step_of_every_stage(uninterrupted: Build) -> None:
    assert uninterrupted.finished and uninterrupted.total_steps() == ALL_STEPS
    log = log_of(uninterrupted.directory)
    assert [entry["step"] for entry in log] == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    assert [entry.get("finished") for entry in log if "finished" in entry] == ["first", "second"]


@pytest.mark.parametrize("killed_at", range(1, ALL_STEPS + 2))
def test_a_killed_build_continues_as_if_nothing_had_happened(
    killed_at: int, tmp_path: Path, often: None, uninterrupted: Build
) -> None:
    entries = 0

    def kill(entry: dict[str, Any]) -> None:
        nonlocal entries
        entries += 1
        if entries == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, report=kill)
    work = build(tmp_path)
    assert_same(work, uninterrupted)
    assert log_of(tmp_path) == log_of(uninterrupted.directory)


def test_a_build_in_portions_is_the_same(tmp_path: Path, often: None, uninterrupted: Build) -> None:
    """Also where a portion ends between two checkpoints, and at the end of a stage."""
    for steps, taken in [(1, 1), (3, 3), (3, 3), (2, 3), (5, 5), (6, 6)]:
        assert build(tmp_path, steps).total_steps() == taken
    work = build(tmp_path)
    assert_same(work, uninterrupted)
    assert log_of(tmp_path) == log_of(uninterrupted.directory)
    assert_same(build(tmp_path), uninterrupted)  # once more does nothing
    assert log_of(tmp_path) == log_of(uninterrupted.directory)


def test_a_kill_while_the_checkpoint_is_written_loses_no_checkpoint(
    tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch, uninterrupted: Build
) -> None:
    build(tmp_path, 4)

    def torn(tensors: Weights, path: Path) -> None:
        path.write_bytes(b"torn")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "save_file", torn)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    assert_same(build(tmp_path), uninterrupted)
    assert len(list((tmp_path / pretraining.CHECKPOINT).iterdir())) == 2  # one set of tensors and where it belongs


def test_the_thread_count_of_the_caller_stays(tmp_path: Path, often: None) -> None:
    torch.set_num_threads(2)
    seen = []
    build(tmp_path, 1, report=lambda entry: seen.append(torch.get_num_threads()))
    assert (seen, torch.get_num_threads()) == ([1], 2)


def test_export(tmp_path: Path, uninterrupted: Build) -> None:
    uninterrupted.export(tmp_path)
    uninterrupted.export(tmp_path)  # again over the same directory: the checksums must not count themselves
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in MODEL_DIRECTORY.iterdir()}
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
        assert (tmp_path / name).stat().st_mode & 0o444 == 0o444
    assert len((tmp_path / "SHA256SUMS").read_text().splitlines()) == len(list(tmp_path.iterdir())) - 1
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    text = AutoTokenizer.from_pretrained(tmp_path)("Text: today great dog\nLabel:", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded(**text).logits, uninterrupted.model(**text).logits)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        exported, shipped = (json.loads((d / name).read_text()) for d in (tmp_path, MODEL_DIRECTORY))
        exported.pop("transformers_version", None)
        shipped.pop("transformers_version", None)
        assert exported == shipped


def test_a_torch_without_muon_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(
        UserError, match=r"needs torch\.optim\.Muon \(torch 2\.9 or newer\), found " + torch.__version__[0]
    ):
        Build(tmp_path)


def test_the_command_stops_and_continues(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    for steps in ("1", "2"):
        result = CliRunner().invoke(app, ["embedded", "build", "--steps", steps, "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert f"stopped after {steps} of 9800 steps; the same command without --steps continues" in result.output
        assert ("step 0: label loss 6.255, text loss 5.460 (" in result.output) == (steps == "1")
    assert [entry["step"] for entry in log_of(out)] == [0]
    assert sum(stage.steps for stage in STAGES) == 9800


def test_the_command_ends_with_the_model(tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "Build", functools.partial(Build, stages=TINY))
    result = CliRunner().invoke(app, ["embedded", "build", "--out", str(tmp_path)])
    assert 'step 5: finished "first"; accuracy after 15 demonstrations: mood 0.50 (' in result.output
    assert f"the model is in {tmp_path / 'model'}\n" in result.output
    assert (tmp_path / "model" / "SHA256SUMS").is_file()
