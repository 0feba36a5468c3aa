"""What must be said beneath a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.results.headline import PUBLISHED, Confidence, Headline
from ia2_eval.leaderboard.results.summary import describe_intervals
from ia2_eval.leaderboard.style import column_title
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.calibration import BINS

ACCURACIES = {
    "acc": "best label is the right one",
    "acc_full_vocab": "most likely token of the vocabulary is the label (acc_full_vocab)",
    "acc_published": "most likely token of the vocabulary, decoded and stripped, is the label (acc_published)",
}
"""Those of single-token answers, for readers."""

CONFIDENCES: dict[Confidence, str] = {
    "label": "label-normalised confidence",
    "published": "its probability / sum of the ten greatest",
    "answer": "the probability of the written answer",
}
"""What calibration errors are of, for readers."""

FURTHER = {
    "after temperature scaling": ("ece_scaled", "nll_scaled", "brier_scaled", "temperature", "temperature_dev_n"),
    "agreement of sampled answers": ("ece_agreement", "auroc_agreement", "ece_agreement_n"),
}
"""What recipes ask for and no table shows."""


def caption(
    protocol: Protocol,
    reported: Headline,
    metrics: Collection[str],
    rows: Sequence[Row],
    *,
    recorded: Collection[str],
    shares: Collection[float],
    oracle: bool,
    mixed: bool,
    absent: bool,
) -> Iterator[str]:
    """One remark each.

    Args:
        protocol: of the table.
        reported: what it shows of every result.
        metrics: names of the metrics in the table.
        rows: that the table shows.
        recorded: names of all metrics that its results have.
        shares: of the examples that each calibration error of generated answers is of.
        oracle: whether learning rates were chosen on the reported sets.
        mixed: whether some results have the published metrics and others do not.
        absent: whether a cell that has finished lacks one of the metrics, or there is none to be expected.
    """
    if not rows:
        yield "No cell has finished yet."
        return
    seeds = sorted({row.seeds_expected for row in rows if row.seeds_expected is not None})
    spread = "sample" if protocol == "strict" else "population"
    over = []
    if seeds:
        count = "–".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        over.append("One seed" if count == "1" else f"Mean over {count} seeds ({spread} std)")
    if single := dict.fromkeys(column_title(row.column) for row in rows if row.seeds_expected is None):
        over.append(f"{', '.join(single)}: one evaluation")
    per_cent = " and ".join(name for name in metrics if name != "ECE")
    yield f"{'; '.join(over)}; n: evaluated examples. In per cent: {per_cent}."
    yield from _generations(protocol, reported, metrics, shares) if "unparsed" in metrics else _labels(reported)
    if mixed:
        published = f"{PUBLISHED.accuracy} and {PUBLISHED.calibration}"
        yield f"Some results lack {published}, so every one is shown by metrics that all have."
    if any(row.learning_rate is not None for row in rows):
        weights = " and weight of IA2 + SFT" if protocol == "paper" and any(row.sft_weight for row in rows) else ""
        yield (
            f"Learning rate{weights}: highest accuracy on the very set that is reported (an oracle, so optimistic)."
            if oracle
            else "Learning rate: lowest dev loss, once per source, also for other evaluation sets."
        )
    if intervals := describe_intervals(row.interval for row in rows):
        yield f"95 % intervals (in leaderboard.csv and the plots): {'; '.join(intervals)}."
    if any(row.ood for row in rows):
        yield "*: out of distribution; demonstrations and training examples come from the source."
    if lacking := [row for row in rows if row.seeds != row.seeds_expected]:
        example = f"{lacking[0].seeds}/{lacking[0].seeds_expected}"
        yield f"{example}: seeds with this metric (beside acc: with any) / seeds expected."
    if any(row.seeds == row.seeds_expected and not row.complete for row in rows):
        yield "†: another learning rate lacks seeds and was not a candidate."
    if any(row.std is None for row in rows):
        yield "(–): one seed has no std."
    if absent:
        yield "–: not in the records: not asked for, or not defined, as the ECE where no text has an answer."
    for what, names in FURTHER.items():
        if found := [name for name in names if name in recorded]:
            yield f"Only in leaderboard.csv, {what}: {', '.join(found)}."


def _labels(reported: Headline) -> Iterator[str]:
    accuracy = f"acc: {ACCURACIES[reported.accuracy]}."
    named = "" if reported.calibration == "ece" else f" ({reported.calibration})"
    calibration = f"ECE: {_bins(reported)} of {CONFIDENCES[reported.confidence]}{named}."
    yield from (accuracy, calibration) if named else (f"{accuracy} {calibration}",)


def _generations(
    protocol: Protocol, reported: Headline, metrics: Collection[str], shares: Collection[float]
) -> Iterator[str]:
    yield "unparsed: share of answers without a readable result."
    if "ECE" in metrics:
        ours = "ours, the paper has none; " if protocol == "paper" else ""
        ends = dict.fromkeys(f"{100 * share:.0f}" for share in (min(shares), max(shares))) if shares else ()
        of = f", {' to '.join(ends)} per cent of them (ece_n)" if ends else ""
        what = f"{_bins(reported)} of {CONFIDENCES[reported.confidence]}"
        yield f"ECE: {ours}{what}, over the examples that mark one{of}."


def _bins(reported: Headline) -> str:
    return f"{BINS} {reported.bins} bins"
