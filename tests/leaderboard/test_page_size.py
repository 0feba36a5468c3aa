"""How the page keeps small."""

from __future__ import annotations

import random
from pathlib import Path

from synthetic_run import make_record, sample
from test_page import data_of

from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.leaderboard.page.document import to_page
from ia2_eval.leaderboard.page.shared import Shared, rounded, scaled
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.lm.base_model import Base
from ia2_eval.scoring.samples import LabelSample


class InMemory:
    """A thousand records with three benchmarks each, in the size of real ones."""

    directory = Path("run")
    plan = None
    faults = ()
    notes = ()

    def __init__(self):
        draw = random.Random(0)
        names = "acc acc_full_vocab ece ece_mass ece_noise_floor mce ece_classwise brier nll auroc acc_at_coverage_50 "
        names += "acc_at_coverage_80 entropy temperature ece_scaled"
        records = []
        for i in range(1000):
            metrics = {name: {metric: draw.random() for metric in names.split()} for name in ("sst2", "fins", "poems")}
            record = make_record(
                "sft",
                metrics,
                protocol="paper",
                seed=i % 5,
                n=2 ** (1 + i // 5 % 4),
                learning_rate=(1e-3, 3e-3)[i // 20 % 2],
                adapter=Lora(r=1 + i // 40),
                base=Base(model="some/model-of-usual-length", fingerprint="f" * 64),
                dev_loss=draw.random(),
                examples=200,
                intervals={metric: (draw.random(), draw.random()) for metric in names.split()[:12]},
                created=f"2026-01-01T{i // 60 % 24:02}:{i % 60:02}:00.123456+00:00",
            )
            versions = dict.fromkeys(("torch", "transformers", "peft", "lm_eval", "numpy", "ia2-eval"), "1.23.4")
            changes = {"versions": versions, "git_commit": "c" * 40, "wall_seconds": draw.random() * 100}
            records.append(record.model_copy(update={"provenance": record.provenance.model_copy(update=changes)}))
        self.records = tuple(records)
        self._draw = draw
        self._rows = tuple(LabelSample.model_validate(sample(draw.random(), draw.random() < 0.5)) for _ in range(5000))

    def record_path(self, record):
        return self.directory / "records" / f"{record.key}.json"

    def samples(self, evaluation):
        start = self._draw.randrange(len(self._rows) - evaluation.n)
        return self._rows[start : start + evaluation.n]


def test_a_thousand_records_stay_under_two_megabytes():
    page = to_page(Results((InMemory(),)), Path())
    data = data_of(page.html)
    assert (len(data["records"]), len(data["evaluations"])) == (1000, 3000)
    bars = [len(drawn[3]) for drawn in data["diagrams"]]
    assert set(bars) == {15 * 5}  # none is empty, and a bar of equal mass has the most numbers
    assert page.faults == ()
    assert len(page.html.encode()) < 2_000_000


def test_what_is_equal_is_written_once():
    shared = Shared()
    places = [shared.place(value) for value in ([1, "a"], None, [1, "a"], 1, True, {"b": 1, "a": 2}, {"a": 2, "b": 1})]
    assert places == [0, 1, 0, 2, 3, 4, 4]
    assert shared.values == [[1, "a"], None, 1, True, {"b": 1, "a": 2}]


def test_numbers_are_whole_or_short():
    assert [scaled(value) for value in (0.12345, 1.0, 0.0, None, float("nan"), float("inf"))] == [
        1234,
        10000,
        0,
        None,
        None,
        None,
    ]
    assert [rounded(value, 3) for value in (1234.5, 0.00012345, float("nan"), None)] == [1230.0, 0.000123, None, None]
