"""The language models that are adapted and evaluated."""
