from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from synthetic_run import gsm8k, make_record, sample, write_run

from ia2_eval.experiments.adapter_specs import Ia3, Lora
from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.significance.best import BEST_CAPTION
from ia2_eval.leaderboard.tables.layout import tables
from ia2_eval.leaderboard.tables.markdown import to_markdown
from ia2_eval.leaderboard.tables.table import Mark
from ia2_eval.leaderboard.tables.terminal import print_leaderboard


def tables_of(records):
    groups = group_records(records).groups
    return tables(groups, aggregate(groups))


def single_token_records():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}, "fins": {"acc": 0.4, "ece": 0.35}}
    records = [make_record("no_icl", metrics)]
    for seed, acc in enumerate((0.6, 0.7, 0.8)):
        metrics = {"sst2": {"acc": acc, "ece": acc / 5}, "fins": {"acc": acc - 0.1, "ece": 0.1}}
        records.append(make_record("icl", metrics, seed=seed))
        records += [make_record("sft", metrics, seed=seed, learning_rate=rate, dev_loss=rate) for rate in (1e-3, 3e-3)]
    records.append(make_record("ia2_sft", {"sst2": {}, "fins": {}}, error="RuntimeError: nan"))
    return records


def test_layout_of_the_papers():
    headline, oracle = tables_of(single_token_records())
    assert headline.title == "tiny · lora_r8_a8_qko · protocol strict"
    assert headline.columns == ("no ICL", "ICL", "SFT", "IA2 → SFT")
    assert headline.values == ("acc", "ECE")
    in_distribution, out_of_distribution = headline.rows
    assert in_distribution[:3] == (("4", "10"), ("SST2", "SST2"), ("50.0", "0.25"))  # no ICL is one evaluation
    assert in_distribution[3] == in_distribution[4] == ("70.0 (10.0)", "0.14 (0.02)")
    assert in_distribution[5] == ("missing", "missing")
    assert out_of_distribution[1] == ("SST2", "FinS*")
    assert out_of_distribution[4] == ("60.0 (10.0)", "0.10 (0.00)")
    assert oracle.columns == ("SFT", "IA2 → SFT")
    assert "ORACLE" in oracle.title
    assert any("oracle" in remark for remark in oracle.caption)
    assert not any("oracle" in remark for remark in headline.caption)


def test_paper_has_one_table_of_oracle_choices():
    metrics = {"sst2": {"acc": 0.1, "acc_full_vocab": 0.5, "ece": 0.9, "ece_mass": 0.2}}
    (table,) = tables_of([make_record("sft", metrics, protocol="paper", seed=seed) for seed in (0, 1)])
    assert table.rows == ((("4", "10"), ("SST2", "SST2"), ("50.0 (0.0)", "0.20 (0.00)")),)
    assert any("oracle" in remark for remark in table.caption)
    assert any("population" in remark for remark in table.caption)


def test_multi_token_benchmarks_have_a_table_of_their_own():
    records = [make_record("icl", {"gsm8k": {"acc": 0.5, "unparsed": 0.05}}, source="gsm8k")]
    records.append(make_record("icl", {"sst2": {"acc": 0.5, "ece": 0.05}}))
    single, multi = tables_of(records)
    assert single.values == ("acc", "ECE")
    assert multi.values == ("acc", "unparsed")
    assert multi.rows == ((("4", "10"), ("GSM8K", "GSM8K"), ("50.0 (–)", "5.0 (–)")),)


def test_calibration_of_generated_answers_stands_between_accuracy_and_unparsed():
    records = gsm8k("icl", {"ece": 0.1}, {"ece": 0.2}) + gsm8k("sft", {"ece": 0.1}, {}) + gsm8k("ia2", {}, {})
    records += [*gsm8k("ia2_sft", {"ece": 0.3}), make_record("sft_ia2", {"gsm8k": {}}, source="gsm8k", error="E: x")]
    table, _ = tables_of(records)
    assert table.values == ("acc", "ECE", "unparsed")
    assert table.rows[0][2:] == (
        ("50.0 (0.0)", "0.15 (0.07)", "5.0 (0.0)"),
        ("50.0 (0.0)", "0.10 (–) 1/2", "5.0 (0.0)"),
        ("50.0 (0.0)", "–", "5.0 (0.0)"),
        ("50.0 (–) 1/2", "0.30 (–)", "5.0 (–)"),
        ("missing", "missing", "missing"),
    )
    caption = " ".join(table.caption)
    for remark in ("15 equal-width bins of the probability", "1/2: seeds with this metric", "–: not in the records"):
        assert remark in caption


def test_three_metrics_are_three_lines_of_a_narrow_terminal_and_keys_stand_in_line():
    lines = printed(tables_of(gsm8k("icl", {"ece": 0.1}, {"ece": 0.2})), width=40).splitlines()
    (rule,) = (i for i, line in enumerate(lines) if "──" in line)
    assert [line.split() for line in lines[rule - 3 : rule]] == [
        ["N", "source", "acc"],
        ["n", "eval", "ECE"],
        ["unparsed"],
    ]
    assert [line.split() for line in lines[rule + 1 : rule + 4]] == [
        ["4", "GSM8K", "50.0", "(0.0)"],
        ["10", "GSM8K", "0.15", "(0.07)"],
        ["5.0", "(0.0)"],
    ]


def test_paper_calibrates_generated_answers_in_equal_mass_bins_and_says_that_it_is_not_the_papers():
    (table,) = tables_of(gsm8k("icl", {"ece": 0.9, "ece_mass": 0.2}, protocol="paper"))
    assert table.rows[0][2] == ("50.0 (–)", "0.20 (–)", "5.0 (–)")
    assert "(–): one seed has no std." in table.caption
    assert any("the paper has none; 15 equal-mass bins" in remark for remark in table.caption)


def test_paper_shows_the_published_metrics_only_where_every_record_has_them():
    old = {"acc": 0.1, "acc_full_vocab": 0.5, "ece": 0.9, "ece_mass": 0.2}
    new = old | {"acc_published": 0.6, "ece_published": 0.3}

    def shown(*metrics, protocol="paper"):
        records = [
            make_record("icl", {"sst2": each}, seed=seed, protocol=protocol) for seed, each in enumerate(metrics)
        ]
        (table,) = tables_of(records)
        return table.rows[0][2], " ".join(table.caption)

    entry, caption = shown(new, new)
    assert entry == ("60.0 (0.0)", "0.30 (0.00)")
    assert "(acc_published)" in caption and "(ece_published)" in caption and "lack" not in caption
    entry, caption = shown(old, old)
    assert entry == ("50.0 (0.0)", "0.20 (0.00)")
    assert "(acc_full_vocab)" in caption and "(ece_mass)" in caption and "lack" not in caption
    entry, caption = shown(old, new)
    assert entry == ("50.0 (0.0)", "0.20 (0.00)")
    assert "(acc_full_vocab)" in caption and "Some results lack acc_published and ece_published" in caption
    entry, caption = shown(new, protocol="strict")
    assert entry == ("10.0 (–)", "0.90 (–)")
    assert "published" not in caption


def test_missing_seeds_and_learning_rates_are_marked():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.1}}
    records = [make_record("icl", metrics, seed=seed) for seed in range(3)]
    records += [make_record("sft", metrics, seed=seed) for seed in range(2)]
    records += [make_record("ia2", metrics, seed=seed) for seed in range(3)]
    records += [make_record("ia2", metrics, seed=0, learning_rate=1.0)]
    (_, _, icl, sft, ia2), *_ = tables_of(records)[0].rows
    assert [entry[0] for entry in (icl, sft, ia2)] == ["50.0 (0.0)", "50.0 (0.0) 2/3", "50.0 (0.0) †"]


def test_rows_are_ordered_by_n_then_benchmark():
    records = [
        make_record("icl", {source: {"acc": 0.5, "ece": 0.1}}, source=source, n=n)
        for source in ("agn", "sst2")
        for n in (8, 4)
    ]
    (table,) = tables_of(records)
    assert [(row[0][0], row[1][0]) for row in table.rows] == [("4", "SST2"), ("4", "AGN"), ("8", "SST2"), ("8", "AGN")]


def _printed(width):
    return printed(tables_of(single_token_records()), width)


def printed(found, width):
    board = Leaderboard(
        rows=(),
        tables=tuple(found),
        faults=(),
        failed=("sst2: it broke [red]",),
        notes=(),
        data=(),
        missing_cells=0,
        paths=(Path("a.csv"),),
    )
    console = Console(width=width, file=io.StringIO())
    print_leaderboard(board, console)
    return console.file.getvalue()


def test_terminal_shows_every_value_whole_at_any_width():
    for width in (200, 80, 40):
        text = _printed(width)
        assert "…" not in text
        assert "sst2: it broke [red]" in text
        for value in ("(10.0)", "missing", "FinS*", "IA2"):
            assert value in text
    assert "70.0 (10.0)" in _printed(80)


def test_narrow_terminal_stacks_the_pairs():
    assert len(_printed(80).splitlines()) > len(_printed(200).splitlines())


def test_markdown():
    page = to_markdown("Leaderboard", tables_of(single_token_records()), [("Failed cells", ["a|b"])], ["plots/x/y.png"])
    lines = page.splitlines()
    header = next(line for line in lines if line.startswith("| N"))
    assert header == (
        "| N | n | source | eval | no ICL acc | no ICL ECE | ICL acc | ICL ECE | SFT acc | SFT ECE "
        "| IA2 → SFT acc | IA2 → SFT ECE |"
    )
    body = [line for line in lines if line.startswith("| 4")]
    assert all(cell.strip() for line in body for cell in line.strip("|").split("|"))
    assert body[1].startswith(r"| 4 | 10 | SST2 | FinS\* | 40.0 | 0.35 |")
    assert r"- a\|b" in lines
    assert "![y.png](<plots/x/y.png>)" in lines


def test_variants_are_columns_and_adapters_sections():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("icl", metrics)]
    for adapter in (Lora(), Ia3()):
        records.append(make_record("sft", metrics, adapter=adapter))
        records.append(make_record("sft", metrics, adapter=adapter, options={"demonstration_orders": 4}))
        records += [make_record("ia2+sft", metrics, adapter=adapter, options={"sft_weight": w}) for w in (0.1, 0.9)]
    found = [table for table in tables_of(records) if "ORACLE" not in table.title]
    assert [table.title for table in found] == [
        "tiny · ia3_qko · protocol strict",
        "tiny · lora_r8_a8_qko · protocol strict",
    ]
    for table in found:
        assert table.columns == ("ICL", "SFT", "SFT (4 orders)", "IA2 + SFT (w=0.1)", "IA2 + SFT (w=0.9)")
        assert not [value for row in table.rows for pair in row for value in pair if value == "missing"]


def test_each_type_of_labels_has_its_table_beside_what_reads_none():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record(method, metrics) for method in ("no_icl", "icl", "ia2", "sft", "soft_sft")]
    plain = tables_of(records)
    assert [table.columns for table in plain] == [
        ("no ICL", "ICL", "SFT", "IA2", "soft SFT"),
        ("SFT", "IA2", "soft SFT"),
    ]
    assert not any("labels" in table.title for table in plain)
    records += [make_record(method, metrics, options={"labels": "icl_outputs"}) for method in ("sft", "ia2_sft")]
    section = "tiny · lora_r8_a8_qko · protocol strict · labels: "
    oracle = " · ORACLE learning rates"
    of_teacher = ("SFT (icl_outputs)", "IA2", "IA2 → SFT (icl_outputs)", "soft SFT")
    assert [(table.title.removeprefix(section), table.columns) for table in tables_of(records)] == [
        ("ground_truth", ("no ICL", "ICL", "SFT", "IA2")),
        (f"ground_truth{oracle}", ("SFT", "IA2")),
        ("icl_outputs", ("no ICL", "ICL", *of_teacher)),
        (f"icl_outputs{oracle}", of_teacher),
    ]


def test_what_nobody_asked_for_is_not_missing():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("icl", metrics, n=n) for n in (4, 8)] + [make_record("sft", metrics)]
    records += [make_record("ia2", {"sst2": {}}, error="E: x"), *gsm8k("soft_sft", {})]
    labels, _, texts, _ = tables_of(records)
    assert (labels.columns, texts.columns) == (("ICL", "SFT", "IA2"), ("soft SFT",))
    assert [[stack[0] for stack in row[2:]] for row in labels.rows] == [
        ["50.0 (–)", "50.0 (–)", "missing"],
        ["50.0 (–)", "–", "–"],
    ]
    assert any(remark.startswith("–: not in the records: not asked for") for remark in labels.caption)


def test_oracles_have_rows_where_something_was_trained():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("sft", metrics), make_record("icl", {"agn": metrics["sst2"]}, source="agn")]
    headline, oracle = tables_of(records)
    assert [row[1][0] for row in headline.rows] == ["SST2", "AGN"]
    assert [row[1][0] for row in oracle.rows] == ["SST2"]


def best_of(tmp_path, *skills):
    """The table of methods that answer the first examples rightly, as many as their skill says; the same 100."""
    written = []
    for method, skill in zip(("no_icl", "icl", "sft"), skills, strict=False):
        metrics = {"sst2": {"acc": skill / 100, "ece": abs(0.9 - skill / 100)}}
        for seed in range(1 if method == "no_icl" else 4):
            record = make_record(method, metrics, seed=seed, examples=100)
            write_run(tmp_path, [record], [sample(0.9, i < skill - seed) for i in range(100)])
            written.append(record)
    results = read_results([tmp_path])
    groups = group_records(results.records).groups
    return tables(groups, aggregate(groups), results)


def test_the_best_is_marked_where_the_difference_is_significant(tmp_path):
    headline, oracle = best_of(tmp_path / "clear", 40, 50, 92)
    column = headline.columns.index("SFT")
    assert headline.best == {Mark(0, column, 0), Mark(0, column, 1)}
    assert headline.caption[-1] == BEST_CAPTION
    assert oracle.best == frozenset() and BEST_CAPTION not in oracle.caption
    assert [(value, best) for stack in next(headline.marked_rows())[2:] for value, best in stack if best] == [
        (headline.rows[0][2 + column][0], True),
        (headline.rows[0][2 + column][1], True),
    ]
    headline, _ = best_of(tmp_path / "alike", 40, 91, 92)
    assert headline.best == frozenset() and BEST_CAPTION not in headline.caption


def test_a_single_column_is_not_called_best(tmp_path):
    (table,) = best_of(tmp_path, 90)
    assert table.best == frozenset() and BEST_CAPTION not in table.caption


def test_paper_says_that_the_weight_was_chosen_too():
    metrics = {"sst2": {"acc": 0.5, "acc_full_vocab": 0.5, "ece": 0.25, "ece_mass": 0.2}}
    records = [make_record("ia2+sft", metrics, protocol="paper", options={"sft_weight": w}) for w in (0.1, 0.9)]
    (table,) = tables_of(records)
    assert table.columns == ("IA2 + SFT",)
    assert any(line.startswith("Learning rate and weight of IA2 + SFT: highest accuracy") for line in table.caption)
