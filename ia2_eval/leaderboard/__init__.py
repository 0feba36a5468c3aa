"""Records on disk -> tables, CSV and plots. Needs no model, no GPU and no torch."""

from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.build import build
from ia2_eval.leaderboard.render import print_leaderboard

__all__ = ["Leaderboard", "build", "print_leaderboard"]
