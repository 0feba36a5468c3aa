"""Evaluating stored adapters on one loaded base: `ia2-eval evaluate`."""
