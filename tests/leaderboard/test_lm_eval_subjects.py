"""Bases and adapters as lm-eval's results name them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval_results import task, write_results
from synthetic_run import make_record, write_run

from ia2_eval.leaderboard.build import build
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.lm_eval_files import is_lm_eval_directory, read_lm_eval
from ia2_eval.lm.base_model import Base

ACC = {"acc,none": 0.5, "acc_stderr,none": 0.1, "ece,none": 0.2, "ece_stderr,none": "N/A", "auroc,none": float("nan")}
SST2 = {"ia2_sst2": (task("sst2"), ACC)}
LATER = {"time": "2026-02-02T00-00-00.000000", "date": 1770000000.0}


def test_no_icl_stands_beside_adapters_on_benchmarks_that_are_no_partners_of_their_source(tmp_path: Path) -> None:
    base = Base(model="tiny", fingerprint="f" * 40)
    trained = make_record("sft", {"sst2": {"acc": 0.5}}, n=8, base=base)
    write_run(tmp_path / "run", [trained])
    agn = {"ia2_agn": (task("agn"), ACC)}
    same = {"model_sha": "f" * 40, "ia2_eval": {}}
    arguments = {"pretrained": "tiny", "peft": str(tmp_path / "run" / "adapters" / trained.key)}
    write_results(tmp_path / "lm" / "x", agn, model_args=arguments, **same)
    write_results(tmp_path / "lm" / "base", agn, model_args={"pretrained": "tiny"}, **same)
    (table, _) = build(tmp_path / "lm", tmp_path / "out").tables
    assert [row[1] for row in table.rows] == [("SST2", "AGN*")]
    assert [stack[0] for stack in table.rows[0][2:]] == ["50.0", "50.0 (–)"]


def test_adapters_are_columns_of_their_own(tmp_path: Path) -> None:
    for number, (adapter, shots) in enumerate((("here/mine", 0), ("here/sft", 0), ("here/mine", 4))):
        arguments = {"pretrained": "org/model", "dtype": "float32", "peft": adapter}
        write_results(tmp_path / str(number), SST2, shots=shots, model_args=arguments)
    write_results(tmp_path / "base", SST2)
    run = read_lm_eval(tmp_path)
    assert "not known, each is a column without N: mine, adapter sft" in run.notes[0]
    groups = group_records(run.records).groups
    assert [(group.method, group.n) for group in groups] == [
        ("no_icl", None),
        ("adapter sft", None),
        ("mine", None),
        ("mine + ICL", 4),
    ]
    rows = [row for row in aggregate(groups) if row.metric == "acc"]
    assert {(row.N, row.seeds, row.label_type) for row in rows if row.method != "mine + ICL"} == {(4, None, "")}
    (table,) = build(tmp_path, tmp_path / "out").tables
    assert table.columns == ("no ICL", "adapter sft", "mine", "mine + ICL")
    assert "no ICL, adapter sft, mine: one evaluation" in table.caption[0]


def test_two_adapters_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for where in ("a", "b"):
        write_results(tmp_path / where, SST2, model_args={"pretrained": "org/model", "peft": f"{where}/mine"})
    assert sorted(record.cell.method for record in read_lm_eval(tmp_path).records) == ["a/mine", "b/mine"]


def test_an_adapter_whose_run_is_at_hand_is_its_cell(tmp_path: Path) -> None:
    metrics = {"sst2": {"acc": 0.5, "ece": 0.2}}
    trained = make_record("ia2_sft", metrics, n=8, seed=3, options={"labels": "icl_outputs"})
    write_run(tmp_path / "run", [trained])
    arguments = {"pretrained": "tiny", "peft": str(tmp_path / "run" / "adapters" / trained.key)}
    fins = {"ia2_fins": (task("fins"), {"acc,none": 0.7})}
    write_results(tmp_path / "lm" / "x", fins, model_args=arguments, model_dtype="torch.float32", ia2_eval={})
    (record,) = read_lm_eval(tmp_path / "lm").records
    assert (record.cell.method, record.cell.n, record.cell.seed, record.training) == ("ia2_sft", 8, 3, trained.training)
    (row,) = aggregate(group_records([record]).groups)[:1]
    assert (row.source, row.eval, row.ood, row.variant, row.mean) == ("sst2", "fins", True, "icl_outputs", 0.7)
    assert row.adapter == "lora_r8_a8_qko"
    # The same of another protocol was not trained for it.
    paper = {"ia2_sst2": (task("sst2", ia2_protocol="paper"), ACC)}
    write_results(tmp_path / "other" / "x", paper, model_args=arguments, ia2_eval={})
    assert [record.cell.method for record in read_lm_eval(tmp_path / "other").records] == ["x"]


def test_bases_are_what_was_asked(tmp_path: Path) -> None:
    """Another precision, revision or chat template is another base."""
    arguments = "pretrained=org/model,dtype={},revision={}"
    write_results(tmp_path / "1", SST2, model_args=arguments.format("float32", "a"))
    write_results(tmp_path / "2", SST2, model_args=arguments.format("auto", "a"), model_dtype="torch.bfloat16")
    write_results(tmp_path / "3", SST2, model_args=arguments.format("float32", "b"), model_sha="c" * 40)
    write_results(tmp_path / "4", SST2, model_args="pretrained=org/model,dtype=float32", chat_template_sha="f" * 64)
    write_results(tmp_path / "5", SST2, model_args="pretrained=/m/model,delta=d", system_instruction_sha="f" * 64)
    write_results(tmp_path / "6", SST2, model_args="pretrained=org/model", gen_kwargs={"top_p": 1})
    bases = [record.cell.base for record in read_lm_eval(tmp_path).records]
    assert [(base.model, base.dtype, base.revision, base.fingerprint) for base in bases] == [
        ("org/model", "float32", "a", ""),
        ("org/model", "bfloat16", "a", ""),
        ("org/model", "float32", "b", "c" * 40),
        ("org/model (chat template)", "float32", None, ""),
        ("model (system instruction, delta d)", "float32", None, ""),
        ("org/model (gen_kwargs {'top_p': 1})", "float32", None, ""),
    ]


@pytest.mark.parametrize(("folder", "found"), [("..__Model", 1), (".__Model", 1), (".partial-1", 0), (".git", 0)])
def test_a_relative_path_of_a_model_makes_no_hidden_folder(tmp_path: Path, folder: str, found: int) -> None:
    """lm-eval names the folder after the model: `../Model`."""
    write_results(tmp_path / folder, SST2, model_args="pretrained=../Model,dtype=float32")
    assert is_lm_eval_directory(tmp_path) == bool(found)
    run = read_lm_eval(tmp_path)
    assert len(run.records) == found
    if found:
        assert run.notes[0].startswith("which files ../Model had is not in lm-eval's files")
        board = build(tmp_path, tmp_path / "out")
        assert [table.title for table in board.tables] == ["Model · protocol strict"]
        plots = {path.parent.name for path in board.paths if path.suffix == ".png"}
        assert plots == {"Model_strict"}
