"""Equality of mathematical answers, and that no pair can hold up or break a run."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ia2_eval.scoring import math_equivalence
from ia2_eval.scoring.math_equivalence import equivalent


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("5", "5.0", True),
        ("5", "-5", False),
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac12", "1/2", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        ("x^2+2x+1", "(x+1)^2", True),
        ("10,000", "10000", True),
        ("(3,4)", "(3, 4)", True),
        ("(3,4)", "(4,3)", False),
        ("[2,5)", "[2,5]", False),
        (r"7\text{ inches}", "7", True),
        (r"\text{Evelyn}", "Evelyn", True),
        (r"\frac{1}{3}", "0.33", False),
        ("gibberish } {", "gibberish } {", True),  # equal strings need no mathematics
        ("", "", False),
        (" ", "", False),
        ("5", "", False),
        ("5", r"\ud800", False),
        ("5", "\ud800\0\n", False),
    ],
)
def test_equivalent(gold: str, answer: str, equal: bool) -> None:
    assert equivalent(gold, answer) is equal


def test_a_very_long_answer_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_equivalence, "_running_worker", lambda: pytest.fail("math-verify was asked"))
    assert not equivalent("1", "1" * 10_000)


latex = st.sampled_from(
    ["\\frac", "\\sqrt", "\\text", "\\left(", "{", "}", "^", "_", "(", ",", "=", "<", "1", "x", "/", " "]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(latex | st.text(max_size=2), max_size=8).map("".join))
def test_no_short_answer_raises(answer: str) -> None:
    assert equivalent("42", answer) is False
    assert equivalent(answer, answer) is bool(answer.strip())


def test_a_pair_that_takes_too_long_is_different_said_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    assert equivalent("1", "1.0")
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert not equivalent("1", "9^{9^{9^{9^{9^{9}}}}}")
    assert time.monotonic() - start < math_equivalence.SECONDS_PER_PAIR + 2
    assert "no verdict on '9^{9^" in caplog.text
    assert equivalent("1", "1.00"), "the next pair has a process again"


def test_a_dead_process_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    assert equivalent("2", "2.0")
    assert math_equivalence._worker is not None
    math_equivalence._worker.process.kill()
    assert not equivalent("2", "2.00")
    assert "no verdict" in caplog.text
    assert equivalent("2", "2.00"), "no verdict is not remembered"


def test_a_verdict_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert equivalent("6", "6.0") and not equivalent("6", "7.0")
    monkeypatch.setattr(math_equivalence, "_running_worker", lambda: pytest.fail("math-verify was asked again"))
    assert equivalent("6", "6.0") and not equivalent("6", "7.0")


def test_outside_the_main_thread() -> None:
    verdicts: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: verdicts.append(equivalent(f"{n}", f"{n}.0"))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_gets_a_process_of_its_own() -> None:
    assert equivalent("3", "3.0")
    parents = math_equivalence._worker
    child = os.fork()
    if child == 0:
        os._exit(0 if equivalent("4", "4.0") and math_equivalence._worker is not parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert equivalent("3", "3.0")


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_equivalence, "_worker", None)
    monkeypatch.setattr(math_equivalence, "__name__", "no_such_module")
    with pytest.raises(RuntimeError, match="did not start"):
        equivalent("1", "2")


def test_importing_the_parsers_imports_no_mathematics() -> None:
    code = "import sys, ia2_eval.scoring.answers; sys.exit(bool({'math_verify', 'sympy', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
