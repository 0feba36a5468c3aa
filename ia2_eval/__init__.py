"""What is measured and reported: benchmarks, scoring, experiments, leaderboards. Training lives in `ia2_training`."""

__version__ = "0.1.0"
