"""The benchmarks: from rows of a data set to prompts and answers, training sets and demonstrations."""

from ia2_eval.benchmarks.benchmark import Benchmark, BenchmarkData, Example
from ia2_eval.benchmarks.check import Facts, data_faults, describe
from ia2_eval.benchmarks.load import joint_fingerprint, load_benchmark
from ia2_eval.benchmarks.low_data import UnlabelledQuery, draw_low_data
from ia2_eval.benchmarks.registry import BENCHMARKS, get_benchmark
from ia2_eval.benchmarks.training_set import (
    TrainingSet,
    draw_training_set,
    per_query_demonstrations,
    with_demonstrations,
)

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "BenchmarkData",
    "Example",
    "Facts",
    "TrainingSet",
    "UnlabelledQuery",
    "data_faults",
    "describe",
    "draw_low_data",
    "draw_training_set",
    "get_benchmark",
    "joint_fingerprint",
    "load_benchmark",
    "per_query_demonstrations",
    "with_demonstrations",
]
