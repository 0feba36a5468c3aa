"""Grids of decoding settings."""
