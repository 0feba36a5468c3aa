"""Texts from an lm-eval model, handed on as each arrives rather than when all are there."""

from __future__ import annotations

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


def generate(
    model: OpenModel, requests: Mapping[Place, Request], arrived: Callable[[Place, str], None], title: str
) -> None:
    """Ask for all texts.

    lm-eval's models tell their cache of every text at once; here, what listens in the place of a cache is `arrived`.

    Args:
        model: who is asked.
        requests: what, by place.
        arrived: called once for each text.
        title: of the progress bar.
    """
    if not requests:
        return
    from lm_eval.api.model import CacheHook

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
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
        try:
            texts = model.lm.generate_until(instances, disable_tqdm=True)
        except (OSError, RuntimeError, ValueError) as error:  # of aiohttp and of lm-eval, after its own retries
            raise UserError(
                f"{model.fingerprint} does not answer: {type(error).__name__}: {error}. "
                "The texts so far are kept; the same command continues."
            ) from error
    return dict(zip(requests, texts, strict=True))


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
                report(places.pop(0), answer)

        def waiting(self) -> list[Place]:
            return [place for places in self._places.values() for place in places]

    return Listener()


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
