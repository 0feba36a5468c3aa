"""In-context alignment on MT-Bench (arXiv 2405.19874): prompts, two-turn answers, decoding sweeps, judge, search."""
