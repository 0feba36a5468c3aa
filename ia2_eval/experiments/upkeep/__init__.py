"""Looking after a run's directory: what is done and what is not, another try for failed cells, and what may go."""
