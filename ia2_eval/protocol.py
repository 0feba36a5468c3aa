"""The two protocols, which say in every result how it was made.

`paper` reproduces the published procedure, to compare with the published numbers. `strict`, the default, is what a
careful reader would want: learning rates and stopping chosen on the dev set, best weights kept, calibration over the
label set in 15 equal-width bins.
"""

from __future__ import annotations

from typing import Literal

Protocol = Literal["strict", "paper"]
