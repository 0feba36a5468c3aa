"""Two-turn answers of a model to the questions of a bench."""
