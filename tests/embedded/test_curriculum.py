"""What the embedded model is trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from ia2_eval.embedded.curriculum import (
    HELD_OUT_FORMAT,
    LONG,
    STAGES,
    Sequence,
    Stage,
    arithmetic_sequence,
    demonstration_sequence,
    draw_batch,
    field_sequence,
)
from ia2_eval.embedded.world import AXES, CHAINS, DELIMITERS, DIGITS, END, LABEL_WORDS, LETTERS, WORDS, vocabulary

CLASS_OF = {
    f" {word}": name for classes in WORDS.values() for name, class_words in classes.items() for word in class_words
}
SLOT_OF = {
    f" {word}": slot for slot, classes in WORDS.items() for class_words in classes.values() for word in class_words
}
LABELS = {*DIGITS, *LETTERS, *LABEL_WORDS}
STEPS = [(stage, step) for stage in STAGES for step in range(0, stage.steps, stage.steps // 60)]


def segments(sequence: Sequence) -> Iterator[tuple[list[str], list[bool]]]:
    """The complete demonstrations of a sequence: tokens up to and with their blank line, and whether each is scored."""
    start = 0
    for place, token in enumerate(sequence.tokens):
        if token == END:
            yield sequence.tokens[start : place + 1], sequence.scored[start : place + 1]
            start = place + 1


def arithmetic_answers(sequence: Sequence) -> list[str]:
    return re.findall(r"A:(.*?)(?:\n\n|$)", "".join(sequence.tokens))


@pytest.fixture(scope="module")
def training_sequences() -> list[Sequence]:
    """Sequences from steps spread over both stages."""
    rng = np.random.default_rng(1)
    return [sequence for stage, step in STEPS for _ in range(3) for sequence in draw_batch(rng, stage, step)]


def test_only_known_tokens(training_sequences: list[Sequence]) -> None:
    assert {token for sequence in training_sequences for token in sequence.tokens} <= set(vocabulary())


def test_exactly_labels_and_answers_are_scored(training_sequences: list[Sequence]) -> None:
    for sequence in training_sequences:
        assert len(sequence.scored) == len(sequence.tokens)
        for tokens, scored in segments(sequence):
            if tokens[0] == "Q:":  # an arithmetic answer is scored with its end
                answer = tokens.index("A:") + 1
                assert scored == [False] * answer + [True] * (len(tokens) - answer)
            else:
                assert tokens[0] == "Text:"
                assert scored == [False] * (len(tokens) - 2) + [True, False]
                assert tokens[-2] in LABELS or any(tokens[-2] in axis.values for axis in AXES.values())


def test_the_held_out_format_is_never_trained_on(training_sequences: list[Sequence]) -> None:
    rng = np.random.default_rng(2)
    asked_for = arithmetic_sequence(rng, 80, HELD_OUT_FORMAT)
    held_out = re.compile(r" \d+ [+-] \d+ = \d+ ####")
    assert all(held_out.match(answer) for answer in arithmetic_answers(asked_for)[:-1])
    trained = [arithmetic_sequence(rng, 60) for _ in range(5000)] + training_sequences
    assert [s for s in trained if any(held_out.match(answer) for answer in arithmetic_answers(s))] == []


def test_every_other_format_is_trained_on() -> None:
    rng = np.random.default_rng(3)
    shape = re.compile(r"\d+")
    seen = {
        shape.sub("0", arithmetic_answers(arithmetic_sequence(rng, 40))[0].replace("-", "+").replace("leaves", "makes"))
        for _ in range(5000)
    }
    chains = {"equation": " 0 + 0 = 0", "words": " 0 and 0 makes 0", "none": "", "swapped": " 0 = 0 + 0"}
    expected = {f"{chains[c]} {d} 0" for c in CHAINS for d in DELIMITERS if (c, d) != HELD_OUT_FORMAT}
    assert seen == expected


def test_trained_arithmetic_is_right(training_sequences: list[Sequence]) -> None:
    story = re.compile(r"Q: \w+ had (\d+) \w+ then (gained|lost) (\d+) more\nA:(.*?)\n\n", re.DOTALL)
    problems = [found for sequence in training_sequences for found in story.findall("".join(sequence.tokens))]
    assert len(problems) > 1000
    for first, happened, second, answer in problems:
        a, b = int(first), int(second)
        result = a + b if happened == "gained" else a - b
        numbers = [int(number) for number in re.findall(r"\d+", answer)]
        assert numbers in ([result], [a, b, result, result], [result, a, b, result])


def test_a_step_holds_sequences_of_one_length(training_sequences: list[Sequence]) -> None:
    for stage in STAGES:
        first_long = int(np.ceil(stage.steps * (1 - stage.long_share)))
        for step, length, count in [
            (0, stage.tokens, 16),
            (first_long - 2, stage.tokens, 16),
            (first_long + first_long % 2, LONG, max(4, 16 * stage.tokens // LONG)),
            (first_long + 1 - first_long % 2, stage.tokens, 16),
        ]:
            batch = draw_batch(np.random.default_rng(0), stage, step)
            assert [len(sequence.tokens) for sequence in batch] == [length] * count


def test_the_same_seed_draws_the_same_sequences() -> None:
    for stage, step in STEPS[::10]:
        first, again, other = (draw_batch(np.random.default_rng(seed), stage, step) for seed in (5, 5, 6))
        assert first == again
        assert first != other


def kind(sequence: Sequence) -> str:
    if sequence.tokens[0] == "Q:":
        return "arithmetic"
    return "demonstrations" if sequence.tokens[sequence.scored.index(True)] in LABELS else "fields"


@pytest.mark.parametrize(
    ("stage", "step", "shares", "named_fields"),
    [
        (STAGES[0], 0, {"demonstrations": 0.85, "fields": 0.1, "arithmetic": 0.05}, 0.0),
        (STAGES[0], 1400, {"demonstrations": 0.65, "fields": 0.25, "arithmetic": 0.1}, 0.3),
        (STAGES[0], 3000, {"demonstrations": 0.55 / 0.9, "fields": 0.15 / 0.9, "arithmetic": 0.2 / 0.9}, 0.1),
        (STAGES[1], 0, {"demonstrations": 0.63 / 0.9, "fields": 0.15 / 0.9, "arithmetic": 0.12 / 0.9}, 0.1),
    ],
)
def test_shares_of_the_kinds(stage: Stage, step: int, shares: dict[str, float], named_fields: float) -> None:
    rng = np.random.default_rng(4)
    drawn = [sequence for _ in range(100) for sequence in draw_batch(rng, stage, step)]
    for name, share in shares.items():
        assert np.mean([kind(sequence) == name for sequence in drawn]) == pytest.approx(share, abs=0.04)
    named = ["Label:" not in s.tokens for s in drawn if kind(s) == "demonstrations"]
    assert np.mean(named) == pytest.approx(named_fields, abs=0.04)


def test_texts_start_as_one_word_of_one_per_class_and_grow() -> None:
    rng = np.random.default_rng(5)
    lengths, words_used = [], []
    for step in (0, 1000, 1900, 2400):
        drawn = [s for _ in range(20) for s in draw_batch(rng, STAGES[0], step) if kind(s) == "demonstrations"]
        texts = [[tokens[1 : tokens.index("\n")] for tokens, _ in segments(s)] for s in drawn]
        lengths.append(np.mean([len(text) for sequence in texts for text in sequence]))
        by_class = [{(CLASS_OF[w], w) for text in sequence for w in text} for sequence in texts]
        words_used.append(np.mean([len(pairs) / len({name for name, _ in pairs}) for pairs in by_class]))
    assert (lengths[0], words_used[0]) == (1, 1)
    assert lengths == sorted(lengths) and lengths[-1] > 5
    assert words_used[1] > 1.1


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize(("axis_name", "labels"), [("mood", ["A", "B"]), ("object", ["yes", "7", "Q", "no"])])
def test_labels_follow_the_axis_but_for_the_noise(axis_name: str, labels: list[str], noise: float) -> None:
    axis, rng = AXES[axis_name], np.random.default_rng(6)
    values = list(axis.values)[: len(labels)]
    given: list[tuple[str, str]] = []
    for _ in range(40):
        for tokens, _ in segments(demonstration_sequence(rng, LONG, axis, values, labels, noise=noise)):
            word = next(token for token in tokens if SLOT_OF.get(token) == axis.slot)
            given.append((labels[values.index(axis.value_of(CLASS_OF[word]))], tokens[-2]))
    assert len(given) > 800
    wrong = [label for right, label in given if label != right]
    assert len(wrong) / len(given) == pytest.approx(noise, abs=0.04)
    if noise:
        assert all(wrong.count(label) / len(wrong) == pytest.approx(1 / len(labels), abs=0.12) for label in labels)


def test_noise_comes_in_the_second_stage_only() -> None:
    assert STAGES[0].label_noise == (0.0,)
    assert 0.2 in STAGES[1].label_noise  # what the noisy benchmarks have


def test_fields_are_answered_with_the_value_of_the_text() -> None:
    rng = np.random.default_rng(7)
    by_field = {axis.field: axis for axis in AXES.values()}
    asked = set()
    for _ in range(200):
        for tokens, _ in segments(field_sequence(rng, 80)):
            axis = by_field[tokens[-3]]
            word = next(token for token in tokens if SLOT_OF.get(token) == axis.slot)
            assert tokens[-2] == axis.value_of(CLASS_OF[word])
            asked.add(axis.name)
    assert asked == set(AXES)


def test_each_task_has_its_own_random_labels() -> None:
    """What a label means can only be read from the demonstrations: each value is seen with many labels."""
    rng = np.random.default_rng(8)
    seen: dict[str, set[str]] = {"positive": set(), "negative": set()}
    for _ in range(60):
        for sequence in draw_batch(rng, STAGES[0], 3000):
            for tokens, _ in segments(sequence):
                mood = [CLASS_OF[t] for t in tokens if SLOT_OF.get(t) == "mood"]
                if kind(sequence) == "demonstrations" and mood:
                    seen[mood[0]].add(tokens[-2])
    assert all(len(labels) > 40 for labels in seen.values())


def test_every_axis_is_trained_on() -> None:
    for stage in STAGES:
        assert stage.axis_weights.keys() == AXES.keys()
        assert sum(stage.axis_weights.values()) == pytest.approx(1)


def test_learning_rates_warm_up_hold_and_decay() -> None:
    stage = Stage("any", steps=1000, tokens=80, adamw_learning_rate=1.0, hold=0.5)
    factors = [stage.rate_factor(step) for step in (0, 74, 149, 499, 500, 750, 999)]
    assert factors == pytest.approx([1 / 150, 0.5, 1, 1, 1, 0.5, 0.02])
