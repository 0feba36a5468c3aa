"""How a sweep is spread over workers: in this process, over subprocesses of this machine, over a Ray cluster."""
