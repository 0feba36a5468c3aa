"""Mathematical equality of two LaTeX answers by math-verify, in a process that is killed when it takes too long.

math-verify's own time limit is a signal, so it fails outside the main thread and cannot interrupt arithmetic in C;
a process can be stopped at any point, from any thread and on any system.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from functools import lru_cache

logger = logging.getLogger(__name__)

SECONDS_PER_PAIR = 0.9
_SECONDS_TO_START = 120.0  # the imports, on a busy machine
LONGEST_ANSWER = 500  # characters; the longest in MATH's algebra has under 100


def equivalent(gold: str, answer: str) -> bool:
    r"""Whether two answers, contents of `\boxed{...}`, are mathematically equal; an empty one never is.

    Equal strings are equal. Otherwise math-verify decides; longer answers than `LONGEST_ANSWER` characters, and pairs
    on which it takes more than `SECONDS_PER_PAIR` or dies, count as different, the latter with a logged warning.
    Starting the process, at first and after a killed pair, takes about another second.
    """
    gold, answer = gold.strip(), answer.strip()
    if gold == answer:
        return bool(gold)
    if not gold or not answer or max(len(gold), len(answer)) > LONGEST_ANSWER:
        return False
    try:
        return _verdict(gold, answer)
    except TimeoutError:
        logger.warning("math-verify gave no verdict on %r against %r: counted as different", answer[:100], gold[:100])
        return False


@lru_cache(maxsize=10_000)  # scored by lm-eval and for the row, and sampled answers repeat
def _verdict(gold: str, answer: str) -> bool:
    """
    Raises:
        TimeoutError: the process was killed or died; not remembered.
    """
    with _lock:
        reply = _running_worker().ask(json.dumps([gold, answer]), SECONDS_PER_PAIR)
    if not reply:
        raise TimeoutError
    return reply == "true"


class _Worker:
    """A Python process that answers one line with one line."""

    def __init__(self) -> None:
        self.owner = os.getpid()  # a fork must not talk into its parent's pipe
        self.alive = True
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import _serve; _serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        # The first pair also fills the caches of math-verify and sympy, so that the time limit is spent on answers.
        if not self.ask(json.dumps(["x^2+2x+1", "(x+1)^2"]), _SECONDS_TO_START):
            raise RuntimeError(f"the math-verify process of {sys.executable} did not start; its error is printed above")

    def ask(self, request: str, seconds: float) -> str:
        """The reply, or an empty string when the process died or had to be killed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        alarm = threading.Timer(seconds, self._kill)
        alarm.start()
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline().strip()
        except BrokenPipeError:
            reply = ""
        finally:
            alarm.cancel()
            alarm.join()
        if not reply:
            self._kill()
            self.process.wait()
        return reply

    def _kill(self) -> None:
        self.alive = False
        self.process.kill()


_lock = threading.Lock()
_worker: _Worker | None = None


def _running_worker() -> _Worker:
    global _worker
    if _worker is None or not _worker.alive or _worker.owner != os.getpid():
        _worker = _Worker()
    return _worker


def _serve() -> None:
    """Answer pairs `["gold", "answer"]` on standard input with `true` or `false` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes standard input
    from math_verify import parse, verify

    replies, sys.stdout = sys.stdout, sys.stderr  # nothing else may write between the replies
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time limit is off
    for line in sys.stdin:
        gold, answer = (parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in json.loads(line))
        print(json.dumps(bool(verify(gold, answer, timeout_seconds=None))), file=replies, flush=True)
