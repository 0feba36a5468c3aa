"""The page's file: template, style, script and data in one, under a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from ia2_eval.leaderboard.page.content import page_content
from ia2_eval.leaderboard.page.shared import Json
from ia2_eval.leaderboard.results.results import Results

SCRIPTS = ("page.js", "columns.js", "state.js", "diagram.js", "detail.js", "start.js")
"""In the order in which they are run, as one script."""


class Page(NamedTuple):
    html: str
    faults: tuple[str, ...]  # files that cannot be used
    incomplete: bool  # whether cells have failed or are missing


def to_page(results: Results, directory: Path) -> Page:
    """The page of some results.

    Args:
        results: what it shows.
        directory: where it will be, for its links to the records.
    """
    content, faults, incomplete = page_content(results, directory)
    style, script = _asset("page.css"), "".join(map(_asset, SCRIPTS))
    policy = [
        "default-src 'none'",
        f"script-src {_source(script)}",
        f"style-src {_source(style)}",
        "img-src data:",  # the empty icon, so that none is asked for
        "base-uri 'none'",
        "form-action 'none'",
    ]
    parts = {
        "policy": html.escape("; ".join(policy), quote=False),
        "title": html.escape(f"Leaderboard · {', '.join(_names(results))}"),
        "style": style,
        "script": script,
        "data": embedded_json(content),
    }
    # In one pass: nothing that is filled in is searched for more to fill in.
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html")), faults, incomplete)


def embedded_json(content: Json) -> str:
    """JSON that can stand in a `script` element: no text in it closes the element or opens a comment."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _names(results: Results) -> list[str]:
    """The last part of the directories: a path of this machine means nothing to the reader."""
    return [source.directory.resolve().name for source in results.sources]


def _asset(name: str) -> str:
    return files("ia2_eval.leaderboard.page").joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
