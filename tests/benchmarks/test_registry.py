from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.benchmarks.benchmark import HubSource
from ia2_eval.embedded.datasets import DATASETS

TITLES = {
    "sst2": "SST2",
    "fins": "FinS",
    "poems": "PoemS",
    "stf": "STF",
    "agn": "AGN",
    "bbcn": "BBCN",
    "sciqr": "SciQr",
    "qascr": "QASCr",
    "gsm8k": "GSM8K",
    "gsm8ks": "GSM8Ks",
    "hmatha": "HMathA",
    "sciq": "SciQ",
}
PARTNERS = {
    "sst2": ("fins", "poems"),
    "fins": ("sst2", "poems"),
    "agn": ("bbcn",),
    "sciqr": ("qascr",),
    "gsm8k": ("gsm8ks",),
}


def test_the_twelve_come_first_then_the_embedded() -> None:
    assert list(BENCHMARKS) == [*TITLES, *(f"embedded_{name}" for name in DATASETS)]
    assert {name: BENCHMARKS[name].title for name in TITLES} == TITLES
    assert all(name == benchmark.name for name, benchmark in BENCHMARKS.items())


def test_out_of_distribution_partners() -> None:
    assert {name: b.out_of_distribution for name, b in BENCHMARKS.items() if b.out_of_distribution} == PARTNERS
    for source, partners in PARTNERS.items():
        for partner in partners:  # an answer learned on the source must be one that the partner can score
            assert BENCHMARKS[partner].single_token == BENCHMARKS[source].single_token


def test_a_benchmark_is_single_token_or_has_an_answer_format() -> None:
    for benchmark in BENCHMARKS.values():
        assert benchmark.single_token == (benchmark.answer_format is None) == (benchmark.max_new_tokens == 1)
    lengths = {name: BENCHMARKS[name].max_new_tokens for name in ("gsm8k", "gsm8ks", "sciq", "hmatha")}
    assert lengths == {"gsm8k": 200, "gsm8ks": 200, "sciq": 200, "hmatha": 400}
    assert BENCHMARKS["embedded_arithmetic"].max_new_tokens == 16


def test_answer_formats_exist() -> None:
    from ia2_eval.scoring.answers import ANSWER_FORMATS

    formats = {name: b.answer_format for name, b in BENCHMARKS.items() if b.answer_format}
    assert formats == {
        "gsm8k": "hash_line",
        "gsm8ks": "hash_line",
        "hmatha": "boxed",
        "sciq": "hash_text",
        "embedded_arithmetic": "hash_line",
    }
    assert set(formats.values()) <= set(ANSWER_FORMATS)


def test_revisions_are_commits_or_the_parquet_conversion() -> None:
    for benchmark in BENCHMARKS.values():
        if isinstance(benchmark.source, HubSource) and benchmark.source.revision not in (None, "refs/convert/parquet"):
            assert len(benchmark.source.revision) == 40
            assert int(benchmark.source.revision, 16)


def test_benchmarks_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        get_benchmark("sst2").name = "other"  # type: ignore[misc]


def test_importing_is_light() -> None:
    heavy = "{'torch', 'datasets', 'lm_eval', 'transformers', 'netcal'}"
    code = (
        f"import sys, ia2_eval.benchmarks, ia2_eval.benchmarks.lm_eval_dataset; print({heavy} & set(sys.modules) or '')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
