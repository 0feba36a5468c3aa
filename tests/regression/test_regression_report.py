from __future__ import annotations

from xml.etree import ElementTree

from ia2_eval.regression.check import EXIT_STATUS, Check, worst
from ia2_eval.regression.junit import to_junit
from ia2_eval.regression.machine import this_machine
from tests.regression.gate_runs import HERE

CHECKS = [
    Check("base", "Time no ICL", "pass", "all 200 answers are the same"),
    Check("retrained", "Time N=8 IA2 → SFT", "regression", "accuracy 80.0 -> 50.0 % & <more>"),
    Check("retrained", "AGN N=8 SFT", "cannot tell", "another version of the benchmark"),
]


def test_junit_has_failures_for_regressions_and_errors_for_what_cannot_be_told() -> None:
    suites = ElementTree.fromstring(to_junit("embedded", CHECKS, 12.34))
    (suite,) = suites
    assert [suite.get(name) for name in ("tests", "failures", "errors", "time")] == ["3", "1", "1", "12.3"]
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], ["error"]]
    failure = suite[1][0]
    assert suite[1].attrib == {"classname": "embedded.retrained", "name": "Time N=8 IA2 → SFT"}
    assert failure.get("message") == "accuracy 80.0 -> 50.0 % & <more>"


def test_junit_holds_no_characters_that_xml_forbids() -> None:
    found = to_junit("embedded", [Check("base", "Time", "regression", "the cell failed: \x1b[31mno\x00")], 1.0)
    assert ElementTree.fromstring(found).findall(".//failure")[0].get("message") == "the cell failed: ?[31mno?"


def test_exit_status() -> None:
    verdicts = [check.verdict for check in CHECKS]
    assert EXIT_STATUS[worst(verdicts)] == 1
    assert EXIT_STATUS[worst(verdicts[::2])] == 2
    assert EXIT_STATUS[worst(verdicts[:1])] == 0
    assert EXIT_STATUS[worst([])] == 2  # nothing was looked at


def test_machines_that_round_alike() -> None:
    assert HERE.differences(HERE) == []
    own = HERE.model_copy(update={"versions": HERE.versions | {"ia2-eval": "9"}})
    assert HERE.differences(own) == []
    other = HERE.model_copy(update={"instructions": "AVX512", "versions": {"torch": "2.14.0", "peft": "1"}})
    assert HERE.differences(other) == [
        "instructions 'AVX512' instead of 'AVX2'",
        "peft 1 instead of absent",
        "torch 2.14.0 instead of 2.13.0",
    ]
    gpu = HERE.model_copy(update={"device": "NVIDIA H200"})
    assert gpu.differences(gpu) == ["NVIDIA H200: GPUs do not add in a fixed order"]


def test_this_machine() -> None:
    here = this_machine("cpu")
    assert here.device == "cpu" and here.threads >= 1 and "torch" in here.versions
    assert here.differences(this_machine("cpu")) == []
