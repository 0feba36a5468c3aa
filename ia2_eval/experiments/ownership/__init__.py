"""Who works in a run's directory, and on what: heartbeats of processes, and their leases on cells."""
