from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from ia2_eval.analyses.commands import analyze_overlap
from ia2_eval.analyses.overlap import measure_overlaps
from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import Ia3
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.results.groups import group_records
from tests.leaderboard.synthetic_run import make_record, write_run

E8 = np.eye(8, dtype=np.float32)
PREFIX = "base_model.model.model.layers"


def write_adapter(directory: Path, record: Record, directions: Mapping[str, Any]) -> None:
    """An adapter of rank 2 whose B writes to the given directions, by `layer.module`."""
    tensors = {}
    for module, (first, second) in directions.items():
        layer, matrix = module.split(".")
        name = f"{PREFIX}.{layer}.self_attn.{matrix}"
        tensors[f"{name}.lora_B.weight"] = np.ascontiguousarray(np.stack([E8[first], E8[second]], axis=1))
        tensors[f"{name}.lora_A.weight"] = np.ascontiguousarray(E8[:2, :5])
    path = directory / "adapters" / record.key
    path.mkdir(parents=True)
    save_file(tensors, path / "adapter_model.safetensors")


def trained(method: str, accuracies: Mapping[str, float], **changes: Any) -> Record:
    return make_record(method, {name: {"acc": a, "acc_full_vocab": a} for name, a in accuracies.items()}, **changes)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """SFT, and IA2 with two learning rates of which dev chooses the second, on three evaluation sets."""
    evals = {"sst2": 0.5, "fins": 0.5, "poems": 0.5}
    adapters = [
        (trained("sft", evals), {"0.q_proj": (0, 1), "1.q_proj": (0, 1)}),
        (trained("ia2", evals, dev_loss=2.0, learning_rate=1e-4), {"0.q_proj": (6, 7), "1.q_proj": (6, 7)}),
        (trained("ia2", evals, dev_loss=1.0), {"0.q_proj": (0, 2), "1.q_proj": (0, 1)}),
    ]
    write_run(tmp_path, [record for record, _ in adapters])
    for adapter in adapters:
        write_adapter(tmp_path, *adapter)
    return tmp_path


def analyze(directory: Path, console: Console | None = None) -> int:
    return analyze_overlap(directory, None, console or Console(quiet=True))


def lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_pair_counts_once_whatever_the_number_of_evaluation_sets(run: Path) -> None:
    assert analyze(run) == 0
    found = lines(run / "analysis" / "overlap.csv")
    assert [line["definition"] for line in found] == ["product", "lora_B"]
    for line in found:
        assert (line["method_a"], line["method_b"], line["evals"]) == ("sft", "ia2", "sst2 fins poems")
        assert (line["learning_rate_a"], line["learning_rate_b"]) == ("0.001", "0.001")
        assert float(line["overlap"]) == pytest.approx((0.5 + 1) / 2)  # one direction of two; both
        assert float(line["chance"]) == 2 / 8
        assert line["matrices"] == "2"


def test_every_matrix_is_written_with_its_layer(run: Path) -> None:
    analyze(run)
    found = [line for line in lines(run / "analysis" / "overlap_by_matrix.csv") if line["definition"] == "product"]
    assert [(line["layer"], line["matrix"], float(line["overlap"])) for line in found] == [
        ("0", "q_proj", pytest.approx(0.5)),
        ("1", "q_proj", pytest.approx(1)),
    ]


def test_figure_and_table_come_with_it(run: Path) -> None:
    console = Console(file=io.StringIO(), record=True, width=120)
    analyze(run, console)
    text = console.export_text()
    assert "SFT and IA2" in text and "0.750" in text and "0.250" in text
    (figures,) = (path for path in (run / "analysis").iterdir() if path.is_dir())
    assert sorted(path.name for path in figures.iterdir()) == ["subspace_overlap.png", "subspace_overlap.svg"]


def test_under_paper_each_evaluation_set_has_the_pair_of_its_own_oracles(tmp_path: Path) -> None:
    """Both methods are best at one learning rate on SST2 and at another on FinS."""
    for_sst2, for_fins = {"sst2": 0.9, "fins": 0.1}, {"sst2": 0.1, "fins": 0.9}
    adapters = [
        (trained("sft", for_sst2, protocol="paper", learning_rate=1e-4), (0, 1)),
        (trained("ia2", for_sst2, protocol="paper", learning_rate=1e-4), (0, 1)),
        (trained("sft", for_fins, protocol="paper"), (0, 1)),
        (trained("ia2", for_fins, protocol="paper"), (2, 3)),
    ]
    for record, directions in adapters:
        write_adapter(tmp_path, record, {"0.q_proj": directions})
    groups, _ = group_records([record for record, _ in adapters])
    found = measure_overlaps(tmp_path, groups)
    by_eval = {pair.evals: pair.overlap for pair in found.pairs if pair.definition == "lora_B"}
    assert by_eval == {"sst2": pytest.approx(1), "fins": pytest.approx(0)}


def test_an_untrained_adapter_is_named_and_not_compared(run: Path) -> None:
    sft = next(r for r in (run / "records").iterdir() if json.loads(r.read_text())["cell"]["method"] == "sft")
    path = run / "adapters" / sft.stem / "adapter_model.safetensors"
    names = [f"{PREFIX}.{layer}.self_attn.q_proj" for layer in (0, 1)]
    zero = {f"{name}.lora_B.weight": np.zeros((8, 2), np.float32) for name in names}
    save_file(zero | {f"{name}.lora_A.weight": np.ascontiguousarray(E8[:2, :5]) for name in names}, path)
    with pytest.raises(UserError, match="SFT and IA2 have no overlap: one of them changes nothing"):
        analyze(run)


def test_adapters_without_a_low_rank_subspace_are_named(run: Path) -> None:
    evals = {"sst2": 0.5, "fins": 0.5, "poems": 0.5}
    write_run(run, [trained("sft", evals, adapter=Ia3()), trained("ia2", evals, adapter=Ia3())])
    console = Console(file=io.StringIO(), record=True, width=200)
    assert analyze(run, console) == 0
    assert "ia3_qko: left out, these adapters have no low-rank subspace" in console.export_text()


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_an_adapter_that_cannot_be_read_is_listed_and_the_exit_status_tells(run: Path, damage: str) -> None:
    other = trained("ia2_sft", {"sst2": 0.5, "fins": 0.5, "poems": 0.5})
    write_run(run, [other])
    if damage == "garbage":
        path = run / "adapters" / other.key / "adapter_model.safetensors"
        path.parent.mkdir()
        path.write_bytes(b"no tensors")
    console = Console(file=io.StringIO(), record=True, width=300)
    assert analyze(run, console) == 1
    text = console.export_text()
    found = {
        "missing": "there is no adapter_model.safetensors. ",
        "garbage": "adapter_model.safetensors cannot be read: SafetensorError",
    }
    assert f"{other.cell.label}: adapters/{other.key}: {found[damage]}" in text
    assert f"Delete it and records/{other.key}.json" in text and f"`ia2-eval run RECIPE.yaml --out {run}`" in text
    assert text.count("Delete it") == 1  # though two pairs lack it
    assert len(lines(run / "analysis" / "overlap.csv")) == 2  # the other pair is there


def test_a_run_without_adapters_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_run(tmp_path, [make_record("icl", {"sst2": {"acc": 0.5}})])
    with pytest.raises(UserError, match=r"no trained model.*ia2-eval run"):
        analyze(tmp_path)
    with pytest.raises(UserError, match="holds no records"):
        analyze(tmp_path / "elsewhere")


def test_overlap_imports_no_torch(run: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from rich.console import Console\n"
        "from ia2_eval.analyses.commands import analyze_overlap\n"
        f"analyze_overlap(Path({str(run)!r}), None, Console(quiet=True))\n"
        "assert not {'torch', 'transformers', 'peft'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_table_has_one_row_for_each_pair_and_breaks_no_figure(tmp_path: Path) -> None:
    """Two sets, in a narrow window."""
    for source, directions in (("sst2", (0, 1)), ("agn", (0, 2))):
        evals = {source: 0.5}
        records = [trained(method, evals, source=source) for method in ("sft", "ia2")]
        write_run(tmp_path, records)
        write_adapter(tmp_path, records[0], {"0.q_proj": (0, 1)})
        write_adapter(tmp_path, records[1], {"0.q_proj": directions})
    console = Console(file=io.StringIO(), record=True, width=50)
    analyze(tmp_path, console)
    (row,) = (line for line in console.export_text().splitlines() if "SFT and IA2" in line)
    assert sorted(row.split()[3:6]) == ["0.500", "0.750", "1.000"] and row.split()[6] == "0.250"
