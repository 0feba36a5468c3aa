"""What is kept of every evaluated example: enough to compute each metric again without the model.

Each row has what the model said and, for whoever reads the files, what scoring made of it; `rescored` derives the
latter from the former.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PlainSerializer

from ia2_eval.frozen import Frozen
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answer_confidence import answer_confidence
from ia2_eval.scoring.answers import AnswerFormat, scored_text
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken
from ia2_eval.scoring.predictions import Prediction, predict

DECIMALS = 6
"""Of the log-probabilities of generated tokens."""

CLOSE = 0.25
"""Nats. Log-probabilities of one context may differ by so much between two readings of it: two steps of bfloat16."""

Probability = Annotated[float, Field(ge=0, le=1)]


def _named(token: NextToken | None) -> dict[str, Any] | None:
    return None if token is None else token._asdict()


class LabelSample(Frozen):
    """An example whose answer is one of a few labels."""

    prompt_sha256: str
    prediction: str = Field(description="most likely label")
    confidence: Probability = Field(description="its probability, normalised over the labels")
    correct: bool = Field(description="whether it is the gold label; a tie for the top is wrong")
    correct_full_vocab: bool = Field(description="whether the gold label is the most likely of all continuations")
    log_likelihoods: tuple[float, ...] = Field(description="of the labels, in nats")
    gold: str
    next_token: Annotated[NextToken | None, PlainSerializer(_named)] = Field(
        default=None, description="what the model would say itself; None where the model does not tell"
    )

    def predicted(self, labels: Sequence[str], temperature: float = 1.0) -> Prediction:
        """What the log-likelihoods say, at a temperature.

        Raises:
            ValueError: there is not one log-likelihood per label, the gold label is none of them, or see `predict`.
        """
        if len(self.log_likelihoods) != len(labels):
            raise ValueError(f"{len(self.log_likelihoods)} results for the {len(labels)} labels {list(labels)}")
        if self.gold not in labels:
            raise ValueError(f"the gold label {self.gold!r} is none of {list(labels)}")
        return predict(self.log_likelihoods, labels.index(self.gold), temperature)

    def rescored(self, labels: Sequence[str]) -> LabelSample:
        """The same answers, scored anew.

        Raises:
            ValueError: see `predicted`.
        """
        prediction = self.predicted(labels)
        return self.model_copy(
            update={
                "prediction": labels[prediction.label],
                "confidence": prediction.confidence,
                "correct": prediction.correct,
            }
        )


class GenerationSample(Frozen):
    """An example whose answer is marked in a generated text."""

    prompt_sha256: str
    prediction: str = Field(description="the generated text")
    confidence: Probability | None = Field(
        description="probability of the scored answer after the text before it; None where it is not the first marked "
        "one or token_ends are not known"
    )
    correct: bool
    log_likelihoods: tuple[float, ...] = Field(default=(), description="empty: there are no labels")
    gold: str = Field(description="the gold text, whose answer is marked too")
    token_ends: tuple[int, ...] | None = Field(
        default=None, description="length of the text up to and including each token; None where it is not known"
    )
    token_log_likelihoods: tuple[float, ...] | None = Field(default=None, description="of each token, in nats")
    sampled: tuple[str, ...] = Field(default=(), description="further texts, sampled from the model")
    agreement: Probability | None = Field(
        default=None, description="share of `sampled` with the same answer; None without an answer or such texts"
    )

    def rescored(self, answer_format: AnswerFormat, protocol: Protocol) -> GenerationSample:
        """The same texts, scored anew."""
        text = scored_text(self.prediction, protocol)
        confidence = None
        if self.token_ends is not None and self.token_log_likelihoods is not None:
            confidence = answer_confidence(
                answer_format.located(text, protocol), self.token_ends, self.token_log_likelihoods
            )
        return self.model_copy(
            update={
                "confidence": confidence,
                "correct": answer_format.correct(text, self.gold, protocol),
                "agreement": self._agreement(text, answer_format, protocol),
            }
        )

    def _agreement(self, text: str, answer_format: AnswerFormat, protocol: Protocol) -> float | None:
        if not self.sampled or not (answer_format.parse(text, protocol) or "").strip():
            return None
        others = [scored_text(other, protocol) for other in self.sampled]
        return sum(answer_format.correct(other, text, protocol) for other in others) / len(others)


def label_sample(prompt: str, answers: Sequence[tuple[float, bool]], labels: Sequence[str], gold: int) -> LabelSample:
    """The row of an example with one (log-likelihood, is greedy) per label and the index of the gold label.

    Raises:
        ValueError: there is not one answer per label, or see `predict`.
    """
    if len(answers) != len(labels):
        raise ValueError(f"{len(answers)} results for the {len(labels)} labels {list(labels)}")
    unscored = LabelSample(
        prompt_sha256=_sha256(prompt),
        prediction="",
        confidence=0.0,
        correct=False,
        correct_full_vocab=bool(answers[gold][1]),
        log_likelihoods=tuple(float(log_likelihood) for log_likelihood, _ in answers),
        gold=labels[gold],
        next_token=_same_next_token(answers),
    )
    return unscored.rescored(labels)


def generation_sample(
    prompt: str,
    text: str,
    gold: str,
    answer_format: AnswerFormat,
    protocol: Protocol,
    sampled: Sequence[str] = (),
) -> GenerationSample:
    """The row of an example with a generated text, the gold text, and further texts that were sampled."""
    ends, log_likelihoods = None, None
    if isinstance(text, GeneratedText) and (text.token_ends or not text):
        ends = tuple(text.token_ends)
        # Rounded before anything is computed from them, so that rescoring the written row gives the same.
        log_likelihoods = tuple(round(float(value), DECIMALS) for value in text.token_log_likelihoods)
    unscored = GenerationSample(
        prompt_sha256=_sha256(prompt),
        prediction=str(text),
        confidence=None,
        correct=False,
        gold=gold,
        token_ends=ends,
        token_log_likelihoods=log_likelihoods,
        sampled=tuple(str(other) for other in sampled),
    )
    return unscored.rescored(answer_format, protocol)


def _same_next_token(answers: Sequence[tuple[float, bool]]) -> NextToken | None:
    """What all answers carry; None where one carries nothing, or another token or distribution than the others.

    A tokenizer that merges the end of the prompt with a label reads each label after a context of its own: no place is
    then the one where the model is asked.
    """
    told = [answer.next_token for answer in answers if isinstance(answer, LogLikelihood)]
    if len(told) < len(answers):
        return None
    text, top = told[0]
    for other, others in told[1:]:
        if other != text or len(others) != len(top):
            return None
        if not all(math.isclose(a, b, rel_tol=0, abs_tol=CLOSE) for a, b in zip(top, others, strict=True)):
            return None
    return told[0]


def _sha256(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()
