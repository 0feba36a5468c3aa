"""Cells: plan -> run -> record."""
