from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ia2_eval.leaderboard.tables.latex import HEAD, escaped, to_latex
from ia2_eval.leaderboard.tables.table import Mark, Table

NASTY = r"100% of a_b & c#d $x {y} ~z ^w \cmd <t> | [o] *s* `q` “é” → † – · ± −1 ≥ Δ"
TABLE = Table(
    title="org/model_x · protocol strict",
    columns=("no ICL", "IA2 → SFT"),
    values=("acc", "ECE"),
    rows=(
        (("4", "200"), ("SST2", "FinS*"), ("50.0", "0.20"), ("61.5 (2.0) 3/5", "0.10 (0.01) †")),
        (("8", "200"), ("SST2", "SST2"), ("50.0", "0.20"), ("missing", "missing")),
    ),
    caption=("In per cent: acc.", NASTY),
    best=frozenset({Mark(0, 1, 0)}),
)
ONE = Table("Scores", ("turn 1", "turn 2"), ("",), ((("[a]",), ("7.5",), ("6.5",)),), (), (("model",),))
REMARKS = [("Failed cells", ["a_b: 100% lost"]), ("Notes", ["x", "y"])]


def test_layout() -> None:
    lines = to_latex([TABLE]).removeprefix(HEAD).splitlines()
    assert r"\begin{tabular}{@{}rrllrrrr@{}}" in lines
    top = lines.index(r"\toprule")
    assert lines[top + 1 : top + 8] == [
        r" &  &  &  & \multicolumn{2}{c}{no ICL} & \multicolumn{2}{c}{IA2 \ensuremath{\rightarrow} SFT} \\",
        r"\cmidrule(lr){5-6}\cmidrule(lr){7-8}",
        r"N & n & source & eval & acc & ECE & acc & ECE \\",
        r"\midrule",
        r"4 & 200 & SST2 & FinS\textasteriskcentered{} & 50.0 & 0.20 & \textbf{61.5 (2.0) 3/5} "
        r"& 0.10 (0.01) \textdagger{} \\",
        r"8 & 200 & SST2 & SST2 & 50.0 & 0.20 & missing & missing \\",
        r"\bottomrule",
    ]
    (caption,) = (line for line in lines if line.startswith(r"\caption{"))
    assert caption.startswith(
        r"\caption{org/model\_x \textperiodcentered{} protocol strict. In per cent: acc. 100\% of"
    )


def test_columns_of_one_value_have_one_line_of_names() -> None:
    lines = to_latex([ONE]).splitlines()
    assert lines[lines.index(r"\toprule") + 1] == r"model & turn 1 & turn 2 \\"
    assert r"{[}a{]} & 7.5 & 6.5 \\" in lines


def test_everything_is_balanced_and_nothing_special_is_left() -> None:
    text = to_latex([TABLE, ONE], REMARKS).removeprefix(HEAD)
    begun, ended = (re.findall(rf"\\{what}{{(\w+)}}", text) for what in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert begun.count("table") == begun.count("tabular") == 2 and begun.count("itemize") == 2
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    said = escaped(NASTY)
    assert not re.search(r"(?<!\\)[%&#$_~^<>|*`]", said.replace("^2", ""))


def test_options_keep_their_hyphens() -> None:
    assert escaped("give --out a-b – now") == "give -{}-out a-b -- now"
    assert escaped("---") == "-{}-{}-"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_it_compiles(tmp_path: Path) -> None:
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx,textcomp}"
    (tmp_path / "board.tex").write_text(to_latex([TABLE, ONE], REMARKS), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass{{article}}{packages}\begin{{document}}\input{{board}}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
