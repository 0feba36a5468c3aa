from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pandas
import pytest
from synthetic_run import make_record, sample, write_plan, write_run

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.build import build
from ia2_eval.lm.base_model import Base
from ia2_eval.scoring.version import SCORING_VERSION


def small_run():
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}, "fins": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("no_icl", metrics)]
    for seed in (0, 1):
        records.append(make_record("icl", metrics, seed=seed))
        records += [make_record("sft", metrics, seed=seed, learning_rate=rate, dev_loss=rate) for rate in (1e-3, 3e-3)]
    return records


TABLES = {f"leaderboard.{suffix}" for suffix in ("csv", "parquet", "md", "tex", "html")}


def test_writes_everything(tmp_path):
    board = build(write_run(tmp_path / "run", small_run()), tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in board.paths}
    plots = "plots/tiny_strict_lora_r8_a8_qko"
    assert names >= TABLES | {
        f"{plots}/{figure}{suffix}"
        for figure in ("accuracy_vs_n", "accuracy_vs_n_ood", "reliability_sst2_to_sst2", "reliability_sst2_to_fins")
        for suffix in (".png", ".svg")
    }
    assert {name for name in names if not name.startswith(plots)} == TABLES
    on_disk = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert on_disk == set(board.paths)  # and no temporary file
    for path in board.paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert board.remarks() == []
    assert not board.incomplete


def test_building_twice_gives_the_same_bytes(tmp_path):
    run = write_run(tmp_path / "run", small_run())
    first, second = build(run, tmp_path / "a"), build(run, tmp_path / "b")
    for one, two in zip(first.paths, second.paths, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_writes_into_the_runs_directory_by_default(tmp_path):
    multi_token = make_record("icl", {"gsm8k": {"acc": 0.5, "unparsed": 0.1}}, source="gsm8k")
    board = build(write_run(tmp_path, [multi_token]))
    assert {path.name for path in board.paths if path.parent == tmp_path} == TABLES
    assert tmp_path / "plots" / "tiny_strict" / "accuracy_vs_n.png" in board.paths
    assert all(path.exists() for path in board.paths)


def test_an_interrupted_run_says_what_is_missing(tmp_path):
    planned = small_run()
    planned += [
        make_record("ia2", {"sst2": {}, "fins": {}}, seed=seed, learning_rate=rate)
        for seed in (0, 1)
        for rate in (1e-3, 3e-3)
    ]
    run = write_plan(write_run(tmp_path, planned[:4]), planned)
    board = build(run)
    assert board.incomplete
    assert board.missing_cells == 3 + 4
    assert board.notes == (
        "tiny · SST2 N=4 (strict): ICL 1 of 2 cells not run yet",
        "tiny · SST2 N=4 (strict, lora_r8_a8_qko): SFT 2 of 4, IA2 4 of 4 cells not run yet",
    )
    assert board.tables[0].columns == ("no ICL", "ICL", "SFT", "IA2")
    assert board.tables[0].rows[0][3:] == (
        ("50.0 (–) 1/2", "0.25 (–)"),
        ("50.0 (–) 1/2", "0.25 (–)"),
        ("missing", "missing"),
    )
    assert not any(row.complete for row in board.rows if row.method != "no_icl")


def test_a_run_that_finished_nothing(tmp_path):
    board = build(write_plan(tmp_path, small_run()))
    assert (board.missing_cells, board.rows) == (7, ())
    assert board.tables[0].columns == ("no ICL", "ICL", "SFT")
    assert board.tables[0].caption == ("No cell has finished yet.",)
    assert {path.name for path in board.paths} == TABLES


def test_notes_on_the_data_are_listed_once(tmp_path):
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("icl", metrics, seed=seed, notes=("872 rows, not 1821",)) for seed in (0, 1)]
    records.append(make_record("icl", {"agn": metrics["sst2"]}, source="agn", notes=("872 rows, not 1821",)))
    board = build(write_run(tmp_path, records))
    assert board.data == ("SST2: 872 rows, not 1821", "AGN: 872 rows, not 1821")
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8").count("## Data") == 1


def test_records_that_were_scored_before_are_noted(tmp_path):
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}, "fins": {"acc": 0.5, "ece": 0.25}}
    records = [make_record("icl", metrics, seed=seed, scoring_version=SCORING_VERSION - seed) for seed in (0, 1)]
    (note,) = build(write_run(tmp_path, records)).notes
    assert note.startswith("2 of 4 evaluations were scored by an earlier version: `ia2-eval rescore`")


def test_methods_that_users_add(tmp_path):
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    records = [make_record(method, metrics) for method in ("zeta", "sft", "alpha", "no_icl")]
    board = build(write_run(tmp_path, records))
    assert board.tables[0].columns == ("no ICL", "SFT", "alpha", "zeta")
    assert board.missing_cells == 0


def test_learning_rates_that_cannot_be_told_apart_are_noted(tmp_path):
    metrics = {"gsm8k": {"acc": 0.5, "unparsed": 0.1}}
    records = [make_record("sft", metrics, source="gsm8k", learning_rate=rate, dev_loss=None) for rate in (1e-3, 3e-3)]
    board = build(write_run(tmp_path, records))
    place = "tiny · GSM8K N=4 (strict, lora_r8_a8_qko)"
    assert board.notes == (f"{place}: no learning rate can be chosen for SFT, its cells have no dev loss",)
    assert board.tables[0].rows[0][2] == ("missing", "missing")


def test_faulty_files_and_failed_cells_are_listed_and_the_rest_is_built(tmp_path):
    failed = make_record("ia2", {"sst2": {}, "fins": {}}, error="Traceback\n  line\nRuntimeError: out of memory\n")
    run = write_run(tmp_path, [*small_run(), failed])
    (run / "records" / "broken.json").write_text("{")
    board = build(run)
    assert len(board.faults) == 1
    assert board.faults[0].startswith("records/broken.json: ")
    assert board.failed == (f"sst2 N=4 seed 0 ia2 lr 0.001 (records/{failed.key}.json): RuntimeError: out of memory",)
    assert board.notes == ("tiny · SST2 N=4 (strict, lora_r8_a8_qko): IA2 1 of 2 cells not run yet",)
    assert board.missing_cells == 2
    assert board.rows
    page = (run / "leaderboard.md").read_text(encoding="utf-8")
    assert "missing" in page
    assert "RuntimeError: out of memory" in page
    assert "broken.json" in page


def test_every_page_has_the_remarks(tmp_path):
    failed = make_record("ia2", {"sst2": {}, "fins": {}}, error="RuntimeError: 100% <full>")
    build(write_run(tmp_path, [*small_run(), failed]))
    for suffix, text in (
        ("md", r"RuntimeError: 100% \<full>"),
        ("tex", r"RuntimeError: 100\% \textless{}full\textgreater{}"),
        ("html", "RuntimeError: 100% &lt;full&gt;"),
    ):
        page = (tmp_path / f"leaderboard.{suffix}").read_text(encoding="utf-8")
        assert text in page
        assert page.count("Failed cells") == 1
        assert page.count("missing") >= 2


def test_several_directories_need_a_place(tmp_path):
    directories = [write_run(tmp_path / name, small_run()) for name in ("a", "b")]
    with pytest.raises(UserError, match="needs a place of its own: give --out"):
        build(directories)


def test_failed_cells_and_other_settings_are_named_with_their_directory(tmp_path):
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25}}
    tried = make_record("icl", metrics, limit=8)
    failed = make_record("icl", metrics, seed=1, error="E: x")
    directories = [
        write_run(tmp_path / "a", [tried]),
        write_run(tmp_path / "b", [make_record("icl", metrics, created="2026-02-02"), failed]),
    ]
    board = build(directories, tmp_path / "out")
    assert board.failed == (f"sst2 N=4 seed 1 icl ({tmp_path}/b/records/{failed.key}.json): E: x",)
    (note,) = board.notes
    assert note == (
        "sst2 (strict): limit 8 instead of None: 1 records of that other setting are left out "
        f"(first: {tmp_path}/a/records/{tried.key}.json)"
    )


def test_the_published_numbers_stand_beside_ours(tmp_path):
    metrics = dict.fromkeys(("acc", "acc_full_vocab", "acc_published", "ece", "ece_mass", "ece_published"), 0.5)
    base = Base(model="Qwen/Qwen3-4B-Base")
    records = [make_record("icl", {"sst2": metrics}, base=base, protocol="paper", seed=seed) for seed in range(5)]
    run = write_run(tmp_path, records, [sample(0.9, True, ("0", [0.5, *[0.05] * 9]))] * 10)
    plain, beside = build(run), build(run, published=True)
    assert len(beside.tables) > len(plain.tables)
    path = tmp_path / "published.csv"
    assert path in beside.paths and path not in plain.paths
    assert len(pandas.read_csv(path)) == 2  # accuracy and ECE
    assert "published" in (tmp_path / "leaderboard.html").read_text()


def test_nothing_published_to_compare_with_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="--published"):
        build(write_run(tmp_path, small_run()), published=True)
    assert not (tmp_path / "published.csv").exists()


def test_only_failed_cells(tmp_path):
    board = build(write_run(tmp_path, [make_record("sft", {"sst2": {}}, error="E: x")]))
    assert board.rows == ()
    assert board.tables[0].rows == ((("4", "missing"), ("SST2", "SST2"), ("missing", "missing")),)


def test_a_faulty_sample_file_is_listed(tmp_path):
    records = small_run()
    run = write_run(tmp_path, records)
    (run / records[0].evaluations[0].samples).unlink()
    board = build(run)
    assert len(board.faults) == 1
    assert board.faults[0].startswith(records[0].evaluations[0].samples)


def test_torch_is_never_imported(tmp_path):
    run = write_run(tmp_path, small_run())
    code = (
        "import sys, pathlib, rich.console\n"
        "from ia2_eval.leaderboard.build import build\n"
        "from ia2_eval.leaderboard.tables.terminal import print_leaderboard\n"
        "assert 'matplotlib' not in sys.modules\n"
        "print_leaderboard(build(pathlib.Path(sys.argv[1])), rich.console.Console())\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'netcal', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True, capture_output=True, text=True)
