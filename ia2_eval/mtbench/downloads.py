"""Files of public repositories, pinned by commit and checksum, kept in the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError

SOURCE = "https://raw.githubusercontent.com"
TIMEOUT = 60.0
"""Seconds without a byte."""
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
_YES = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True)
class PinnedFile:
    """One version of a file."""

    repository: str
    commit: str
    path: str
    sha256: str
    size: int
    """In bytes."""

    @property
    def place(self) -> str:
        return f"{self.repository}/{self.commit}/{self.path}"


_FASTCHAT = ("lm-sys/FastChat", "0e6d3e4beaab66f4d3f93db72541a4abab8af28d")
_LLM_JUDGE = "fastchat/llm_judge/data"
MT_BENCH_FILES = (
    PinnedFile(
        *_FASTCHAT,
        f"{_LLM_JUDGE}/mt_bench/question.jsonl",
        "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
        48929,
    ),
    PinnedFile(
        *_FASTCHAT,
        f"{_LLM_JUDGE}/mt_bench/reference_answer/gpt-4.jsonl",
        "f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
        51109,
    ),
    PinnedFile(
        *_FASTCHAT,
        f"{_LLM_JUDGE}/judge_prompts.jsonl",
        "fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6",
        10449,
    ),
)
"""Of MT-Bench, 80 questions; in FastChat's own layout, the questions first."""


def cache_directory() -> Path:
    """`ia2-eval` in `XDG_CACHE_HOME`, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ia2-eval"


def cached(file: PinnedFile) -> Path:
    """Where the file is kept once it has been fetched."""
    return cache_directory() / file.place


def download(file: PinnedFile, source: str = SOURCE) -> Path:
    """The file in the cache directory, fetched if it is not there. Its content is checked each time.

    Args:
        file: what is wanted.
        source: URL that the place of the file is appended to.

    Raises:
        UserError: it cannot be fetched, or is not what was pinned.
    """
    path = cached(file)
    try:
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256:
            return path
        content = _fetch(file, f"{source}/{quote(file.place)}")
        return write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot keep {file.path} at {path}: {error}. {_by_hand(file, path)}") from error


def _fetch(file: PinnedFile, url: str) -> bytes:
    path = cached(file)
    if offline := next((name for name in _OFFLINE if os.environ.get(name, "").upper() in _YES), None):
        raise UserError(f"{file.path} is not there, and {offline} forbids to fetch it. {_by_hand(file, path)}")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read(file.size + 1)
    except (OSError, HTTPException, urllib.error.URLError) as error:
        raise UserError(f"cannot fetch {url}: {error}. {_by_hand(file, path)}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        size = f"{len(content)} bytes" if len(content) <= file.size else f"more than {file.size} bytes"
        raise UserError(
            f"{url} is not the file that was pinned: {size} with sha256 {found}, expected {file.size} bytes with "
            f"{file.sha256}. A proxy may have answered instead. {_by_hand(file, path)}"
        )
    return content


def _by_hand(file: PinnedFile, path: Path) -> str:
    return (
        f"To get it by hand: {file.path} of github.com/{file.repository} at {file.commit[:12]}, saved as {path}; or "
        "give local data with --data-dir or IA2_DATA_DIR"
    )
