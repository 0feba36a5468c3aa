"""Tidy rows -> tables for readers."""
