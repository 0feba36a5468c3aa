"""Rows of examples: what is derived follows from what is stored, and old rows are still read."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from pydantic import ValidationError

from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import ANSWER_FORMATS, AnswerFormat
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken
from ia2_eval.scoring.samples import GenerationSample, LabelSample, generation_sample, label_sample

LABELS = ("0", "1", "2")
TOKEN = NextToken(" 1", (-0.5, -1.5))
HASH_LINE, HASH_TEXT, BOXED = (ANSWER_FORMATS[name] for name in ("hash_line", "hash_text", "boxed"))

OLD_LABEL_ROW = (
    '{"prompt_sha256": "ab", "prediction": "0", "confidence": 0.75, "correct": false, "correct_full_vocab": false, '
    '"log_likelihoods": [-1.0, -Infinity], "gold": "1"}'
)
OLD_GENERATION_ROW = (
    '{"prompt_sha256": "ab", "prediction": "#### 4", "confidence": null, "correct": true, "log_likelihoods": [], '
    '"gold": "#### 4"}'
)


def answers(*probabilities: float) -> list[LogLikelihood]:
    return [LogLikelihood((math.log(p), p == max(probabilities)), TOKEN) for p in probabilities]


def generated(*tokens: tuple[str, float]) -> GeneratedText:
    text, ends = "", []
    for token, _ in tokens:
        text += token
        ends.append(len(text))
    return GeneratedText(text, tuple(ends), tuple(math.log(p) for _, p in tokens))


def test_label_sample_by_hand() -> None:
    sample = label_sample("Text: é\nLabel:", answers(0.1, 0.3, 0.2), LABELS, 1)
    assert sample.prompt_sha256 == hashlib.sha256("Text: é\nLabel:".encode()).hexdigest()
    assert (sample.prediction, sample.gold, sample.correct, sample.correct_full_vocab) == ("1", "1", True, True)
    assert sample.confidence == pytest.approx(0.5)
    assert sample.log_likelihoods == (math.log(0.1), math.log(0.3), math.log(0.2))
    assert sample.next_token == TOKEN
    assert label_sample("", answers(0.1, 0.3, 0.2), LABELS, 0).correct_full_vocab is False


def test_plain_answers_tell_no_next_token() -> None:
    assert label_sample("", [(-1.0, False), (-2.0, False)], LABELS[:2], 0).next_token is None
    for mixed in ([*answers(0.1), (-2.0, False)], [(-2.0, False), *answers(0.1)]):
        assert label_sample("", mixed, LABELS[:2], 0).next_token is None


def test_labels_read_after_other_contexts_tell_no_next_token() -> None:
    """As with a tokenizer that merges the colon with a label."""

    def told(*tokens: NextToken) -> NextToken | None:
        answers = [LogLikelihood((-1.0, False), token) for token in tokens]
        return label_sample("", answers, LABELS[: len(tokens)], 0).next_token

    assert told(TOKEN, TOKEN, TOKEN) == TOKEN
    assert told(TOKEN, TOKEN._replace(top_log_probabilities=(-0.55, -1.4))) == TOKEN, "rounded in another batch"
    assert told(TOKEN, TOKEN, TOKEN._replace(text="1")) is None
    assert told(TOKEN, TOKEN, TOKEN._replace(top_log_probabilities=(-0.5, -2.5))) is None
    assert told(TOKEN, TOKEN._replace(top_log_probabilities=(-0.5,))) is None
    impossible = NextToken("1", (0.0, -math.inf))
    assert told(impossible, impossible) == impossible


def test_label_rows_survive_the_disk() -> None:
    sample = label_sample("", [*answers(0.1, 0.3), LogLikelihood((-math.inf, False), TOKEN)], LABELS, 0)
    row = json.loads(sample.model_dump_json())
    assert row["next_token"] == {"text": " 1", "top_log_probabilities": [-0.5, -1.5]}
    for written in (sample.model_dump_json(), json.dumps(sample.model_dump(mode="json"))):
        back = LabelSample.model_validate_json(written)
        assert back == sample and isinstance(back.next_token, NextToken)
        assert back.rescored(LABELS) == sample


def test_rescoring_a_label_row_derives_everything_anew() -> None:
    sample = label_sample("", answers(0.1, 0.3, 0.2), LABELS, 1)
    wrong = sample.model_copy(update={"prediction": "2", "confidence": 0.9, "correct": False})
    assert wrong.rescored(LABELS) == sample


def test_old_rows_are_read() -> None:
    label = LabelSample.model_validate_json(OLD_LABEL_ROW)
    assert label.next_token is None and label.log_likelihoods == (-1.0, -math.inf)
    assert label.rescored(LABELS[:2]).confidence == 1.0
    generation = GenerationSample.model_validate_json(OLD_GENERATION_ROW)
    assert (generation.token_ends, generation.agreement, generation.confidence) == (None, None, None)
    assert generation.rescored(HASH_LINE, "strict") == generation


@pytest.mark.parametrize("row", [OLD_LABEL_ROW.replace("0.75", "1.75"), OLD_LABEL_ROW.replace("gold", "golden")])
def test_rows_that_are_none_are_refused(row: str) -> None:
    with pytest.raises(ValidationError):
        LabelSample.model_validate_json(row)


def test_labels_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="2 results for the 3 labels"):
        label_sample("", [(-1.0, False), (-2.0, False)], LABELS, 0)
    sample = label_sample("", answers(0.1, 0.3, 0.2), LABELS, 1)
    with pytest.raises(ValueError, match="3 results for the 2 labels"):
        sample.rescored(LABELS[:2])
    with pytest.raises(ValueError, match="gold label '1' is none of"):
        sample.rescored(("a", "b", "c"))


def test_generation_sample_by_hand() -> None:
    text = generated(("So", 0.9), (" ####", 0.8), (" 4", 0.5), ("2", 0.4), ("\n", 0.3), ("more", 0.1))
    sample = generation_sample("Q", text, "#### 42", HASH_LINE, "strict")
    assert type(sample.prediction) is str and sample.prediction == "So #### 42\nmore"
    assert sample.correct and sample.gold == "#### 42" and sample.log_likelihoods == ()
    assert sample.confidence == pytest.approx(0.2, abs=1e-5)
    assert sample.token_ends == (2, 7, 9, 10, 11, 15)
    assert sample.token_log_likelihoods is not None
    assert sample.token_log_likelihoods[0] == round(math.log(0.9), 6)


def test_without_an_answer_or_tokens_there_is_no_confidence() -> None:
    unmarked = generation_sample("Q", generated(("42", 0.5)), "#### 42", HASH_LINE, "strict")
    assert unmarked.confidence is None and unmarked.token_ends == (2,)
    plain = generation_sample("Q", "#### 42", "#### 42", HASH_LINE, "strict")
    assert plain.correct
    assert (plain.confidence, plain.token_ends, plain.token_log_likelihoods) == (None, None, None)
    assert generation_sample("Q", GeneratedText("#### 42"), "#### 42", HASH_LINE, "strict").token_ends is None
    assert generation_sample("Q", GeneratedText(""), "#### 42", HASH_LINE, "strict").token_ends == ()


def test_what_stands_beyond_a_blank_line_counts_under_strict_only() -> None:
    text = generated(("Four.", 0.9), ("\n\n", 0.8), ("####", 0.7), (" 4", 0.5))
    strict, paper = (generation_sample("Q", text, "#### 4", HASH_LINE, p) for p in ("strict", "paper"))
    assert strict.correct and strict.confidence == pytest.approx(0.5, abs=1e-6)
    assert not paper.correct and paper.confidence is None
    assert strict.rescored(HASH_LINE, "paper") == paper and paper.rescored(HASH_LINE, "strict") == strict


@pytest.mark.parametrize(
    ("answer_format", "text", "known"),
    [
        (HASH_LINE, "A: #### 5\nWait, that is wrong.\n#### 6", False),  # the last mark
        (HASH_LINE, "A: #### 5\nThat is right.\n#### 5", True),
        (HASH_LINE, "A: #### $1,200.50 a year.\nWell", True),
        (HASH_LINE, r"so \boxed{6} #### 5", False),  # a box comes before every other mark
        (HASH_LINE, r"so \boxed{5} #### 5", True),
        (HASH_LINE, "The answer is 5", False),  # no mark
        (HASH_TEXT, "#### oil\n", True),
        (HASH_TEXT, "#### oil\nWait", False),  # all that follows the mark
        (HASH_TEXT, "#### oil\n#### gas", False),
        (BOXED, r"\boxed{\dfrac{1}{2}} so", True),
        (BOXED, "\\boxed{5}\n\\boxed{6}", True),  # the first one
        (BOXED, r"\boxed{5} and \boxed{6}", False),  # to the last brace of the line
        (BOXED, r"\boxed {5}", False),  # no box to the paper
    ],
)
def test_confidence_is_that_of_the_answer_that_is_scored(answer_format: AnswerFormat, text: str, known: bool) -> None:
    told = GeneratedText(text, tuple(range(1, len(text) + 1)), (-0.01,) * len(text))
    strict, paper = (generation_sample("Q", told, text, answer_format, protocol) for protocol in ("strict", "paper"))
    assert (strict.confidence is None) == (answer_format.locate(text) is None)
    assert paper.confidence == (strict.confidence if known else None)
    assert strict.rescored(answer_format, "paper") == paper and paper.rescored(answer_format, "strict") == strict


def test_agreement_is_the_share_of_sampled_texts_with_the_same_answer() -> None:
    sampled = ["#### 4.0", "#### 5", "4", "#### 8/2\n#### 5"]
    sample = generation_sample("Q", "#### 4", "#### 5", HASH_LINE, "strict", sampled)
    assert sample.agreement == 0.5 and sample.sampled == tuple(sampled)
    paper = sample.rescored(HASH_LINE, "paper")
    assert paper.agreement == 0.5  # `4.0` and `4`; of `8/2\n#### 5` the paper's parser reads 5
    late = generation_sample("Q", "#### 4", "#### 5", HASH_LINE, "paper", ["9\n\n#### 4"])
    assert (late.agreement, late.rescored(HASH_LINE, "strict").agreement) == (0.0, 1.0), "cut at a blank line too"
    assert generation_sample("Q", "4", "#### 5", HASH_LINE, "strict", sampled).agreement is None
    assert generation_sample("Q", "#### 4", "#### 5", HASH_LINE, "strict").agreement is None
    boxed = generation_sample("Q", r"\boxed{\frac12}", r"\boxed{1}", BOXED, "strict", [r"\boxed{0.5}", r"\boxed{1}"])
    assert boxed.agreement == 0.5


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_generation_rows_survive_the_disk(protocol: Protocol) -> None:
    text = generated(("é ####", 1 / 3), (" the", 1 / 7), (" cell", 1 / 11), ("\u2028", 0.5))
    sample = generation_sample("Q", text, "#### Cell", HASH_TEXT, protocol, ["#### the cell", "no"])
    back = GenerationSample.model_validate_json(sample.model_dump_json())
    assert back == sample
    assert back.rescored(HASH_TEXT, protocol) == sample
    assert len(sample.model_dump_json().encode().splitlines()) == 1, "one row is one line of the file"
