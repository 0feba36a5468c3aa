"""Whether colours can be told apart by colour-blind readers, by simulation.

What holds: in normal vision and in complete protanopia, deuteranopia and tritanopia (Machado et al. 2009) any two of
the twelve colours of methods differ by `FAR` or more in CIEDE2000 (Sharma et al. 2005), where about 1 is just visible
side by side. Markers differ, too, so that no figure depends on colour alone.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import ia2_eval
from ia2_eval.leaderboard.style import BLUE, KNOWN, OTHER_COLOURS, VERMILION, method_styles

FAR = 10.0
VISIONS = {  # of linear RGB; Machado, Oliveira and Fernandes 2009, table 1, severity 1
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    """#rrggbb in linear RGB."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB, white D65."""
    xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    x, y, z = (
        t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29
        for t in xyz @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ciede2000(one, other):
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    dh, mean_h = h2 - h1, h1 + h2
    if c1 * c2 == 0:
        dh = 0.0
    elif abs(dh) > 180:
        dh -= np.sign(dh) * 360
        mean_h = (mean_h + 360 if mean_h < 360 else mean_h - 360) / 2
    else:
        mean_h /= 2
    dl, dc, d_hue = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    cosines = zip((-0.17, 0.24, 0.32, -0.20), (1, 2, 3, 4), (-30, 0, 6, -63), strict=True)
    t = 1 + sum(factor * np.cos(np.radians(k * mean_h + shift)) for factor, k, shift in cosines)
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    rotation = 60 * np.exp(-(((mean_h - 275) / 25) ** 2))
    rt = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25**7)) * np.sin(np.radians(rotation))
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (d_hue / sh) ** 2 + rt * (dc / sc) * (d_hue / sh))


@pytest.mark.parametrize(  # from the test data of Sharma et al. 2005, table 1
    ("one", "other", "distance"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_the_published_pairs(one, other, distance):
    assert ciede2000(one, other) == pytest.approx(distance, abs=1e-4)
    assert ciede2000(other, one) == pytest.approx(distance, abs=1e-4)


def distances(colours, vision):
    seen = {colour: lab(np.array(VISIONS[vision]) @ linear(colour)) for colour in colours}
    return {(a, b): ciede2000(seen[a], seen[b]) for a, b in combinations(colours, 2)}


@pytest.mark.parametrize("vision", VISIONS)
def test_methods_can_be_told_apart_by_their_colour(vision):
    found = distances([*(known.colour for known in KNOWN.values()), *OTHER_COLOURS], vision)
    assert len(found) == 12 * 11 / 2
    assert min(found.values()) >= FAR, min(found, key=found.get)
    assert distances([BLUE, VERMILION], vision)[BLUE, VERMILION] >= FAR


def test_methods_can_be_told_apart_without_colour():
    styles = method_styles([*KNOWN, *(f"method_{i}" for i in range(4))])
    assert len({looks.marker for looks in styles.values()}) == len(styles)


def test_colours_come_from_the_style_only():
    package = Path(ia2_eval.__file__).parent
    named = re.compile(r"[\"']#[0-9A-Fa-f]{3,8}[\"']|[\"']C[0-9][\"']|[\"']tab:")
    drawing = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    drawing = {name: text for name, text in drawing.items() if "matplotlib" in text and name != "style.py"}
    assert len(drawing) > 8
    assert [name for name, text in drawing.items() if named.search(text)] == []
