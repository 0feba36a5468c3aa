"""What the embedded model is trained on: the stages, and the sequences of each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ia2_eval.embedded.world import (
    AXES,
    CHAINS,
    DELIMITERS,
    DIGITS,
    END,
    LABEL_WORDS,
    LETTERS,
    Axis,
    headlines,
    story,
    worked_answer,
)

HELD_OUT_FORMAT = ("equation", "####")
"""The arithmetic answer format that is never trained on: the embedded arithmetic benchmark asks for it."""

LONG = 400
"""Tokens of a long sequence: it holds about forty demonstrations."""


class Sequence(NamedTuple):
    """One training sequence."""

    tokens: list[str]
    scored: list[bool]
    """Whether a token is a label or part of an answer, which the loss weighs fully."""


@dataclass(frozen=True)
class Stage:
    """One stretch of training with its own schedule."""

    name: str
    steps: int
    tokens: int
    """Length of the ordinary sequences."""
    adamw_learning_rate: float
    muon_learning_rate: float = 0.01
    hold: float = 0.5
    """Share of the steps before the learning rates decay."""
    long_share: float = 0.2
    """Final share of the steps in which every second batch holds long sequences."""
    arithmetic_share: float = 0.12
    label_noise: tuple[float, ...] = (0.0,)
    """Shares of wrong labels; each classification sequence draws one of them."""
    one_word_steps: int = 0
    """First steps: texts of one word, one word per class."""
    ramp_steps: int = 0
    """Steps by which texts and classes have grown to full size."""
    axis_weights: dict[str, float] = field(default_factory=dict)

    def rate_factor(self, step: int) -> float:
        """Factor of both learning rates: 150 steps of warm-up, a plateau, a linear decay to a fiftieth."""
        warmup = min(1.0, (step + 1) / 150)
        done = step / self.steps
        decay = 1.0 if done < self.hold else max(0.02, (1 - done) / (1 - self.hold))
        return warmup * decay


STAGES = (
    Stage(
        name="learn to learn in context",
        steps=7000,
        tokens=80,
        adamw_learning_rate=2e-3,
        arithmetic_share=0.2,
        one_word_steps=400,
        ramp_steps=2400,
        axis_weights={
            "mood": 0.22,
            "time": 0.11,
            "place": 0.11,
            "size": 0.08,
            "tense": 0.12,
            "action": 0.13,
            "subject": 0.05,
            "object": 0.18,
        },
    ),
    Stage(
        name="rare axes, noisy labels, longer sequences",
        steps=2800,
        tokens=144,
        adamw_learning_rate=1e-3,
        hold=0.3,
        long_share=0.4,
        label_noise=(0.0, 0.0, 0.1, 0.2, 0.3),
        axis_weights={
            "mood": 0.14,
            "time": 0.12,
            "place": 0.12,
            "size": 0.08,
            "tense": 0.12,
            "action": 0.17,
            "subject": 0.05,
            "object": 0.20,
        },
    ),
)


class _Mix(NamedTuple):
    """What the sequences of one step are like."""

    demonstrations: float
    """Share of sequences of demonstrations; this and the next two need not add up to one."""
    fields: float
    arithmetic: float
    presence: float = 0.7
    """Probability that a slot of a demonstrated headline is filled."""
    words_per_class: int = 99
    named_field_share: float = 0.1
    """Share of the sequences of demonstrations whose labels stand after the axis's field name, not after `Label:`."""


def draw_batch(rng: np.random.Generator, stage: Stage, step: int, batch_size: int = 16) -> list[Sequence]:
    """Sequences for one step of a stage, all of one length; long ones are fewer, so that steps cost about the same."""
    long = step >= stage.steps * (1 - stage.long_share) and step % 2 == 0
    length = LONG if long else stage.tokens
    count = max(4, batch_size * stage.tokens // LONG) if long else batch_size

    mix = _draw_mix(rng, stage, step)
    weights = np.array([mix.demonstrations, mix.fields, mix.arithmetic])
    kinds = rng.choice(["demonstrations", "fields", "arithmetic"], size=count, p=weights / weights.sum())
    sequences = []
    for kind in kinds:
        if kind == "demonstrations":
            axis, values, labels = _draw_task(rng, stage.axis_weights)
            sequences.append(
                demonstration_sequence(
                    rng,
                    length,
                    axis,
                    values,
                    labels,
                    field_name=axis.field if rng.random() < mix.named_field_share else "Label:",
                    noise=float(rng.choice(stage.label_noise)),
                    presence=mix.presence,
                    words_per_class=mix.words_per_class,
                )
            )
        elif kind == "fields":
            sequences.append(field_sequence(rng, length))
        else:
            sequences.append(arithmetic_sequence(rng, length))
    return sequences


def _draw_mix(rng: np.random.Generator, stage: Stage, step: int) -> _Mix:
    if step < stage.one_word_steps:
        return _Mix(0.85, 0.1, 0.05, presence=0.0, words_per_class=1, named_field_share=0.0)
    if step >= stage.ramp_steps:
        return _Mix(0.75 - stage.arithmetic_share, 0.15, stage.arithmetic_share)
    grown = (step - stage.one_word_steps) / (stage.ramp_steps - stage.one_word_steps)
    presence = 0.7 * max(0.0, 1.5 * grown - 0.5)
    words_per_class = 1 + int(12 * min(1.0, 2 * grown))
    if rng.random() < 0.3:  # keep some easier batches
        presence *= rng.random()
        words_per_class = 1 + int(words_per_class * rng.random())
    return _Mix(0.65, 0.25, 0.1, presence, words_per_class, named_field_share=0.3)


def _draw_task(rng: np.random.Generator, axis_weights: dict[str, float]) -> tuple[Axis, list[str], list[str]]:
    """An axis, two to four of its values, and a random label for each, which only the demonstrations tell."""
    weights = np.array(list(axis_weights.values()))
    axis = AXES[str(rng.choice(list(axis_weights), p=weights / weights.sum()))]
    count = 2 if len(axis.values) == 2 else int(rng.choice([2, 3, 4], p=[0.5, 0.2, 0.3]))
    values = [str(value) for value in rng.permutation(list(axis.values))[:count]]
    kind = rng.random()
    if kind < 0.45:
        symbols = DIGITS[:count] if rng.random() < 0.6 else DIGITS
    elif kind < 0.72:
        symbols = LETTERS
    else:
        symbols = LABEL_WORDS
    return axis, values, [str(symbol) for symbol in rng.permutation(symbols)[:count]]


def demonstration_sequence(
    rng: np.random.Generator,
    length: int,
    axis: Axis,
    values: list[str],
    labels: list[str],
    *,
    field_name: str = "Label:",
    noise: float = 0.0,
    presence: float = 0.7,
    words_per_class: int = 99,
) -> Sequence:
    """Demonstrations of one classification task, `Text: <headline>\\nLabel:<label>\\n\\n` one after the other."""
    count = int(length / (5 + max(1.0, 5.6 * presence))) + 4
    drawn = headlines(rng, count, axis, values, presence=presence, words_per_class=words_per_class)
    shift = np.where(rng.random(count) < noise, rng.integers(1, len(labels), count), 0)
    given = (drawn.values + shift) % len(labels)
    tokens: list[str] = []
    scored: list[bool] = []
    while len(tokens) < length:
        for headline, label in zip(drawn.tokens, given, strict=True):
            tokens += ["Text:", *headline, "\n", field_name, labels[label], END]
            scored += [False] * (len(headline) + 3) + [True, False]
    return Sequence(tokens[:length], scored[:length])


def field_sequence(rng: np.random.Generator, length: int) -> Sequence:
    """Headlines with a named field and its value (`Sentiment:positive`): what is known without demonstrations."""
    drawn = headlines(rng, length // 7 + 2, presence=0.8)
    axes = list(AXES.values())
    # A third of the sequences ask for one field throughout.
    fixed = axes[rng.integers(len(axes))] if rng.random() < 1 / 3 else None
    tokens: list[str] = []
    scored: list[bool] = []
    for headline, classes in zip(drawn.tokens, drawn.classes, strict=True):
        axis = fixed or axes[rng.integers(len(axes))]
        if axis.slot not in classes:
            axis = AXES["tense"] if rng.random() < 0.5 else AXES["action"]
        tokens += ["Text:", *headline, "\n", axis.field, axis.value_of(classes[axis.slot]), END]
        scored += [False] * (len(headline) + 3) + [True, False]
    return Sequence(tokens[:length], scored[:length])


def arithmetic_sequence(
    rng: np.random.Generator, length: int, answer_format: tuple[str, str] | None = None
) -> Sequence:
    """Arithmetic stories with their answers, all in one format, never in `HELD_OUT_FORMAT` unless asked for."""
    answer_format = answer_format or _draw_format(rng)
    tokens: list[str] = []
    scored: list[bool] = []
    while len(tokens) < length:
        problem = story(rng)
        answer = worked_answer(problem, *answer_format)
        tokens += ["Q:", *problem.tokens, "\n", "A:", *answer, END]
        scored += [False] * (len(problem.tokens) + 3) + [True] * (len(answer) + 1)
    return Sequence(tokens[:length], scored[:length])


def _draw_format(rng: np.random.Generator) -> tuple[str, str]:
    """A chain and a delimiter for arithmetic answers, never `HELD_OUT_FORMAT`."""
    while True:
        # One short format is the most frequent by far, so that it is what the model writes when nothing is shown.
        if rng.random() < 0.4:
            return "none", "answer is"
        chain = CHAINS[rng.integers(len(CHAINS))]
        # The held-out delimiter is seen more often, in other chains, so that only the combination is new.
        choices = DELIMITERS if rng.random() < 0.7 else ("####", "answer is")
        drawn = (chain, str(rng.choice(choices)))
        if drawn != HELD_OUT_FORMAT:
            return drawn
