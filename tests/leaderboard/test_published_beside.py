from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import sqrt

import pytest
from rich.console import Console
from synthetic_run import make_record

from ia2_eval.benchmarks.registry import TWELVE
from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import AdapterSpec, Ia3, Lora
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.published.beside import Beside, beside_published, to_csv
from ia2_eval.leaderboard.published.compare import Sample, sample_std, welch
from ia2_eval.leaderboard.published.entries import published_entries
from ia2_eval.leaderboard.published.read import PublishedResult, published_results
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.tables.terminal import print_tables
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol

QWEN = Base(model="Qwen/Qwen3-4B-Base", revision="0123456789")
LLAMA = Base(model="meta-llama/Llama-3.2-1B", revision="9876543210")
NAMES = {benchmark.title: benchmark.name for benchmark in TWELVE}
ADAPTERS: dict[str, AdapterSpec] = {
    "lora_r8_a8_qko": Lora(),
    "lora_r16_qko": Lora(r=16, alpha=16),
    "lora_r8_qk": Lora(modules=("q_proj", "k_proj")),
    "lora_r8_qkv": Lora(modules=("q_proj", "k_proj", "v_proj")),
    "ia3_qko": Ia3(),
}
PATTERN = (-1, -1, 0, 1, 1)  # of mean 0 and population std sqrt(4 / 5)


def beside(records: Sequence[Record], across_protocols: bool = False) -> Beside:
    groups, _ = group_records(records)
    return beside_published(groups, aggregate(groups), across_protocols)


def seeds(
    method: str,
    accuracies: Sequence[float],
    eces: Sequence[float] = (0.1, 0.2),
    *,
    protocol: Protocol = "paper",
    published: bool = True,
    base: Base = QWEN,
    **options: object,
) -> list[Record]:
    """AGN with N = 4 as in table 1: one record per seed."""
    suffixes = ("acc_published", "ece_published") if published else ()
    names = ("acc", "ece", "acc_full_vocab", "ece_mass", *suffixes)
    keywords: dict[str, object] = {"source": "agn", "n": 4, "examples": 500} | options
    return [
        make_record(
            method,
            {"agn": dict(zip(names, (acc, ece) * 3, strict=False))},
            **keywords,  # type: ignore[arg-type]
            seed=seed,
            protocol=protocol,
            base=base,
        )
        for seed, (acc, ece) in enumerate(zip(accuracies, eces, strict=False))
    ]


def test_by_hand() -> None:
    """Table 1, SFT on AGN: 27.9 (4.3), ECE 0.52 (0.12). Ours: mean 34, population std 2, so sample std 2 sqrt(2)."""
    accuracy, ece = beside(seeds("sft", (0.32, 0.36), (0.50, 0.60))).rows
    assert (accuracy.base, accuracy.source, accuracy.N, accuracy.method, accuracy.tables) == (
        *("Qwen/Qwen3-4B-Base", "agn", 4, "sft"),
        "1",
    )
    assert (accuracy.metric, ece.metric) == ("acc_published", "ece_published")
    assert (accuracy.ours, accuracy.ours_std, accuracy.seeds) == (pytest.approx(0.34), pytest.approx(0.02), 2)
    assert (accuracy.published, accuracy.published_std, accuracy.published_runs) == (0.279, 0.043, 5)
    assert accuracy.difference == pytest.approx(0.061)
    assert accuracy.difference_in_sd == pytest.approx(0.061 / 0.043)
    assert ece.difference_in_sd == pytest.approx(0.03 / 0.12)
    variance = (2 * 0.02**2) / 2 + (0.043**2 * 5 / 4) / 5
    assert accuracy.standard_error == pytest.approx(sqrt(variance))
    assert accuracy.comparison == "same protocol"


def test_welch_equals_an_independent_computation() -> None:
    """The p-value by the t-distribution with the degrees of freedom of Welch and Satterthwaite."""
    from scipy.stats import t

    one, other = Sample(0.34, 0.03, 3), Sample(0.279, 0.048, 5)
    a, b = 0.03**2 / 3, 0.048**2 / 5
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 4)
    error, p_value = welch(one, other)
    assert error == pytest.approx(sqrt(a + b))
    assert p_value == pytest.approx(2 * t.sf((0.34 - 0.279) / sqrt(a + b), freedom))
    assert welch(one, Sample(0.3, None, 1)) == (None, None)


def test_population_std_is_converted() -> None:
    values = [0.1, 0.3, 0.4, 0.4, 0.8]
    mean = sum(values) / 5
    population = sqrt(sum((value - mean) ** 2 for value in values) / 5)
    assert sample_std(population, 5) == pytest.approx(sqrt(sum((value - mean) ** 2 for value in values) / 4))
    assert sample_std(0.0, 5) is sample_std(None, 5) is sample_std(0.1, 1) is None


def published_metrics(result: PublishedResult | None, at: float) -> dict[str, float]:
    """Those of one run of several whose mean and std are the published ones; any where none were published."""
    if result is None:
        return {"acc": 0.5, "acc_published": 0.5, "ece_published": 0.1}
    accuracy = (result.acc + at * (result.acc_std or 0) / sqrt(0.8)) / 100
    if result.ece is None:
        return {"acc": accuracy}
    return {"acc_published": accuracy, "ece_published": result.ece + at * (result.ece_std or 0) / sqrt(0.8)}


def records_of_the_paper() -> list[Record]:
    """Every entry of its tables. All cells of a base and a source have the same evaluation sets, as a run's have."""
    cells: dict[tuple[str, str, str, int, str, str], dict[str, PublishedResult]] = {}
    for place, entry in published_entries(published_results()).items():
        key = (place.base, place.adapter, place.variant, place.N, place.source, place.method)
        cells.setdefault(key, {})[NAMES[place.eval]] = entry.result
    evals: dict[tuple[str, str], set[str]] = {}
    for (base, *_, source, _), by_eval in cells.items():
        evals.setdefault((base, source), set()).update(by_eval)
    return [
        make_record(
            method,
            {name: published_metrics(by_eval.get(name), at) for name in sorted(evals[base, source])},
            source=NAMES[source],
            n=n,
            seed=seed,
            protocol="paper",
            examples=500,
            base=Base(model=f"somewhere/{base}"),
            adapter=ADAPTERS.get(adapter),
            options={"labels": variant} if variant else {"sft_weight": 0.1} if method == "ia2+sft" else {},
        )
        for (base, adapter, variant, n, source, method), by_eval in cells.items()
        for seed, at in enumerate(PATTERN if method != "no_icl" else (0,))
    ]


def test_a_board_of_the_published_numbers_differs_nowhere() -> None:
    """Among them all adapters, label types, and the two missing stds."""
    found = beside(records_of_the_paper())
    places = {
        (row.base, row.adapter, row.variant, row.N if row.method != "no_icl" else 0, row.source, row.eval, row.method)
        for row in found.rows
    }
    without = [row for row in found.rows if row.method != "no_icl"]
    assert len(places) == len(published_entries(published_results())) > 300
    (note,) = found.notes  # such as soft SFT on the other evaluation sets of SST2
    assert "have no published counterpart" in note
    for row in found.rows:
        assert row.difference == pytest.approx(0, abs=1e-12)
        assert (row.difference_in_sd is None) == (row.published_std in (None, 0))
        assert row.published_std is None or row.ours_std == pytest.approx(row.published_std)
        if row.p_value is not None:
            assert row.p_value == pytest.approx(1)
    lacking = {(row.eval, row.method) for row in without if row.published_std is None}
    assert lacking == {("gsm8ks", "ia2_sft"), ("sciq", "ia2_sft")}
    assert {row.published_adapter for row in without} == {*ADAPTERS, ""}
    deltas = {stack[2] for table in found.tables for row in table.rows for stack in row[2:] if stack[0] != "–"}
    assert deltas == {"0.0 (0.0)", "0.00 (0.0)", "0.0 (–)", "0.00 (–)"}
    assert any("alpha of the published adapter is not known." in table.caption for table in found.tables)
    assert all("Bases are matched by name only (its last part)." in table.caption for table in found.tables)


def test_strict_results_are_refused() -> None:
    with pytest.raises(UserError, match=r"2 numbers have .* under strict.*--across-protocols"):
        beside(seeds("sft", (0.3, 0.4), protocol="strict"))


def test_across_protocols_says_so_everywhere() -> None:
    records = [*seeds("sft", (0.3, 0.4), protocol="strict"), *seeds("ia2", (0.2, 0.25))]
    found = beside(records)
    assert {row.protocol for row in found.rows} == {"paper"} and len(found.notes) == 1
    assert found.notes[0].startswith("2 numbers under strict are not beside the published ones")
    assert not any("ACROSS" in table.title for table in found.tables)
    found = beside(records, across_protocols=True)
    assert found.notes == ()
    assert [(row.protocol, row.comparison) for row in found.rows] == [
        *[("paper", "same protocol")] * 2,
        *[("strict", "ACROSS PROTOCOLS")] * 2,
    ]
    strict = [table for table in found.tables if "protocol strict" in table.title]
    assert len(strict) == 2
    for table in strict:
        assert table.title.endswith("ACROSS PROTOCOLS") and table.caption[0].startswith("ACROSS PROTOCOLS: ours are")
    across = next(row for row in found.rows if row.protocol == "strict")
    assert (across.metric, across.selection) == ("acc_published", "dev")  # its own choice of the learning rate
    assert across.ours_std == pytest.approx(0.1 / sqrt(2))  # the sample std, as in leaderboard.csv
    variance = 0.1**2 / 2 / 2 + (0.043**2 * 5 / 4) / 5
    assert across.standard_error == pytest.approx(sqrt(variance))


@pytest.mark.parametrize(
    ("protocol", "metrics"), [("paper", ("acc_full_vocab", "ece_mass")), ("strict", ("acc", "ece"))]
)
def test_another_quantity_is_told(protocol: Protocol, metrics: tuple[str, str]) -> None:
    found = beside(seeds("sft", (0.3, 0.4), protocol=protocol, published=False), across_protocols=True)
    assert tuple(row.metric for row in found.rows) == metrics and not any(
        row.metric == row.published_metric for row in found.rows
    )
    for table, metric, wished in zip(found.tables, metrics, ("acc_published", "ece_published"), strict=True):
        assert any(f"ours is {metric}, for some results lack {wished}" in line for line in table.caption)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UserError, match=r"no published numbers for tiny\. There are for Llama-3.2-1B, Llama-3.2-1B-In"):
        beside([make_record("sft", {"agn": {"acc": 0.5}}, source="agn", protocol="paper")])
    with pytest.raises(UserError, match=r"no published numbers for Qwen/qwen3-4b-base"):  # another case, another name
        beside(seeds("sft", (0.3, 0.4), base=Base(model="Qwen/qwen3-4b-base")))
    with pytest.raises(UserError, match=r"has finished here: Qwen/Qwen3-4B-Base · AGN N=64 \(paper, lora_r8_a8_qko\)$"):
        beside(seeds("sft", (0.3, 0.4), n=64))


def test_what_has_no_counterpart_is_counted() -> None:
    records = [
        *seeds("sft", (0.3, 0.4)),
        *seeds("sft", (0.3, 0.4), adapter=Lora(r=4, alpha=4)),
        *seeds("sft", (0.3, 0.4), adapter=Lora(alpha=16)),
        *seeds("sft_ia2", (0.3, 0.4)),
        *seeds("ia2", (0.3, 0.4), options={"alignment": {"output": "residual"}}),
        *seeds("sft", (0.3, 0.4), n=8),
        *seeds("sft", (0.3, 0.4), base=Base(model="tiny")),
    ]
    found = beside(records)
    assert {(row.method, row.adapter, row.N) for row in found.rows} == {("sft", "lora_r8_a8_qko", 4)}
    assert found.notes[0].startswith("no published numbers for tiny; there are for Llama-3.2-1B,")
    assert found.notes[1].startswith("5 results have no published counterpart")


def test_labels_are_matched() -> None:
    plain, icl_outputs = seeds("sft", (0.3, 0.4)), seeds("sft", (0.3, 0.4), options={"labels": "icl_outputs"})
    rows = beside([*plain, *icl_outputs]).rows
    assert {(row.variant, row.published) for row in rows if row.quantity == "accuracy"} == {
        *{("", 0.279), ("icl_outputs", 0.213)},
    }


def test_icl_stands_beside_every_adapter_but_once_in_the_csv() -> None:
    records = [
        *seeds("icl", (0.3, 0.4), base=LLAMA, n=8),
        *seeds("sft", (0.3, 0.4), base=LLAMA, n=8),
        *seeds("sft", (0.3, 0.4), base=LLAMA, n=8, adapter=Ia3()),
    ]
    with pytest.raises(UserError):  # the paper has no (IA)³ on AGN; so ICL alone would be left
        beside(records[-2:])
    found = beside(records)
    assert [row.method for row in found.rows if row.quantity == "accuracy"] == ["icl", "sft"]
    (accuracy,) = (table for table in found.tables if "accuracy" in table.title)
    assert "lora_r8_a8_qko" in accuracy.title and accuracy.columns == ("ICL", "SFT")
    (accuracy,) = (table for table in beside([*records[:2], *records[-2:]]).tables if "accuracy" in table.title)
    assert "ia3_qko" in accuracy.title and accuracy.columns == ("ICL",)  # it stands where there is no better place


def test_two_revisions_of_a_base_are_two_boards() -> None:
    other = Base(model="Qwen/Qwen3-4B-Base", revision="aaaaaaaaaa")
    found = beside([*seeds("sft", (0.3, 0.4)), *seeds("sft", (0.5, 0.6), base=other)])
    assert {(row.base, row.ours) for row in found.rows if row.quantity == "accuracy"} == {
        *{("Qwen/Qwen3-4B-Base 01234567", 0.35), ("Qwen/Qwen3-4B-Base aaaaaaaa", 0.55)},
    }


def test_fewer_examples_and_missing_seeds_are_told() -> None:
    records = [*seeds("sft", (0.3, 0.4), examples=20, limit=20), *seeds("ia2", (0.3,), examples=20, limit=20)]
    found = beside(records)
    accuracy = found.tables[0]
    assert accuracy.rows[0][0] == ("4", "20 of 500")
    assert any(line.startswith("n, such as 20 of 500: evaluated on other numbers") for line in accuracy.caption)
    assert accuracy.columns == ("SFT", "IA2")
    assert accuracy.rows[0][2] == ("35.0 (5.0)", "27.9 (4.3)", "+7.1 (+1.7)")
    assert accuracy.rows[0][3] == ("30.0 (–) 1/2", "24.0 (0.3)", "+6.0 (+20.0)")
    one = next(row for row in found.rows if row.method == "ia2")
    assert one.standard_error is None and one.p_value is None  # one seed has no std
    assert (one.n, one.published_n) == (20, 500)


def test_a_cell_that_has_not_run_is_missing() -> None:
    planned = [*seeds("sft", (0.3, 0.4)), *seeds("ia2", (0.3, 0.4))]
    groups, _ = group_records(planned[:2], {record.key: record.cell for record in planned})
    found = beside_published(groups, aggregate(groups))
    assert found.tables[0].rows[0][3] == ("missing", "24.0 (0.3)", "–")
    (missing,) = (row for row in found.rows if row.method == "ia2" and row.quantity == "accuracy")
    assert (missing.ours, missing.difference, missing.published) == (None, None, 0.24)


def test_csv_is_tidy() -> None:
    found = beside(seeds("sft", (0.3, 0.4), protocol="strict"), across_protocols=True)
    rows = list(csv.DictReader(io.StringIO(to_csv(found.rows))))
    assert len(rows) == len(found.rows) == 2
    assert all(row["comparison"] == "ACROSS PROTOCOLS" for row in rows)
    assert float(rows[0]["difference"]) == found.rows[0].difference
    assert to_csv(beside(seeds("sft", (0.3, 0.4), protocol="strict"), across_protocols=True).rows) == to_csv(found.rows)


def test_readable_in_100_columns() -> None:
    methods = ("icl", "sft", "ia2", "ia2_sft")
    records = [record for method in methods for record in seeds(method, (0.312, 0.406, 0.35), (0.1, 0.2, 0.15))]
    said = io.StringIO()
    print_tables(beside(records).tables, Console(file=said, width=100))
    lines = said.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("IA2 → SFT" in line for line in lines) == 2  # one block each of accuracy and ECE
    assert any("ours" in line for line in lines) and any("Δ (sd)" in line for line in lines)
