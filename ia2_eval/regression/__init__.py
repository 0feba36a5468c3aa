"""Reference results, and the gate that tells a regression from noise by comparing with them example by example."""
