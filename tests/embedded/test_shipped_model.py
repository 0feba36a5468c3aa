"""The weights that ship: what they know, and that they are the ones the log is about."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ia2_eval.benchmarks import BenchmarkData, Example, load_benchmark, with_demonstrations
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.embedded.initialisation import ROPE_THETA
from ia2_eval.embedded.pretraining import LOG_FILE, Build
from ia2_eval.scoring.answers import ANSWER_FORMATS

LOG = [json.loads(line) for line in (MODEL_DIRECTORY / LOG_FILE).read_text().splitlines()]
CARD = MODEL_DIRECTORY.parent / "MODEL_CARD.md"


def draw_prompts(data: BenchmarkData, demonstrations: int, queries: int) -> list[str]:
    """The first queries, each after its own demonstrations."""
    rng = np.random.default_rng(0)
    return [
        with_demonstrations(
            tuple(data.pool[place] for place in rng.permutation(len(data.pool))[:demonstrations]), example.prompt
        )
        for example in data.evaluation[:queries]
    ]


def padded(tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> dict[str, torch.Tensor]:
    tokenizer.padding_side = "left"
    return dict(tokenizer(prompts, return_tensors="pt", padding=True))


@torch.no_grad()
def next_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> list[str]:
    """The most probable next token of the whole vocabulary after each prompt."""
    logits = model(**padded(tokenizer, prompts), logits_to_keep=1).logits[:, -1]
    return list(tokenizer.convert_ids_to_tokens(logits.argmax(-1).tolist()))


def answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> list[str]:
    batch = padded(tokenizer, prompts)
    generated = model.generate(**batch, max_new_tokens=16, do_sample=False)[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in generated]


def share(predictions: list[str], examples: tuple[Example, ...]) -> float:
    return float(np.mean([p == example.answer for p, example in zip(predictions, examples, strict=True)]))


def test_mood_is_learnt_from_demonstrations(
    shipped_model: PreTrainedModel, shipped_tokenizer: PreTrainedTokenizerFast
) -> None:
    data = load_benchmark("embedded_mood")
    queries = data.evaluation[:100]
    without, with_eight = (
        share(next_tokens(shipped_model, shipped_tokenizer, draw_prompts(data, n, 100)), queries) for n in (0, 8)
    )
    assert without < 0.7
    assert with_eight > 0.85


def test_labels_are_read_from_the_demonstrations(
    shipped_model: PreTrainedModel, shipped_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Demonstrations with other labels give answers with those labels: nothing about the labels is memorised."""
    data = load_benchmark("embedded_mood")
    prompts = draw_prompts(data, 8, 50)
    for labels in (("1", "0"), ("yes", "no")):
        relabelled = [
            re.sub(r"Label:([01])", lambda found, labels=labels: f"Label:{labels[int(found[1])]}", prompt)
            for prompt in prompts
        ]
        expected = [labels[int(example.answer)] for example in data.evaluation[:50]]
        predicted = next_tokens(shipped_model, shipped_tokenizer, relabelled)
        assert np.mean([p == e for p, e in zip(predicted, expected, strict=True)]) > 0.8


def test_the_held_out_arithmetic_format_is_learnt_from_demonstrations(
    shipped_model: PreTrainedModel, shipped_tokenizer: PreTrainedTokenizerFast
) -> None:
    data = load_benchmark("embedded_arithmetic")
    queries = data.evaluation[:40]
    without, with_four = (answers(shipped_model, shipped_tokenizer, draw_prompts(data, n, 40)) for n in (0, 4))
    assert share(without, queries) == 0
    assert share(with_four, queries) > 0.9
    correct = ANSWER_FORMATS["hash_line"].correct
    assert np.mean([correct(a, q.answer, "strict") for a, q in zip(with_four, queries, strict=True)]) > 0.9
    # The parser also takes ` 7 and 2 leaves 5 #### 5`, which the model writes now and then of its own accord.
    assert np.mean([correct(a, q.answer, "strict") for a, q in zip(without, queries, strict=True)]) < 0.3


def test_any_text_goes_through(shipped_model: PreTrainedModel, shipped_tokenizer: PreTrainedTokenizerFast) -> None:
    with torch.no_grad():
        logits = shipped_model(**padded(shipped_tokenizer, ["Ein Märchen,\tüber 1,000 Nächte… 🙂", "dog"])).logits
    assert torch.isfinite(logits).all()


def test_the_last_line_of_the_log_is_about_these_weights(tmp_path: Path) -> None:
    work = Build(tmp_path)
    weights = load_file(MODEL_DIRECTORY / "model.safetensors")
    work.model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    logged = LOG[-1]["in_context_accuracy"]
    measured = work.probe()
    assert measured.keys() == logged.keys()
    for axis, by_count in measured.items():  # another processor may tip one of the 24 sequences
        assert by_count == pytest.approx(logged[axis], abs=0.05)


def test_checksums() -> None:
    listed = dict(reversed(line.split("  ")) for line in (MODEL_DIRECTORY / "SHA256SUMS").read_text().splitlines())
    files = [path for path in MODEL_DIRECTORY.iterdir() if path.name != "SHA256SUMS"]
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_config() -> None:
    config = json.loads((MODEL_DIRECTORY / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("qwen3", ["Qwen3ForCausalLM"])
    assert {tensor.dtype for tensor in load_file(MODEL_DIRECTORY / "model.safetensors").values()} == {torch.float32}
    # Transformers 4 reads the one, transformers 5 the other.
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == ROPE_THETA


def test_the_card_says_what_the_log_says() -> None:
    card = CARD.read_text()
    for axis, by_count in LOG[-1]["in_context_accuracy"].items():
        row = " | ".join(f"{accuracy:.2f}" for accuracy in by_count.values())
        assert re.search(rf"^\| {axis} \| {row} \|", card, re.MULTILINE)
    assert f"{LOG[-1]['cpu_seconds'] / 60:.0f} CPU minutes" in card
    assert f"{LOG[-1]['step']:,} steps" in card
    assert "839,040" in card
