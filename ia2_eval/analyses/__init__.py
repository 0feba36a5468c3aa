"""What training did to a model: similarity of its activations to in-context learning, and overlap of adapters."""
