"""Tidy rows and samples -> figures, in one style."""
