"""Replies of judges, shared between runs."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.mtbench.judging.replies import Reply

logger = logging.getLogger(__name__)


class ReplyCache:
    """A directory with one JSON file for each reply, named by the key of its request."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def get(self, key: str) -> Reply | None:
        """The reply, or None; a file that is damaged is set aside."""
        path = self._path(key)
        try:
            return Reply.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            logger.warning("The cached reply %s is damaged: set aside as %s, the judge is asked again.", path, aside)
            return None

    def put(self, key: str, reply: Reply) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        write_atomically(self._path(key), reply.model_dump_json(indent=1, ensure_ascii=True).encode())

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.json"
