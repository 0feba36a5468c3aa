"""From model outputs to correct, confidence and metrics. Knows no benchmark and no model."""
