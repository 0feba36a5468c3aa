"""Records on disk -> tables, CSV, plots, comparisons and a page. Needs no model, no GPU and no torch."""
