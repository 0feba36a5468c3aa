"""Whether two columns differ: paired tests over examples, seeds and datasets, with their corrections and power."""
