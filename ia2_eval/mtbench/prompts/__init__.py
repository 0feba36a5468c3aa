"""Prompt sets: an instruction and demonstrations in URIAL's format."""
