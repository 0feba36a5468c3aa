from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console
from synthetic_run import generation, gsm8k, make_record, sample, write_plan, write_run

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.leaderboard.page.command import page_command
from ia2_eval.leaderboard.page.shared import scaled
from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.reliability import pool
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.style import KNOWN, Column, column_title
from ia2_eval.lm.base_model import Base

EVIL = "</script><img src=x onerror=alert(1)><!-- {{script}} & \"'"


def small_run():
    """no ICL, ICL and SFT with two seeds and two learning rates, of which 0.001 has the lower dev loss."""
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}, "fins": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("no_icl", metrics)]
    for seed in (0, 1):
        accuracy = {name: {"acc": 0.5 + 0.1 * seed, "ece": 0.25} for name in metrics}
        records.append(make_record("icl", accuracy, seed=seed, intervals={"acc": (0.3, 0.8)}))
        records += [make_record("sft", accuracy, seed=seed, learning_rate=rate, dev_loss=rate) for rate in (1e-3, 3e-3)]
    return records


def write(*directories: Path, out: Path | None = None) -> tuple[int, str, str]:
    """Exit status, what was printed, and the page."""
    printed = io.StringIO()
    status = page_command(directories, out, Console(file=printed, width=200))
    return status, printed.getvalue(), (out or directories[0] / "page.html").read_text(encoding="utf-8")


def data_of(page: str):
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def mean_rows(data):
    """Method, N, eval, selection, whether reported, accuracy, seeds, expected, of each mean."""
    for group, benchmark, _, selection, reported, _, accuracy, _, _, seeds, expected, *_ in data["means"]:
        _, _, _, _, n, column, _ = data["groups"][group]
        yield (
            data["columns"][column][0],
            n,
            data["benchmarks"][benchmark][0],
            selection,
            reported,
            accuracy,
            seeds,
            expected,
        )


def test_says_where_the_page_is(tmp_path):
    status, printed, page = write(write_run(tmp_path, small_run()))
    assert status == 0
    assert printed.split() == [str(tmp_path / "page.html")]
    assert page.startswith("<!doctype html>")


def test_nothing_is_loaded_and_only_the_pages_own_script_and_style_run(tmp_path):
    page = write(write_run(tmp_path, small_run()))[2]
    markup = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", markup) == ["data:,", "#results"]
    assert not re.search(r"\son\w+=", markup)
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|fetch\(|XMLHttp|@import|url\(h", page)
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    assert policy.startswith("default-src 'none'; ")
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_means_are_those_of_the_table_with_the_oracle_beside_them(tmp_path):
    data = data_of(write(write_run(tmp_path, small_run()))[2])
    rows = [row for row in mean_rows(data) if row[2] == "sst2"]
    # Seeds have 0.5 and 0.6: std 0.0707, and Student's interval with one degree of freedom 0.55 ± 12.706 * 0.05,
    # cut to what an accuracy can be.
    of_seeds = [5500, 707, 0, 10000]
    assert [(row[0], row[3], row[4]) for row in rows] == [
        ("no ICL", "none", True),
        ("ICL", "none", True),
        ("SFT", "dev", True),
        ("SFT", "oracle", False),
    ]
    assert [row[5] for row in rows] == [[5000, None, None, None], of_seeds, of_seeds, of_seeds]
    assert [row[6:] for row in rows] == [(None, None), (2, 2), (2, 2), (2, 2)]
    assert {row[1] for row in rows} == {4}  # no ICL stands beside the N of the others


def test_every_mean_is_a_line_of_the_csv(tmp_path):
    records = small_run()
    for seed in (0, 1):
        for labels in ("ground_truth", "icl_outputs"):
            for n in (4, 8):
                metrics = {"sst2": {"acc": 0.7 - 0.1 * seed, "ece": 0.1 * seed}, "fins": {"acc": 0.3, "ece": 0.2}}
                keywords = {"seed": seed, "n": n, "options": {"labels": labels}, "adapter": Lora(r=16)}
                records.append(make_record("sft", metrics, **keywords))
        records += gsm8k("icl", {"ece_n": 8.0, "ece": 0.3}, n=2, protocol="paper")
        records.append(make_record("ia2", {"poems": {"acc": 0.25}}, source="poems", seed=seed, n=16))
    run = write_run(tmp_path, records)
    data = data_of(write(run)[2])
    results = read_results([run])
    lines = list(csv.DictReader(io.StringIO(to_csv(aggregate(group_records(results.records, results.plan).groups)))))
    shown = set()
    for group, benchmark, headline, selection, _, (rate, _), *values, seeds, expected, complete, n, _, parts in data[
        "means"
    ]:
        accuracy, calibration, _ = values
        base, adapter, protocol, source, size, column, labels = data["groups"][group]
        place = [base, adapter, protocol, data["benchmarks"][source][0], data["benchmarks"][benchmark][0]]
        place += ["" if size is None else str(size), selection, labels]
        for name, value in (("accuracy", accuracy), ("calibration", calibration)):
            metric = data["headlines"][headline][name]
            found = [
                line
                for line in lines
                if [line[key] for key in ("base", "adapter", "protocol", "source", "eval", "N", "selection")]
                == place[:7]
                and line["metric"] == metric
                and column_title(Column(line["method"], line["variant"])) == data["columns"][column][0]
            ]
            assert len(found) == (value is not None)
            for line in found:
                of_seeds = line["seeds_expected"] != ""
                ends = [str(min(max(float(line[end]), 0), 1)) if line[end] else "" for end in ("ci_low", "ci_high")]
                told = [line["mean"], line["std"] if of_seeds else "", *ends]
                assert value == [scaled(float(number)) if number else None for number in told]
                assert line["learning_rate"] == ("" if rate is None else str(rate))
                assert line["label_type"] == place[7]
                assert int(line["n"]) == n
                if of_seeds and name == "accuracy":
                    assert (int(line["seeds"]), int(line["seeds_expected"])) == (seeds, expected)
                    assert len(parts) == seeds
                if name == "accuracy":
                    assert line["complete"] == str(complete)
                shown.add(tuple(line.values()))
    reported = [line for line in lines if line["metric"] in ("acc", "ece", "ece_mass")]
    assert len(shown) == len([line for line in reported if (line["protocol"], line["metric"]) != ("paper", "ece")])


@pytest.mark.parametrize(("other_adapter", "marked"), [((), [("ICL", True, True)]), ((180,), [])])
def test_the_best_is_marked_if_it_is_the_best_in_all_tables(tmp_path, other_adapter, marked):
    """ICL is right in 180 of 200 examples, SFT in 20; with another adapter SFT is no worse than ICL."""
    results = [("icl", None, 180), ("sft", Lora(r=8), 20), *(("sft", Lora(r=16), hits) for hits in other_adapter)]
    for method, adapter, hits in results:
        record = make_record(method, {"sst2": {"acc": hits / 200}}, adapter=adapter, examples=200)
        write_run(tmp_path, [record], [sample(0.5 + 0.002 * i, i < hits) for i in range(200)])
    data = data_of(write(tmp_path)[2])
    best = [(data["columns"][data["groups"][row[0]][5]][0], *row[8]) for row in data["means"] if row[4] and any(row[8])]
    assert best == marked
    assert any(line.startswith("Bold:") for line in data["captions"]) == bool(marked)


def test_the_type_of_labels_is_told(tmp_path):
    records = [
        make_record("sft", {"sst2": {"acc": 0.5}}, options={"labels": "icl_outputs"}),
        make_record("ia2_sft", {"sst2": {}}, error="no"),
        make_record("ia2", {"sst2": {"acc": 0.5}}),
    ]
    data = data_of(write(write_run(tmp_path, records))[2])
    labels = {key: data["groups"][group][-1] for key, group, *_ in data["records"]}
    assert [labels[record.key] for record in records] == ["icl_outputs", "ground_truth", ""]


def test_methods_have_their_colours_and_stand_together(tmp_path):
    records = [*small_run(), make_record("icl", {"sst2": {"acc": 0.5}, "fins": {"acc": 0.5}}, n=8)]
    data = data_of(write(write_run(tmp_path, records))[2])
    assert data["columns"] == [[KNOWN[name].title, KNOWN[name].colour] for name in ("no_icl", "icl", "sft")]
    places = [(n, name) for _, n, name, *_ in mean_rows(data)]
    assert places == sorted(places, key=lambda place: (place[0], place[1] != "sst2"))


def test_evaluations_have_their_metrics_and_the_bins_of_their_samples(tmp_path):
    record = make_record("icl", {"sst2": {"acc": 0.75, "ece": 0.123449}}, examples=4, intervals={"acc": (0.5, 0.98765)})
    rows = [sample(0.51, True), sample(0.53, False), sample(0.61, True), sample(1.0, True)]
    data = data_of(write(write_run(tmp_path, [record], rows))[2])
    (evaluation,) = data["evaluations"]
    place, benchmark, headline, n, form, values, ends, drawn, _ = evaluation
    assert (data["records"][place][0], data["benchmarks"][benchmark], n) == (record.key, ["sst2", "SST2"], 4)
    assert (data["forms"][form], values, ends) == ([["acc", "ece"], ["acc"]], [7500, 1234], [5000, 9876])
    # Of fifteenths: 0.51 and 0.53 are in the eighth [0.467, 0.533), 0.61 in the tenth, 1 in the last.
    # ECE: (|1 - 1.04| + |1 - 0.61| + 0) / 4.
    assert data["diagrams"][drawn] == [1075, 4, 4, [7, 2, 1, 520, 9, 1, 1, 610, 14, 1, 1, 1000]]
    assert data["headlines"][headline]["equal_width"]
    assert "label-normalised" in data["headlines"][headline]["axis"]


def test_equal_mass_bins_of_one_confidence_are_one_bar(tmp_path):
    record = make_record("icl", {"sst2": {"acc_full_vocab": 0.5, "ece_mass": 0.1}}, protocol="paper", examples=4)
    rows = [sample(0.25, False), sample(0.75, True), sample(0.75, False), sample(0.75, True)]
    data = data_of(write(write_run(tmp_path, [record], rows))[2])
    # (0.25 + |1 - 0.75| + |0 - 0.75| + |1 - 0.75|) / 4, each example being a bin
    assert data["diagrams"] == [[3750, 4, 4, [250, 250, 1, 0, 250, 750, 750, 3, 2, 750]]]
    assert [headline["equal_width"] for headline in data["headlines"]] == [False]


def test_confidence_that_is_not_known_has_no_diagram(tmp_path):
    metrics = {"gsm8k": {"acc": 0.5, "unparsed": 0.0}}
    data = data_of(write(write_run(tmp_path, [make_record("icl", metrics, source="gsm8k")]))[2])
    assert data["diagrams"] == []
    some = [generation(0.5, True), generation(None, False)]
    record = make_record("icl", metrics, source="gsm8k", examples=2)
    data = data_of(write(write_run(tmp_path / "some", [record], some))[2])
    assert data["diagrams"] == [[5000, 1, 2, [7, 1, 1, 500]]]


def test_the_diagram_of_a_mean_is_the_pooled_one_and_names_its_records(tmp_path):
    run = write_run(tmp_path, small_run())
    results = read_results([run])
    data = data_of(write(run)[2])
    for group in group_records(results.records, results.plan).groups:
        pooled = pool(results, group, "sst2")[0]
        (row,) = [
            mean
            for mean, (method, _, name, _, reported, *_) in zip(data["means"], mean_rows(data), strict=True)
            if reported and name == "sst2" and method == KNOWN[group.method].title
        ]
        assert data["diagrams"][row[-2]][:3] == [scaled(pooled.ece), pooled.n, pooled.samples]
        keys = {data["records"][data["evaluations"][place][0]][0] for place in row[-1]}
        rate = None if row[5][0] is None else 1e-3
        assert keys == {record.key for record in group.records if record.cell.learning_rate == rate}


def test_text_of_the_data_is_no_markup(tmp_path):
    records = [make_record("icl", {"sst2": {"acc": 0.5}}, base=Base(model=EVIL), notes=(EVIL,))]
    records.append(
        make_record("icl", {"sst2": {"acc": 0.5}}, base=Base(model=EVIL), seed=1, error=f"Traceback\n{EVIL}")
    )
    page = write(write_run(tmp_path / "<b>x", records))[2]
    data = data_of(page)
    assert data["groups"][0][0] == EVIL
    assert data["records"][1][-1] == EVIL
    assert "<img" not in page
    assert "<!--" not in page
    assert page.count("</script>") == 2
    assert "<title>Leaderboard · &lt;b&gt;x</title>" in page


def test_links_lead_from_the_page_to_the_records(tmp_path):
    records = [make_record("icl", {"sst2": {"acc": 0.5}}, seed=seed) for seed in (0, 1)]
    write_run(tmp_path / "a: 50% #1?", records[:1])
    write_run(tmp_path / "b", records[1:])
    out = tmp_path / "board" / "x.html"
    data = data_of(write(tmp_path / "a: 50% #1?", tmp_path / "b", out=out)[2])
    links = {record[0]: data["values"][record[3]] + f"{record[0]}.json" for record in data["records"]}
    assert links[records[0].key].startswith("../a%3A%2050%25%20%231%3F/records/")
    for key, link in links.items():
        assert json.loads((out.parent / unquote(link)).read_text())["key"] == key


def test_the_same_results_give_the_same_bytes(tmp_path):
    run = write_run(tmp_path / "run", small_run())
    pages = [write(run, out=tmp_path / "out" / name)[2] for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    records = small_run()
    run = write_run(tmp_path, records)
    (run / "records" / "broken.json").write_text("{")
    samples = next(record for record in records if record.cell.method == "icl").evaluations[0].samples
    (run / samples).unlink()
    status, printed, page = write(run)
    assert status == 1
    assert printed.count(samples) >= 1
    assert "records/broken.json" in printed
    ((heading, lines),) = data_of(page)["remarks"]
    assert heading == "Faulty files"
    assert len(lines) == 2
    icl = [row for row in mean_rows(data_of(page)) if row[0] == "ICL" and row[2] == "sst2"]
    assert icl[0][5] is not None  # the numbers of the record are shown


def test_faults_of_the_command_line(tmp_path):
    run = write_run(tmp_path / "run", small_run()[:1])
    with pytest.raises(UserError, match=r"2 directories needs a place of its own: give --out FILE\.html"):
        page_command([run, run], None, Console())
    with pytest.raises(UserError, match="is a directory: name the file"):
        page_command([run], tmp_path, Console())
    with pytest.raises(UserError, match=r"absent.* does not exist"):
        page_command([tmp_path / "absent"], None, Console())


def test_planned_cells_without_results_are_shown_as_missing(tmp_path):
    write_plan(tmp_path, small_run())
    status, _, page = write(tmp_path)
    data = data_of(page)
    assert status == 1  # as `build`
    assert data["evaluations"] == []
    assert {row[5] for row in mean_rows(data)} == {None}
    assert {row[6:] for row in mean_rows(data)} == {(None, None), (0, 2)}
    remarks = dict(data["remarks"])
    assert list(remarks) == ["Notes"]
    assert any("SFT 4 of 4 cells not run yet" in line for line in remarks["Notes"])


def test_failed_cells_have_a_row_per_benchmark(tmp_path):
    error = "Traceback\n  File x\nOutOfMemoryError: 12 GiB " + "x" * 1000 + "\n"
    data = data_of(write(write_run(tmp_path, [make_record("sft", {"sst2": {}, "fins": {}}, error=error)]))[2])
    assert data["evaluations"] == [[0, 0], [0, 1]]
    assert data["records"][0][-1].startswith("OutOfMemoryError: 12 GiB xxx")
    assert len(data["records"][0][-1]) == 400
    assert {row[5:] for row in mean_rows(data)} == {(None, 0, 1)}
    ((heading, (line,)),) = data["remarks"]
    assert heading == "Failed cells"
    assert line.startswith("sst2 N=4 seed 0 sft lr 0.001 (records/") and "OutOfMemoryError: 12 GiB xxx" in line


def test_a_failed_cells_base_is_named_as_in_the_tables(tmp_path):
    bases = [Base(model="tiny", fingerprint="a" * 64), Base(model="tiny", fingerprint="b" * 64)]
    records = [make_record("icl", {"sst2": {"acc": 0.5}}, base=base) for base in bases]
    records.append(make_record("icl", {"sst2": {"acc": 0.5}}, base=bases[1], seed=1, error="no"))
    data = data_of(write(write_run(tmp_path, records))[2])
    named = {key: data["groups"][group][0] for key, group, *_ in data["records"]}
    assert [named[record.key][-8:] for record in records] == ["a" * 8, "b" * 8, "b" * 8]
