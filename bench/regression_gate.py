"""The proof of the regression gate: planted regressions are caught, honest reruns raise no alarm.

    python bench/regression_gate.py [--reruns 20]

Each run is `ia2-eval regress` as a user starts it. Honest reruns elsewhere are simulated by restricting the vector
instructions that torch, oneDNN and MKL may use, which changes how sums are rounded. A planted regression is one line of
a copy of the code, run as it is and with such a restriction, so that it is looked for bit by bit and by intervals.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("ia2_eval", "training", "tasks", "leaderboards", "pyproject.toml")


class Regression(NamedTuple):
    """One line that is changed."""

    what: str
    file: str
    line: str
    wrong: str


PLANTED = (
    Regression(
        "a wrong label map: the right answer is counted from the end",
        "ia2_eval/benchmarks/lm_eval_dataset.py",
        "labels.index(example.answer) if labels",
        "len(labels) - 1 - labels.index(example.answer) if labels",
    ),
    Regression(
        "a broken loss factor: the alignment loss is not summed over layers",
        "training/ia2_training/alignment.py",
        "return mean.to(dtype) * layers",
        "return mean.to(dtype)",
    ),
    Regression(
        "a broken loss factor: cross-entropy is summed over tokens",
        "training/ia2_training/losses.py",
        "return (per_token * response_mask).sum(1) / response_mask.sum(1)",
        "return (per_token * response_mask).sum(1)",
    ),
    Regression(
        "a shifted position: activations of the position before are aligned",
        "training/ia2_training/activations.py",
        "kept = hidden[:, -last:]",
        "kept = hidden[:, -last - 1 : -1]",
    ),
    Regression(
        "a shifted position: every generated token stands one place too far",
        "ia2_eval/lm/reading.py",
        "self._mask.sum(1, keepdim=True) - 1",
        "self._mask.sum(1, keepdim=True)",
    ),
    Regression(
        "a shifted position: the teacher's tokens stand one place too far",
        "training/ia2_training/decoding.py",
        "position_ids=lengths[:, None]",
        "position_ids=lengths[:, None] + 1",
    ),
    Regression(
        "demonstrations of another seed",
        "ia2_eval/benchmarks/lm_eval_dataset.py",
        "return draw_order(source, seed) if n is None",
        "return draw_order(source, seed + 1) if n is None",
    ),
    Regression(
        "the scale of the adapters is lost in training",
        "training/ia2_training/together.py",
        "scaling=adapter.alpha / adapter.r",
        "scaling=1.0",
    ),
    Regression(
        "the calibration error is taken over 10 bins instead of 15",
        "ia2_eval/scoring/calibration.py",
        "BINS = 15",
        "BINS = 10",
    ),
    Regression(
        "a temperature that scales numerators only",
        "ia2_eval/scoring/predictions.py",
        "np.exp(shifted / temperature).sum()",
        "np.exp(shifted).sum()",
    ),
    Regression(
        "a parser that reads the line after the mark",
        "ia2_eval/scoring/strict_parsers.py",
        r'r"####[^\S\n]*([^\s#][^\n]*)"',
        r'r"####[^\S\n]*[^\n]*\n([^\s#][^\n]*)"',
    ),
)

ELSEWHERE = tuple(
    {"ATEN_CPU_CAPABILITY": torch, "DNNL_MAX_CPU_ISA": onednn, "MKL_CBWR": mkl}
    for torch, onednn, mkl in itertools.product(
        ("default", "avx2"), ("SSE41", "AVX2", "AVX512_CORE"), ("COMPATIBLE", "AVX2")
    )
)


class Outcome(NamedTuple):
    status: int
    lines: tuple[str, ...]  # of checks that did not pass
    how: str
    seconds: float


def regress(code: Path, environment: dict[str, str]) -> Outcome:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ia2_eval.cli", "regress"],
        cwd=code,
        env={
            **os.environ,
            "PYTHONPATH": f"{code}{os.pathsep}{code / 'training'}",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "200",
            **environment,
        },
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1, 2) or "compared" not in done.stdout:
        raise SystemExit(f"ia2-eval regress ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    bad = tuple(line for line in done.stdout.splitlines() if line.startswith(("REGRESSION", "CANNOT TELL")))
    how = "bit by bit" if "compared bit by bit" in done.stdout else "by intervals"
    return Outcome(done.returncode, bad, how, time.monotonic() - started)


def planted(regression: Regression, directory: Path) -> Path:
    """A copy of the code with the line changed."""
    code = directory / re.sub(r"\W+", "_", regression.what)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, code / name)
    path = code / regression.file
    text = path.read_text(encoding="utf-8")
    if regression.line not in text:
        raise SystemExit(f"{regression.file} has no line {regression.line!r} any more: mend this script")
    path.write_text(text.replace(regression.line, regression.wrong), encoding="utf-8")
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reruns", type=int, default=20, help="honest ones, half of them elsewhere at least")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(arguments.at_once) as pool:
        here = arguments.reruns // 4
        environments = [{}] * here + [ELSEWHERE[i % len(ELSEWHERE)] for i in range(arguments.reruns - here)]
        honest = list(pool.map(lambda environment: regress(ROOT, environment), environments))
        print("| honest reruns | compared | alarms | cannot tell | seconds, median |\n|---|---|---|---|---|")
        for how in ("bit by bit", "by intervals"):
            of_kind = [outcome for outcome in honest if outcome.how == how]
            if of_kind:
                alarms, unsure = (sum(outcome.status == status for outcome in of_kind) for status in (1, 2))
                failed |= bool(alarms or unsure)
                middle = sorted(outcome.seconds for outcome in of_kind)[len(of_kind) // 2]
                print(f"| {len(of_kind)} | {how} | {alarms} | {unsure} | {middle:.0f} |")
        for outcome in honest:
            for line in outcome.lines:
                print("  ", line)
        print(
            "\n| planted regression | compared | exit status | regressions | the first |\n|---|---|---|---|---|",
            flush=True,
        )
        codes = {regression.what: planted(regression, Path(scratch)) for regression in PLANTED}
        runs = [(regression, environment) for regression in PLANTED for environment in ({}, ELSEWHERE[0])]
        for (regression, _), outcome in zip(
            runs, pool.map(lambda run: regress(codes[run[0].what], run[1]), runs), strict=True
        ):
            failed |= outcome.status != 1
            caught = [line for line in outcome.lines if line.startswith("REGRESSION")]
            first = " ".join(caught[0].split()[1:]) if caught else "none"
            print(f"| {regression.what} | {outcome.how} | {outcome.status} | {len(caught)} | {first} |", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
