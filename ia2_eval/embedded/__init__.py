"""The offline default: a small language model that learns in context, and synthetic benchmarks for it."""

from __future__ import annotations

from pathlib import Path

MODEL_DIRECTORY = Path(__file__).parent / "model"
"""The shipped model: an ordinary Hugging Face model directory."""
