"""In-context learning against fine-tuning on the same examples."""
