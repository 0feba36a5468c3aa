from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from ia2_eval.experiments.adapter_specs import AdapterSpec, Ia3, Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.ownership.processes import Process
from ia2_eval.experiments.watch import WORKERS_SHOWN, PlanLine, plan_lines, print_plan, watch
from ia2_eval.lm.base_model import Base

EVALS = ("sst2", "fins")
OPTIONS = (("sft", {}), ("sft", {"labels": "icl_outputs"}), ("ia2_sft", {"labels": "icl_outputs"}))


def cell(method: str, n: int | None, seed: int | None, adapter: AdapterSpec | None = None, **fields: object) -> Cell:
    fixed = {"base": Base(model="tiny"), "source": "sst2", "evals": EVALS, "data": "d"}
    return Cell(**{**fixed, **fields}, method=method, n=n, seed=seed, adapter=adapter)


def planned() -> list[Cell]:
    cells = [cell("no_icl", None, None)]
    for n, seeds in ((4, (0, 1)), (8, (0, 1)), (16, (0,))):
        cells += [cell("icl", n, seed) for seed in seeds]
        for adapter, rates in ((Lora(), (3e-4, 1e-3)), (Ia3(), (0.1,))):
            cells += [
                cell(method, n, seed, adapter, learning_rate=rate, **options)
                for method, options in OPTIONS
                for seed in seeds
                for rate in rates
            ]
    return [*cells, cell("no_icl", None, None, source="agn", evals=("agn",))]


def test_cells_that_are_alike_are_one_line() -> None:
    methods = ("sft", "sft (icl_outputs)", "ia2_sft (icl_outputs)")
    lora, ia3 = Lora().label, Ia3().label
    assert plan_lines(planned()) == [
        PlanLine("sst2", EVALS, "", methods=("no_icl",), cells=1),
        PlanLine("sst2", EVALS, "", (4, 8), (), 2, ("icl",), 4),
        PlanLine("sst2", EVALS, lora, (4, 8), (3e-4, 1e-3), 2, methods, 24),
        PlanLine("sst2", EVALS, ia3, (4, 8), (0.1,), 2, methods, 12),
        PlanLine("sst2", EVALS, "", (16,), (), 1, ("icl",), 1),
        PlanLine("sst2", EVALS, lora, (16,), (3e-4, 1e-3), 1, methods, 6),
        PlanLine("sst2", EVALS, ia3, (16,), (0.1,), 1, methods, 3),
        PlanLine("agn", ("agn",), "", methods=("no_icl",), cells=1),
    ]


@pytest.mark.parametrize("width", [200, 80, 30])
def test_a_plan_is_wrapped_and_nothing_is_cut(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    print_plan(planned(), 7, console)
    text = console.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert " ".join(text.split()) == (
        "sst2, evaluated on sst2, fins no_icl: 1 cell icl: N 4, 8; 2 seeds; 4 cells "
        "lora_r8_a8_qko: N 4, 8; learning rates 0.0003, 0.001; 2 seeds; 24 cells "
        "sft, sft (icl_outputs), ia2_sft (icl_outputs) "
        "ia3_qko: N 4, 8; learning rates 0.1; 2 seeds; 12 cells sft, sft (icl_outputs), ia2_sft (icl_outputs) "
        "icl: N 16; 1 seed; 1 cell lora_r8_a8_qko: N 16; learning rates 0.0003, 0.001; 1 seed; 6 cells "
        "sft, sft (icl_outputs), ia2_sft (icl_outputs) "
        "ia3_qko: N 16; learning rates 0.1; 1 seed; 3 cells sft, sft (icl_outputs), ia2_sft (icl_outputs) "
        "agn no_icl: 1 cell 52 cells (45 adapters), 7 of them done"
    )


def worker(number: int, doing: str) -> Process:
    return Process(id=f"p{number}", role="worker", host="vm", machine="vm", pid=number, doing=doing)


def frame_of(workers: int) -> list[str]:
    """Lines of the last picture of a run's progress on a terminal of 80 columns."""
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    doing = "training embedded_mood N=4 ia2_sft (12 of 12 adapters)  step 59/60  loss 211.7  dev loss"
    with watch(86, 9, console) as progress:
        progress.working([worker(i, f"{i} {doing}") for i in range(workers)])
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue()).replace("\r", "\n").splitlines()
    return lines[max(number for number, line in enumerate(lines) if "86" in line) :]


def test_what_workers_do_leaves_the_bar_its_room() -> None:
    bar, *doing = filter(None, frame_of(2))
    assert re.match(r"━+╸?━* +9/86 \d:\d\d:\d\d \S+ 2 workers", bar), bar
    assert [line[:20] for line in doing] == ["0 training embedded_", "1 training embedded_"]
    assert all(len(line) <= 80 for line in doing)


def test_many_workers_are_counted() -> None:
    _, *doing = filter(None, frame_of(WORKERS_SHOWN + 56))
    assert len(doing) == WORKERS_SHOWN + 1
    assert doing[-1].strip() == "and 56 more"
