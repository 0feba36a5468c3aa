"""The benchmarks: the twelve of arXiv 2509.22621, then the embedded ones."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.benchmarks.benchmark import Benchmark, EmbeddedSource, Example, HubSource
from ia2_eval.benchmarks.columns import LETTERED_CHOICES, TEXT, Row, one_of
from ia2_eval.benchmarks.prompts import (
    Examples,
    news_opening,
    qasc_choices,
    question_answering,
    sciq_choices,
    sciq_with_support,
    text_classification,
)
from ia2_eval.benchmarks.selection import EvaluationOnly, LabelFilter, OneSplit, TwoSplits
from ia2_eval.embedded.datasets import DATASETS, EmbeddedDataset
from ia2_eval.errors import UserError, did_you_mean

# The hub's own parquet conversion, for data sets that are loading scripts, which `datasets` 4 no longer runs.
PARQUET = "refs/convert/parquet"

SCIQ = HubSource("sciq", "allenai/sciq", revision="2c94ad3e1aafab77146f384e23536f97a4849815")
SCIQ_COLUMNS = dict.fromkeys(
    ("question", "distractor1", "distractor2", "distractor3", "correct_answer", "support"), TEXT
)
GSM_COLUMNS = {"question": TEXT, "answer": TEXT}
DIGITS = ("0", "1", "2", "3")

_SST2 = Benchmark(
    name="sst2",
    title="SST2",
    source=HubSource("sst2", "stanfordnlp/sst2", revision="8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb"),
    columns={"sentence": TEXT, "label": one_of(0, 1)},
    selection=TwoSplits("train", "validation"),
    examples=text_classification("sentence", {0: "0", 1: "1"}),
    labels=DIGITS[:2],
    out_of_distribution=("fins", "poems"),
)

_FINS = Benchmark(
    name="fins",
    title="FinS",
    # A loading script on the hub; its parquet conversion has one folder per configuration.
    source=HubSource(
        "financial_phrasebank", "takala/financial_phrasebank", data_dir="sentences_50agree", revision=PARQUET
    ),
    columns={"sentence": TEXT, "label": one_of(0, 1, 2)},
    selection=OneSplit("train", label_filter=LabelFilter((0, 2))),
    examples=text_classification("sentence", {0: "0", 2: "1"}),
    labels=DIGITS[:2],
    out_of_distribution=("sst2", "poems"),
)

_POEMS = Benchmark(
    name="poems",
    title="PoemS",
    source=HubSource("poem_sentiment", "google-research-datasets/poem_sentiment", revision=PARQUET),
    columns={"verse_text": TEXT, "label": one_of(0, 1, 2, 3)},
    selection=EvaluationOnly("train", "its training split is the evaluation set", label_filter=LabelFilter((0, 1))),
    examples=text_classification("verse_text", {0: "0", 1: "1"}),
    labels=DIGITS[:2],
)

_STF = Benchmark(
    name="stf",
    title="STF",
    source=HubSource("strategyqa", "wics/strategy-qa", revision=PARQUET),
    columns={"question": TEXT, "answer": one_of(False, True)},
    selection=OneSplit("test", shuffle_parts=True),
    examples=question_answering("question", lambda row: DIGITS[row["answer"]]),
    labels=DIGITS[:2],
)

_AGN = Benchmark(
    name="agn",
    title="AGN",
    source=HubSource("ag_news", "fancyzhx/ag_news", revision="eb185aade064a813bc0b7f42de02595523103ca4"),
    columns={"text": TEXT, "label": one_of(0, 1, 2, 3)},
    selection=TwoSplits("train", "test"),
    examples=text_classification("text", dict(enumerate(DIGITS))),
    labels=DIGITS,
    out_of_distribution=("bbcn",),
)

_BBCN = Benchmark(
    name="bbcn",
    title="BBCN",
    source=HubSource("bbc_news", "SetFit/bbc-news"),  # no commit known to pin
    columns={"text": TEXT, "label": one_of(0, 1, 2, 3, 4)},
    selection=EvaluationOnly("test", "the paper evaluates on it what was learned on AG News"),
    # tech, business, sport, entertainment, politics -> the topics of AG News: World, Sports, Business, Sci/Tech
    examples=text_classification("text", {0: "3", 1: "2", 2: "1", 3: "0", 4: "0"}, cut=news_opening),
    labels=DIGITS,
)

_SCIQR = Benchmark(
    name="sciqr",
    title="SciQr",
    source=SCIQ,
    columns=SCIQ_COLUMNS,
    selection=TwoSplits("train", "validation"),
    examples=sciq_choices,
    labels=("apple", "Friday", "banana", "Saturday"),
    out_of_distribution=("qascr",),
)

_QASCR = Benchmark(
    name="qascr",
    title="QASCr",
    source=HubSource("qasc", "allenai/qasc", revision="a34ba204eb9a33b919c10cc08f4f1c8dae5ec070"),
    columns={"question": TEXT, "choices": LETTERED_CHOICES, "answerKey": one_of(*"ABCDEFGH")},
    selection=EvaluationOnly("validation", "the paper evaluates on it what was learned on SciQ"),
    examples=qasc_choices,
    labels=("apple", "Friday", "banana", "Saturday", "Thursday", "Sunday", "Wednesday", "Monday"),
)

_GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    source=HubSource("gsm8k", "openai/gsm8k", config="main", revision="740312add88f781978c0658806c59bc2815b9866"),
    columns=GSM_COLUMNS,
    selection=TwoSplits("train", "test"),
    examples=question_answering("question", lambda row: str(row["answer"])),
    answer_format="hash_line",
    max_new_tokens=200,
    out_of_distribution=("gsm8ks",),
)

_GSM8KS = Benchmark(
    name="gsm8ks",
    title="GSM8Ks",
    source=HubSource(
        "gsm_symbolic", "apple/GSM-Symbolic", config="main", revision="93b5b3758d9d9841ffe81d6cd2ae2b030685b078"
    ),
    columns=GSM_COLUMNS,
    selection=EvaluationOnly("test", "its only split is the evaluation set, and a pool from it would overlap that"),
    examples=question_answering("question", lambda row: str(row["answer"])),
    answer_format="hash_line",
    max_new_tokens=200,
)

_HMATHA = Benchmark(
    name="hmatha",
    title="HMathA",
    source=HubSource(
        "hendrycks_math_algebra",
        "EleutherAI/hendrycks_math",
        config="algebra",
        revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
    ),
    columns={"problem": TEXT, "solution": TEXT},
    selection=TwoSplits("train", "test"),
    examples=question_answering("problem", lambda row: str(row["solution"])),
    answer_format="boxed",
    max_new_tokens=400,
)

_SCIQ = Benchmark(
    name="sciq",
    title="SciQ",
    source=SCIQ,
    columns=SCIQ_COLUMNS,
    selection=TwoSplits("train", "validation"),
    examples=question_answering("question", sciq_with_support),
    answer_format="hash_text",
    max_new_tokens=200,
)


def _embedded(dataset: EmbeddedDataset) -> Benchmark:
    labels = dataset.labels
    return Benchmark(
        name=f"embedded_{dataset.name}",
        title=dataset.title,
        source=EmbeddedSource(dataset.name),
        columns={"question": TEXT, "answer": TEXT}
        if labels is None
        else {"text": TEXT, "label": one_of(*range(len(labels)))},
        selection=TwoSplits("train", "test"),
        examples=_embedded_questions if labels is None else _embedded_texts(labels),
        labels=labels,
        answer_format="hash_line" if labels is None else None,
        max_new_tokens=16 if labels is None else 1,
    )


def _embedded_questions(rows: Sequence[Row]) -> list[Example]:
    return [Example(f"Q: {row['question']}\nA:", row["answer"]) for row in rows]


def _embedded_texts(labels: tuple[str, ...]) -> Examples:
    return lambda rows: [Example(f"Text: {row['text']}\nLabel:", labels[row["label"]]) for row in rows]


TWELVE = (_SST2, _FINS, _POEMS, _STF, _AGN, _BBCN, _SCIQR, _QASCR, _GSM8K, _GSM8KS, _HMATHA, _SCIQ)
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (*TWELVE, *map(_embedded, DATASETS.values()))
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    if name not in BENCHMARKS:
        raise UserError(f"There is no benchmark {name!r}.{did_you_mean(name, BENCHMARKS)}")
    return BENCHMARKS[name]


def sources_of(name: str) -> tuple[str, ...]:
    """Benchmarks that `name` is an out-of-distribution partner of."""
    return tuple(source.name for source in BENCHMARKS.values() if name in source.out_of_distribution)
