from __future__ import annotations

from synthetic_run import gsm8k, make_record

from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.tables.layout import tables


def tables_of(records):
    groups = group_records(records).groups
    return tables(groups, aggregate(groups))


def test_caption_says_what_the_intervals_are():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    icl = [make_record("icl", metrics, seed=seed) for seed in (0, 1)]
    no_icl = make_record("no_icl", metrics, intervals={"acc": (0.4, 0.6)})

    def remark(records):
        return [line for line in tables_of(records)[0].caption if "95 %" in line]

    before = "95 % intervals (in leaderboard.csv and the plots): "
    student, bootstrap = "over seeds by Student's t", "over examples by bootstrap for no ICL or a single seed"
    assert remark(icl) == [f"{before}{student}."]
    assert remark([no_icl]) == [f"{before}{bootstrap}."]
    assert remark([*icl, no_icl]) == [f"{before}{student}; {bootstrap}."]
    assert remark(icl[:1]) == []


def test_the_caption_tells_what_the_means_are_over():
    both = [*gsm8k("icl", {}, {}), *gsm8k("no_icl", {})]
    for records, first in (
        (both, "Mean over 2 seeds (sample std); no ICL: one evaluation; n:"),
        (both[:2], "Mean over 2 seeds (sample std); n:"),
        (both[:1], "One seed; n:"),
        (both[2:], "no ICL: one evaluation; n:"),
    ):
        caption = tables_of(records)[0].caption
        assert caption[0].startswith(first)
        assert not any("seeds expected" in remark for remark in caption)


def test_the_caption_tells_of_how_many_texts_the_calibration_is():
    def remark(*records):
        return next(line for line in tables_of(records)[0].caption if line.startswith("ECE"))

    icl = gsm8k("icl", {"ece": 0.1, "ece_n": 2.0}, {"ece": 0.1, "ece_n": 3.0})  # of 10 examples each
    assert remark(*icl).endswith("over the examples that mark one, 25 per cent of them (ece_n).")
    no_icl = gsm8k("no_icl", {"ece": 0.1, "ece_n": 9.0})
    assert remark(*icl, *no_icl).endswith("25 to 90 per cent of them (ece_n).")
    assert remark(*gsm8k("icl", {"ece": 0.1})).endswith("over the examples that mark one.")


def test_the_caption_names_the_metrics_that_no_table_shows():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.1, "ece_scaled": 0.1, "temperature": 2.0}}
    labels, generations = tables_of([make_record("icl", metrics), *gsm8k("icl", {"ece_agreement": 0.1})])
    assert "Only in leaderboard.csv, after temperature scaling: ece_scaled, temperature." in labels.caption
    assert "Only in leaderboard.csv, agreement of sampled answers: ece_agreement." in generations.caption
    assert sum("Only in" in remark for remark in (*labels.caption, *generations.caption)) == 2
