from __future__ import annotations

import io
from statistics import pstdev, stdev

import ia2_training
import pandas
import pyarrow.parquet
import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv, to_parquet
from ia2_eval.leaderboard.results.groups import (
    LABEL_TYPES,
    OF_CHOICE,
    OF_TEACHER,
    Candidate,
    base_labels,
    group_records,
)
from ia2_eval.lm.base_model import Base


def rows_of(records):
    return aggregate(group_records(records).groups)


def the_row(rows, **wanted):
    found = [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def seeds_of(method, accuracies, **keywords):
    return [
        make_record(method, {"sst2": {"acc": accuracy, "acc_full_vocab": accuracy}}, seed=seed, **keywords)
        for seed, accuracy in enumerate(accuracies)
    ]


def test_mean_std_and_interval_of_the_chosen_learning_rate():
    accuracies = [0.6, 0.7, 0.8]
    records = seeds_of("sft", accuracies, learning_rate=1e-3, dev_loss=0.1)
    records += seeds_of("sft", [0.9, 0.9, 0.9], learning_rate=3e-3, dev_loss=0.2)
    rows = rows_of(records)
    dev = the_row(rows, metric="acc", selection="dev")
    assert (dev.learning_rate, dev.seeds, dev.seeds_expected, dev.n, dev.complete) == (1e-3, 3, 3, 10, True)
    assert (dev.mean, dev.std) == pytest.approx((0.7, stdev(accuracies)))
    assert (dev.ci_low, dev.ci_high) == pytest.approx((0.7 - 0.248414, 0.7 + 0.248414), abs=1e-6)
    assert the_row(rows, metric="acc", selection="oracle").learning_rate == 3e-3


def test_paper_reports_the_population_std():
    accuracies = [0.6, 0.7, 0.8]
    row = the_row(rows_of(seeds_of("sft", accuracies, protocol="paper")), metric="acc")
    assert (row.selection, row.std) == ("oracle", pytest.approx(pstdev(accuracies)))
    assert the_row(rows_of(seeds_of("sft", [0.6], protocol="paper")), metric="acc").std is None  # 0 would be no spread


def test_out_of_distribution_row_has_the_sources_learning_rate_under_strict_and_its_own_under_paper():
    def records(protocol):
        return [
            make_record(
                "sft",
                {name: {"acc": acc, "acc_full_vocab": acc} for name, acc in (("sst2", own), ("fins", other))},
                learning_rate=rate,
                dev_loss=dev_loss,
                protocol=protocol,
            )
            for rate, dev_loss, own, other in ((1e-3, 0.1, 0.9, 0.5), (3e-3, 0.2, 0.8, 0.7))
        ]

    strict = the_row(rows_of(records("strict")), eval="fins", metric="acc", selection="dev")
    paper = the_row(rows_of(records("paper")), eval="fins", metric="acc")
    assert (strict.ood, strict.learning_rate, strict.mean) == (True, 1e-3, 0.5)
    assert (paper.ood, paper.learning_rate, paper.mean) == (True, 3e-3, 0.7)


def test_no_icl_stands_beside_every_n_of_its_source():
    records = [make_record("no_icl", {"sst2": {"acc": 0.5}}, intervals={"acc": (0.4, 0.6)})]
    records += [make_record("icl", {"sst2": {"acc": 0.7}}, n=n) for n in (4, 8)]
    records += [make_record("icl", {"agn": {"acc": 0.7}}, n=16, source="agn")]
    rows = [row for row in rows_of(records) if row.method == "no_icl"]
    assert [row.N for row in rows] == [4, 8]
    for row in rows:
        assert (row.mean, row.std, row.ci_low, row.ci_high, row.interval) == (0.5, 0.0, 0.4, 0.6, "bootstrap")
        assert (row.seeds, row.seeds_expected, row.selection, row.learning_rate) == (None, None, "none", None)
        assert row.complete


def test_no_icl_alone_has_no_n():
    assert [row.N for row in rows_of([make_record("no_icl", {"sst2": {"acc": 0.5}})])] == [None]


def test_missing_seeds_are_counted():
    # Seed 2 is known from ICL only; the failed cell of seed 1 counts as expected too.
    records = seeds_of("icl", [0.7, 0.7, 0.7])
    records += [*seeds_of("sft", [0.6]), make_record("sft", {"sst2": {}}, seed=1, error="RuntimeError: out of memory")]
    groups = group_records(records).groups
    row = the_row(aggregate(groups), method="sft", metric="acc", selection="dev")
    assert (row.seeds, row.seeds_expected, row.complete) == (1, 3, False)
    assert (row.std, row.interval) == (None, None)
    assert (groups[1].missing, groups[1].failed) == (2, 1)
    assert groups[1].expected == tuple((Candidate(1e-3, None), seed) for seed in range(3))


def plan_of(records):
    return {record.key: record.cell for record in records}


def test_a_plan_says_what_is_expected():
    # Without the plan nothing tells of seed 2, of 3e-3 or of IA2.
    planned = seeds_of("icl", [0.7] * 3)
    for rate in (1e-3, 3e-3):
        planned += [*seeds_of("sft", [0.6] * 3, learning_rate=rate), *seeds_of("ia2", [0.6] * 3, learning_rate=rate)]
    done = [*planned[:2], *planned[3:5]]
    icl, sft, ia2 = group_records(done, plan_of(planned)).groups
    assert [(group.method, group.missing, len(group.expected)) for group in (icl, sft, ia2)] == [
        ("icl", 1, 3),
        ("sft", 4, 6),
        ("ia2", 6, 6),
    ]
    rows = aggregate([icl, sft, ia2])
    for row in (the_row(rows, method="icl", metric="acc"), the_row(rows, method="sft", metric="acc", selection="dev")):
        assert (row.seeds, row.seeds_expected, row.complete) == (2, 3, False)
    assert {row.method for row in rows} == {"icl", "sft"}


def test_a_plan_expects_nothing_that_was_not_planned():
    # Two recipes for one directory: five seeds of one learning rate, one seed of another.
    records = seeds_of("sft", [0.6] * 5, learning_rate=1e-3) + seeds_of("sft", [0.6], learning_rate=3e-3)
    (group,) = group_records(records, plan_of(records)).groups
    assert group.missing == 0
    assert the_row(aggregate([group]), metric="acc", selection="dev").complete
    assert group_records(records).groups[0].missing == 4


def test_the_setting_that_was_planned_last_counts():
    tried = make_record("icl", {"sst2": {"acc": 0.1}}, limit=8)
    planned = seeds_of("icl", [0.7, 0.7])
    groups, notes = group_records([tried], plan_of([tried, *planned]))
    assert [(group.missing, group.records) for group in groups] == [(2, ())]
    assert "limit 8 instead of None: 1 records of that other setting are left out" in notes[0]


def test_the_same_files_under_another_path_are_the_same_base():
    bases = (Base(model=f"/somewhere/{name}", fingerprint="f" * 64) for name in ("one", "two"))
    records = [make_record("icl", {"sst2": {"acc": 0.7}}, seed=seed, base=base) for seed, base in enumerate(bases)]
    (group,) = group_records(records).groups
    assert (group.missing, len(group.records)) == (0, 2)


@pytest.mark.parametrize("method", ["icl", "no_icl"])
def test_a_metric_that_some_seeds_lack_is_of_those_that_have_it(method):
    # AUROC is not defined where every answer is right; the mean of the others is not that of all seeds.
    auroc = ({"auroc": 0.5}, {}, {"auroc": 0.9})
    intervals = {"auroc": (0.4, 0.6)}
    records = [
        make_record(method, {"sst2": {"acc": 0.7} | more}, seed=seed, intervals=intervals)
        for seed, more in enumerate(auroc if method == "icl" else auroc[:1])
    ]
    rows = rows_of(records)
    accuracy, row = the_row(rows, metric="acc"), the_row(rows, metric="auroc")
    assert accuracy.complete
    if method == "no_icl":
        assert (row.mean, row.ci_low, row.complete) == (0.5, 0.4, True)
        return
    assert (accuracy.seeds, row.seeds, row.seeds_expected, row.complete) == (3, 2, 3, False)
    assert (row.mean, row.std, row.interval) == (pytest.approx(0.7), pytest.approx(stdev([0.5, 0.9])), "t")
    one = the_row(rows_of(records[:2]), metric="auroc")
    assert (one.seeds, one.seeds_expected, one.std, one.interval, one.ci_low) == (1, 2, None, "bootstrap", 0.4)


def test_a_learning_rate_that_lacks_seeds_makes_the_row_incomplete():
    records = seeds_of("sft", [0.6, 0.7], learning_rate=1e-3) + seeds_of("sft", [0.9], learning_rate=3e-3, dev_loss=0)
    row = the_row(rows_of(records), metric="acc", selection="dev")
    assert (row.learning_rate, row.seeds, row.seeds_expected, row.complete) == (1e-3, 2, 2, False)


def test_results_of_different_settings_are_not_averaged():
    old = make_record("icl", {"sst2": {"acc": 0.1}}, seed=0, limit=8, created="2026-01-01T00:00:00+00:00")
    new = make_record("icl", {"sst2": {"acc": 0.7}}, seed=1, created="2026-02-01T00:00:00+00:00")
    groups, notes = group_records([new, old])
    assert [row.mean for row in aggregate(groups)] == [0.7]
    assert len(notes) == 1
    assert "limit 8 instead of None" in notes[0]
    assert old.key in notes[0]


def test_bases_are_told_apart_by_what_differs():
    one, two = (Base(model="org/model", revision=revision * 20) for revision in ("ab", "cd"))
    local = Base(model="/somewhere/checkpoint")
    assert base_labels([one, local]) == {one: "org/model", local: "checkpoint"}
    for path in ("../checkpoint", "./checkpoint", "~/checkpoint", "../../.checkpoint/"):
        (label,) = base_labels([Base(model=path)]).values()
        assert label == "checkpoint"
    assert base_labels([Base(model="..")]) == {Base(model=".."): "local model"}
    assert base_labels([one, two]) == {one: "org/model abababab", two: "org/model cdcdcdcd"}


def test_order_does_not_depend_on_the_order_of_the_records():
    records = seeds_of("sft", [0.6, 0.7]) + seeds_of("icl", [0.7]) + [make_record("no_icl", {"sst2": {"acc": 0.5}})]
    assert to_csv(rows_of(records)) == to_csv(rows_of(records[::-1]))


def test_csv_columns_and_types():
    records = [make_record("no_icl", {"sst2": {"acc": 0.5, "ece": 0.3}}), *seeds_of("sft", [0.6])]
    table = pandas.read_csv(io.StringIO(to_csv(rows_of(records))), keep_default_na=False, na_values=[""])
    columns = (
        "base adapter protocol source eval ood N method variant label_type metric selection learning_rate sft_weight"
    )
    assert " ".join(table.columns) == f"{columns} mean std ci_low ci_high interval seeds seeds_expected n complete"
    numeric = ["learning_rate", "mean", "std", "ci_low", "ci_high", "seeds", "seeds_expected", "N", "n"]
    assert all(pandas.api.types.is_numeric_dtype(table[name]) for name in numeric)
    assert table["ood"].dtype == table["complete"].dtype == bool
    assert table["N"].tolist() == [4] * len(table)
    assert table.loc[table["method"] == "no_icl", "learning_rate"].isna().all()


def test_parquet_has_the_same_in_types_of_its_own():
    records = [make_record("no_icl", {"sst2": {"acc": 0.5, "ece": 0.3}}), *seeds_of("sft", [0.6, 0.7])]
    rows = rows_of(records)
    content = to_parquet(rows)
    assert content == to_parquet(rows_of(records[::-1]))
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    assert table.to_pylist() == [{name: getattr(row, name) for name in table.column_names} for row in rows]
    assert table.column_names == to_csv(rows).splitlines()[0].split(",")
    types = {str(field.type): field.name for field in table.schema}
    assert types.keys() == {"string", "bool", "int64", "double"}
    assert table.schema.field("N").type == table.schema.field("seeds").type == pyarrow.int64()
    assert table.schema.field("sft_weight").type == pyarrow.float64()  # all null here


def test_parquet_of_nothing_has_the_columns():
    table = pyarrow.parquet.read_table(io.BytesIO(to_parquet([])))
    assert (table.num_rows, table.schema.field("ood").type) == (0, pyarrow.bool_())


def test_the_type_of_labels_is_a_column():
    records = [make_record("no_icl", {"sst2": {"acc": 0.5}}), *seeds_of("icl", [0.5])]
    for method in ("ia2", "sft", "ia2_sft", "sft_ia2", "soft_sft", "ia2+sft", "mine"):
        records += seeds_of(method, [0.6])
    records += seeds_of("sft", [0.6], options={"labels": "icl_outputs"})
    records += seeds_of("mine", [0.6], options={"labels": "ground_truth"})
    found = {(row.method, row.variant): row.label_type for row in rows_of(records)}
    assert found == {
        **{(method, ""): "" for method in ("no_icl", "icl", "ia2", "mine")},
        **{(method, ""): "ground_truth" for method in ("sft", "ia2_sft", "sft_ia2")},
        **{(method, ""): "icl_outputs" for method in ("soft_sft", "ia2+sft")},
        ("sft", "icl_outputs"): "icl_outputs",
        ("mine", "ground_truth"): "ground_truth",
    }


def test_the_types_of_labels_are_those_that_methods_train_on():
    for name in ia2_training.METHODS:
        refused = set()
        for labels in LABEL_TYPES:
            try:
                ia2_training.Method(name, labels=labels)
            except ValueError:
                refused.add(labels)
        expected = set() if name in OF_CHOICE else {"ground_truth"} if name in OF_TEACHER else set(LABEL_TYPES)
        assert refused == expected, name


def test_variants_are_rows_of_their_own():
    records = seeds_of("sft", [0.6, 0.7]) + seeds_of("sft", [0.2, 0.3], options={"labels": "icl_outputs"})
    rows = rows_of(records)
    assert the_row(rows, metric="acc", selection="dev", variant="").mean == pytest.approx(0.65)
    assert the_row(rows, metric="acc", selection="dev", variant="icl_outputs").mean == pytest.approx(0.25)
    table = pandas.read_csv(io.StringIO(to_csv(rows)))
    assert set(table["variant"].dropna()) == {"icl_outputs"}


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_the_weight_of_the_joint_loss_is_in_the_csv(protocol):
    records = []
    for weight, accuracy in ((0.1, 0.6), (0.9, 0.8)):
        records += seeds_of("ia2+sft", [accuracy] * 2, options={"sft_weight": weight}, protocol=protocol)
    selection = "dev" if protocol == "strict" else "oracle"
    rows = [row for row in rows_of(records) if (row.metric, row.selection) == ("acc", selection)]
    found = {(row.variant, row.sft_weight, row.mean) for row in rows}
    expected = {("w=0.1", 0.1, 0.6), ("w=0.9", 0.9, 0.8)} if protocol == "strict" else {("", 0.9, 0.8)}
    assert found == expected
