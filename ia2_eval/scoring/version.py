"""Which version of the scoring computed the metrics of a record.

It goes up with every change that gives other metrics for the same stored rows; `rescore` brings old records up to it.

1. Before records said so.
2. Published measures, discrimination, class-wise and maximum calibration error, temperature scaling, confidence of
   generated answers. The interval of `ece_mass` breaks ties by the order of the examples.
"""

SCORING_VERSION = 2
