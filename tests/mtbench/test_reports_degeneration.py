import pytest
from report_rows import answer

from ia2_eval.mtbench.answers import Choice, ModelAnswer
from ia2_eval.mtbench.reports.degeneration import degeneration, repetition_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("", 0),
        ("a b c", 0),
        ("a b c d", 0),
        ("a b c d e", 0),
        ("a a a a a", 1 / 2),
        ("a b a b a b\na  b", 1 - 2 / 5),  # abab, baba, abab, baba, abab
        ("so it goes " * 100, 1 - 3 / 297),
    ],
)
def test_repetition_rate(text: str, rate: float) -> None:
    assert repetition_rate(text) == pytest.approx(rate)


def test_means() -> None:
    answers = [
        answer(1, ("a a a a a", "  \n"), tokens=(100, 0)),
        answer(2, ("a b c", "a b c d"), tokens=(6, None)),
    ]
    found = degeneration(answers, {1: "writing", 2: "math"})
    assert found.repetition is not None and found.words is not None and found.tokens is not None
    assert found.repetition.value == pytest.approx(0.5 / 4) and found.repetition.n == 4
    assert found.words.value == 3
    assert found.tokens.value == pytest.approx(106 / 3) and found.tokens.n == 3
    assert found.truncated is not None and found.truncated.value == pytest.approx(1 / 3)
    assert found.empty is not None and found.empty.value == 1 / 4
    assert found.part("repetition", 1)[0] == 0.25  # type: ignore[index]
    assert found.part("empty", 2, "writing")[0] == 1  # type: ignore[index]
    assert found.part("words", category="math")[0] == 3.5  # type: ignore[index]


def test_files_of_other_tools_know_no_tokens() -> None:
    found = degeneration([ModelAnswer(question_id=1, model_id="m", choices=(Choice(index=0, turns=("a", "b")),))])
    assert found.tokens is None and found.truncated is None
    assert found.words is not None and found.words.value == 1


def test_every_sample_is_a_row() -> None:
    choices = tuple(Choice(index=i, turns=("a " * i,)) for i in range(3))
    found = degeneration([ModelAnswer(question_id=1, model_id="m", choices=choices)])
    assert found.words is not None and (found.words.value, found.words.n, found.words.questions) == (1, 3, 1)
    assert found.empty is not None and found.empty.value == pytest.approx(1 / 3)
