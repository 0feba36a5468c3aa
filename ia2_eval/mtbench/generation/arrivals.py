"""Texts from an lm-eval model, handed on as each arrives rather than when all are there."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.texts import Place

Request = tuple[str, dict[str, Any]]
"""A prompt and lm-eval's generation arguments."""
MOST_SAID = 300
"""Characters of an endpoint's error that are shown."""


def generate(
    model: OpenModel, requests: Mapping[Place, Request], arrived: Callable[[Place, str], None], title: str
) -> None:
    """Ask for all texts.

    lm-eval's models tell their cache of every text at once; here, what listens in the place of a cache is `arrived`.

    Args:
        model: who is asked.
        requests: what, by place.
        arrived: called once for each text; what it raises ends the run.
        title: of the progress bar.

    Raises:
        UserError: the endpoint does not answer.
    """
    if not requests:
        return
    from lm_eval.api.model import CacheHook

    console = Console(stderr=True)
    silent = not (console.is_terminal and model.backend.local)  # lm-eval's models of endpoints have bars of their own
    with Progress(console=console, transient=True, disable=silent) as progress:
        bar = progress.add_task(title, total=len(requests))

        def report(place: Place, text: str) -> None:
            arrived(place, text)
            progress.advance(bar)

        if model.backend.seeds == "global":
            sampled = {place: each for place, each in requests.items() if each[1]["do_sample"]}
            for place, (prompt, arguments) in sampled.items():
                _seed(arguments["seed"])
                alone = {name: value for name, value in arguments.items() if name != "seed"}
                report(place, _ask(model, {place: (prompt, alone)})[place])
            requests = {place: each for place, each in requests.items() if place not in sampled}
            if not requests:
                return
        listener = _listener(requests, report)
        model.lm.set_cache_hook(listener)
        try:
            texts = _ask(model, requests)
        except _ArrivalFailedError as failed:
            raise failed.reason from failed.reason.__cause__
        finally:
            model.lm.set_cache_hook(CacheHook(None))
        for place in listener.waiting():
            report(place, texts[place])


def _ask(model: OpenModel, requests: Mapping[Place, Request]) -> dict[Place, str]:
    from lm_eval.api.instance import Instance

    instances = [
        Instance("generate_until", {}, arguments, 0, ("mtbench", number, 1))
        for number, arguments in enumerate(requests.values())
    ]
    if model.backend.local:
        texts = model.lm.generate_until(instances, disable_tqdm=True)
    else:
        logger = logging.getLogger("lm_eval")
        before = logger.level
        logger.setLevel(logging.CRITICAL)  # it tells of every failed attempt, and of requests that are called off
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # so does this, long after
        try:
            texts = model.lm.generate_until(instances, disable_tqdm=True)
        except Exception as error:  # any: of the connection, of HTTP, or of a reply in another form, after retries
            raise UserError(
                f"{model.fingerprint} does not answer: {_reason(error)}. "
                "The texts so far are kept; the same command continues."
            ) from error
        finally:
            logger.setLevel(before)
    return dict(zip(requests, texts, strict=True))


def _reason(error: Exception) -> str:
    """What went wrong, on one line, with the beginning of what the endpoint said about it."""
    said = getattr(getattr(error, "response", None), "text", "")
    return " ".join(f"{type(error).__name__}: {error} {said[:MOST_SAID]}".split()).rstrip(".")


class _ArrivalFailedError(BaseException):
    """What listens could not take a text. No `Exception`, for lm-eval would ask the endpoint for it again."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def _listener(requests: Mapping[Place, Request], report: Callable[[Place, str], None]) -> Any:
    """A cache hook that keeps nothing."""
    from lm_eval.api.model import CacheHook

    class Listener(CacheHook):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(None)
            self._places: dict[tuple[str, int | None], list[Place]] = defaultdict(list)
            for place, (prompt, arguments) in requests.items():
                self._places[prompt, arguments.get("seed")].append(place)

        def add_partial(self, attribute: str, request: Any, answer: str) -> None:
            prompt, arguments = request
            # A model may change the arguments on their way: what is not found here is reported at the end.
            if places := self._places.get((prompt, arguments.get("seed"))):
                try:
                    report(places.pop(0), answer)
                except Exception as error:
                    raise _ArrivalFailedError(error) from error

        def waiting(self) -> list[Place]:
            return [place for places in self._places.values() for place in places]

    return Listener()


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
