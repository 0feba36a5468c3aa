from __future__ import annotations

import os
import signal
import sys
from functools import partial

import pytest
from matplotlib.figure import Figure
from synthetic_run import make_record, write_run

from ia2_eval.leaderboard.figures import write
from ia2_eval.leaderboard.figures.analyses import analysis_pictures
from ia2_eval.leaderboard.figures.draw import draw_figures
from ia2_eval.leaderboard.figures.write import Drawing, write_figures
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.results import read_results

forks = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")


def line_to(y):
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, y])
    return figure


def cannot_be_drawn():
    raise ValueError("no such colour")


def run(directory):
    metrics = {"sst2": {"acc": 0.5, "ece": 0.25, "ece_noise_floor": 0.1}, "fins": {"acc": 0.5, "ece": 0.25}}
    return write_run(directory, [make_record("icl", metrics, seed=seed) for seed in (0, 1)])


def drawn(directory, out):
    results = read_results([directory])
    groups, _ = group_records(results.records)
    return draw_figures(results, out, groups, aggregate(groups))


@forks
def test_several_processes_write_the_same_bytes_as_one(tmp_path, monkeypatch):
    run(tmp_path / "run")
    pictures = {}
    for processes in (1, 2):
        monkeypatch.setattr(write, "_processes", lambda processes=processes: processes)
        paths, faults = drawn(tmp_path / "run", tmp_path / str(processes))
        assert faults == ()
        pictures[processes] = {path.relative_to(tmp_path / str(processes)): path.read_bytes() for path in paths}
    assert list(pictures[1]) == list(pictures[2])
    assert pictures[1] == pictures[2]
    stems = [path.stem for path in pictures[1] if path.suffix == ".png"]
    against_n = ["accuracy_vs_n", "accuracy_vs_n_ood", "ece_vs_n", "ece_vs_n_ood"]
    assert stems == [*against_n, "methods", "reliability_sst2_to_sst2", "reliability_sst2_to_fins"]


@forks
def test_a_figure_that_cannot_be_drawn_ends_the_others(tmp_path):
    drawings = [Drawing(cannot_be_drawn, tmp_path / "a"), Drawing(partial(line_to, 1), tmp_path / "b")]
    with pytest.raises(ValueError, match="no such colour"):
        write_figures(drawings, processes=2)
    assert not (tmp_path / "a.png").exists()


def end_worker(parent):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return line_to(1)


@forks
def test_figures_are_drawn_in_this_process_where_the_system_ends_the_others(tmp_path):
    draw = partial(end_worker, os.getpid())
    paths = write_figures((Drawing(draw, tmp_path / name) for name in "abc"), processes=2)
    assert [path.name for path in paths] == ["a.png", "a.svg", "b.png", "b.svg", "c.png", "c.svg"]
    assert all(path.stat().st_size for path in paths)


@forks
def test_an_error_while_figures_are_made_ready_is_raised(tmp_path):
    def drawings():
        yield Drawing(partial(line_to, 1), tmp_path / "a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_figures(drawings(), processes=2)


def test_one_process_is_used_beside_threads_or_torch(monkeypatch):
    monkeypatch.setattr(write.threading, "active_count", lambda: 2)
    assert write._processes() == 1
    monkeypatch.setattr(write.threading, "active_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert write._processes() == 1


def test_the_figure_of_a_section_is_in_a_folder_of_its_own(tmp_path):
    paths, _ = drawn(run(tmp_path / "run"), tmp_path)
    assert {path.parent.name for path in paths} == {"tiny_strict"}
    assert all(path.is_file() for path in paths)


def test_pictures_of_the_analyses_are_found_in_a_fixed_order(tmp_path):
    names = ["b/analysis/s/overlap.png", "a/analysis/t.png", "a/analysis/s/z.png", "a/analysis/s/z.svg", "a/other.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "none").mkdir()
    found = analysis_pictures([tmp_path / "b", tmp_path / "none", tmp_path / "a"])
    expected = ["b/analysis/s/overlap.png", "a/analysis/s/z.png", "a/analysis/t.png"]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == expected
