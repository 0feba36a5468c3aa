"""Building a leaderboard from more than 500 records: `ia2-eval leaderboard build` as a user runs it, and its parts.

The first line is the command in a process of its own, start and imports included; the records are made up, in the size
and the form of real ones. The parts are measured in one process: what they take together is more than the command takes
where it draws in several processes while it reads. The baseline of each is the straightforward way: figures drawn one
after another by one process, and the samples of each evaluation read whenever they are needed, for the figures and for
the comparisons, without keeping them.

    python bench/leaderboard_build.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from synthetic_results import write_results

from ia2_eval.leaderboard.figures.draw import draw_figures
from ia2_eval.leaderboard.figures.write import write_figures
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.reported import reported_outcomes
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.tables.table import tables

REPEATS = 3
