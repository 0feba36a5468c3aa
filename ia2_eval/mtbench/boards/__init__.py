"""MT-Bench boards: models, prompts and decoding settings of several directories, one board per bench and judge."""
