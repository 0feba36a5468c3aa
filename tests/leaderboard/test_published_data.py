"""The published numbers that ship."""

from collections import Counter
from math import isclose

import pytest

from ia2_eval import shipped
from ia2_eval.benchmarks.registry import TWELVE
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.published.entries import Place, entry_at, published_entries
from ia2_eval.leaderboard.published.read import (
    PublishedResult,
    PublishedScore,
    published_results,
    published_scores,
    read_published,
)
from ia2_eval.leaderboard.style import KNOWN

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")


def test_every_table_is_there() -> None:
    tables = Counter(result.table for result in published_results())
    counts = {1: 44, 2: 20, 3: 24, 4: 12, 5: 24, 6: 20, 7: 56, 9: 55, 10: 20, 11: 24, 12: 40, 13: 50, 14: 15, 15: 18}
    assert tables == counts | {16: 25, 17: 20, 18: 25, 19: 10, 20: 12}  # the values of table 8 are lost
    assert tables.total() == 514


def test_names_are_ours() -> None:
    results, titles = published_results(), {benchmark.title: benchmark for benchmark in TWELVE}
    assert {result.method for result in results} == KNOWN.keys() - {"sft_ia2"}
    for result in results:
        source, evaluated = titles[result.source], titles[result.eval]
        assert result.eval == result.source or evaluated.name in source.out_of_distribution
        assert (result.ece is None) != evaluated.single_token
        assert result.n == (288 if result.eval == "PoemS" else 500)


def test_std_is_missing_only_where_the_paper_lacks_it() -> None:
    lacking = [(r.table, r.eval, r.method) for r in published_results() if r.acc_std is None and r.method != "no_icl"]
    assert lacking == [(2, "GSM8Ks", "ia2_sft"), (2, "SciQ", "ia2_sft")]


def test_a_number_of_500_examples_and_5_runs_is_a_multiple_of_its_grain() -> None:
    """A misread digit in a single evaluation would give a share that no count of examples has."""
    for result in published_results():
        if result.runs == 1:
            assert isclose(result.acc / 100 * result.n, round(result.acc / 100 * result.n), abs_tol=1e-9)


def test_no_two_tables_contradict() -> None:
    entries = published_entries(published_results())
    assert len(entries) == len({(entry.result, entry.tables) for entry in entries.values()})
    sst2 = entries[Place("Llama-3.2-1B", "", "", 8, "SST2", "SST2", "icl")]
    assert sst2.tables == (4, 7, 12, 13, 17, 18)
    assert entries[Place("Qwen3-4B-Base", "", "", 0, "GSM8K", "GSM8K", "no_icl")].result.acc == 56.4


def test_labels_tell_entries_apart_where_a_method_has_a_choice() -> None:
    entries = published_entries(published_results())
    place = Place("Qwen3-4B-Base", "lora_r8_a8_qko", "", 4, "AGN", "AGN", "sft")
    assert (entries[place].tables, entries[place._replace(variant="icl_outputs")].tables) == ((1,), (9,))
    assert entries[place._replace(method="ia2")].tables == (1, 9)
    assert place._replace(method="ia2", variant="icl_outputs") not in entries


def test_alpha_matters_only_where_it_is_published() -> None:
    entries = published_entries(published_results())
    place = Place("Llama-3.2-1B", "lora_r16_a16_qko", "", 8, "SST2", "SST2", "sft")
    found = entry_at(entries, place)
    assert found is not None and found.tables == (7,) and found.result.adapter == "lora_r16_qko"
    assert entry_at(entries, place._replace(adapter="lora_r8_a8_qko")) is not None
    assert entry_at(entries, place._replace(adapter="lora_r8_a16_qko")) is None


def result(**changes: object) -> PublishedResult:
    columns = ("arxiv", "table", "base", "adapter", "labels", "N", "source", "eval", "method", "n", "runs")
    values = ("2509.22621", 1, "B", "ia3_qko", "ground_truth", 4, "SST2", "SST2", "sft", 500, 5)
    numbers = {"acc": 50.0, "acc_std": 1.0, "ece": 0.1, "ece_std": 0.02, "inferred": ""}
    given: dict[str, object] = dict(zip(columns, values, strict=True)) | numbers
    return PublishedResult.model_validate(given | changes)


def test_contradictions_are_refused_and_gaps_filled() -> None:
    with pytest.raises(UserError, match="tables 1 and 2 contradict in B ia3_qko 4 SST2 SST2 sft"):
        published_entries([result(), result(table=2, acc=50.1)])
    (entry,) = published_entries([result(acc_std=None), result(table=2)]).values()
    assert (entry.result.acc_std, entry.tables) == (1.0, (1, 2))
    two = [result(method="icl"), result(table=2, method="icl", adapter="lora_r8_a8_qko", labels="icl_outputs")]
    assert len(published_entries(two)) == 1  # without training there is neither adapter nor label


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((",27.9,", ",279,"), "line 3: acc: "),
        ((",ia2,500,5,", ",ia2,500,1,"), "line 4: .*no_icl is one evaluation"),
        ((",0.11,0.01,", ",0.11,,"), "line 4: .*one without the other"),
        (("arxiv,table", "arxiv,tables"), "line 2: table: "),
        ((",ground_truth,", ",gold,"), "line 2: labels: "),
    ],
)
def test_an_altered_file_is_refused(tmp_path, change, fault) -> None:  # type: ignore[no-untyped-def]
    lines = (shipped.PUBLISHED_DIRECTORY / "ia2.csv").read_text().splitlines()[:4]
    path = tmp_path / "ia2.csv"
    path.write_text("\n".join(lines).replace(*change))
    with pytest.raises(UserError, match=fault):
        read_published(path, PublishedResult)
    with pytest.raises(UserError, match="No such file"):
        read_published(tmp_path / "no.csv", PublishedResult)


def test_scores_agree_with_themselves() -> None:
    scores = published_scores()
    counts = {"urial_table": 23, "urial_figure": 7, "lmsys": 6, "recomputed": 12, "reported": 3, "rerun": 3}
    assert Counter(score.origin for score in scores) == counts
    table = [score for score in scores if score.origin == "urial_table"]
    pooled = [score for score in table if score.n != 160]
    assert [score.model for score in pooled] == ["phi-2-vllm", "amber"]
    for score in table:
        assert score.turn_1 is not None and score.turn_2 is not None
        categories = [getattr(score, name) for name in CATEGORIES]
        if score.n == 160:
            assert isclose(score.average, (score.turn_1 + score.turn_2) / 2, abs_tol=1e-6)
            assert isclose(score.average, sum(categories) / 8, abs_tol=1e-6)
        else:  # the average is over the rated rows: 80 of turn 1 and 79 of turn 2
            assert isclose(score.average, (80 * score.turn_1 + 79 * score.turn_2) / 159, abs_tol=1e-6)
    assert all(score.base is None or "/" not in score.base for score in scores)
    read = [score for score in scores if score.origin == "urial_figure"]
    assert all(score.remarks == ("read_from_image",) and score.turn_2 is None for score in read)


def test_a_remark_that_is_not_explained_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lines = (shipped.PUBLISHED_DIRECTORY / "urial.csv").read_text().splitlines()[:2]
    (path := tmp_path / "urial.csv").write_text("\n".join(lines) + "strange")
    with pytest.raises(UserError, match=r"line 2: remarks.0: "):
        read_published(path, PublishedScore)
    readme = (shipped.PUBLISHED_DIRECTORY / "README.md").read_text()
    remarks = {remark for score in published_scores() for remark in score.remarks}
    assert all(f"`{remark}`" in readme for remark in remarks)
