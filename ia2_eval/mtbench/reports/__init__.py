"""Tables and figures from answers and judgments. Imports no torch."""
