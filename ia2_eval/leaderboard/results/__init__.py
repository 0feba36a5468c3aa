"""Records on disk -> groups of cells -> tidy rows."""
