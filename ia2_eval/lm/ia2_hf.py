"""`ia2-hf`: lm-eval's Hugging Face model, exact and fast where requests share their demonstrations."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from ia2_training.virtual_tokens import virtual_token_count
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from tqdm import tqdm

from ia2_eval.errors import UserError
from ia2_eval.lm.adapter_effect import require_effect
from ia2_eval.lm.base_model import Base, locate
from ia2_eval.lm.batches import in_batches
from ia2_eval.lm.generation import Decoding, Generated, generate, text_seeds
from ia2_eval.lm.log_likelihoods import continuation_answers
from ia2_eval.lm.reading import Reading, can_share_prefix
from ia2_eval.lm.request_cache import everyones_end, own_answers
from ia2_eval.lm.shared_beginning import SharedBeginning, common_length
from ia2_eval.lm.shared_prefix import SharedPrefix
from ia2_eval.lm.text_end import ScoredEnd, TextEnd
from ia2_eval.scoring.answers import scored_end
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CacheHook

T = TypeVar("T")
Pair = tuple[tuple[str, str] | None, list[int], list[int]]
"""A request for a log-likelihood (None for one of lm-eval's own), and the tokens of context and continuation."""

WORTH_SHARING = 0.25
"""Share of all tokens that a common prefix must save."""
WORTH_KEEPING = 0.9
"""Share of a common prefix that one that was read before must make up, to be taken in its place."""
LONGEST_KEPT, MOST_KEPT = 4000, 20_000
"""Characters and number of texts whose tokens are kept: the next adapter is asked the same."""


@register_model("ia2-hf")
class IA2HF(HFLM):  # type: ignore[misc]
    """`HFLM` with the same answers in less time, which carry more than a number.

    The tokens that all requests of a task begin with go through the model once (`SharedPrefix`). Only the logits that
    are asked for are computed, and their softmax is taken in float32. A log-likelihood carries what the model would
    have said itself (`LogLikelihood`), a text its tokens' log-likelihoods (`GeneratedText`). Texts of this package's
    tasks end where their score is decided.

    Where `HFLM` cuts a prompt that is too long for the model, this refuses it: without its first demonstrations it is
    another prompt. What a model's files prescribe for sampling is not followed: only what a request asks for is.
    """

    def __init__(
        self,
        *arguments: Any,
        softmax_dtype: str | torch.dtype | None = "float32",
        truncation: bool = False,
        shares_prefix: bool | None = None,
        tokens: dict[str, list[int]] | None = None,
        keep_prefix: bool = False,
        **settings: Any,
    ) -> None:
        """
        Args:
            arguments: those of `HFLM`.
            softmax_dtype: None for the model's own.
            truncation: False, for nothing is cut.
            shares_prefix: whether the base can, where it was tried before.
            tokens: of prompts that a model with the same tokenizer was asked before, which is filled further.
            keep_prefix: keep what was read of the last shared prefix, and its memory, for requests to come that begin
                with it too; the model must not change between them.
            settings: of `HFLM`.

        Raises:
            UserError: the model is no causal language model, prompts are to be cut, or an adapter has no effect.
        """
        if truncation:
            raise UserError("ia2-hf cuts no prompt, which would lose its first demonstrations: leave truncation out")
        super().__init__(*arguments, softmax_dtype=softmax_dtype, **settings)
        if self.backend != "causal":
            raise UserError(f"ia2-hf runs causal language models, and this is a {self.backend} model: use --model hf.")
        self._beginning: SharedBeginning | None = None
        self._shares = shares_prefix
        self._tokens = {} if tokens is None else tokens
        self._keeps_prefix = keep_prefix
        self._kept: tuple[tuple[int, ...], SharedPrefix] | None = None
        if self.peft:
            require_effect(self.model, "default")

    @property
    def shares_prefix(self) -> bool | None:
        """Whether the base can read shared prefixes; None until it was of use."""
        return self._shares

    def forget_prefix(self) -> None:
        """Let go of what was kept of the last shared prefix: the model is about to change."""
        self._kept = None

    def get_model_info(self) -> dict[str, Any]:
        """`HFLM`'s, which knows the commits of hub models; of a local directory what runs know it by."""
        info: dict[str, Any] = super().get_model_info()
        if isinstance(self.pretrained, str) and (directory := Path(self.pretrained).absolute()).is_dir():
            try:
                info["model_sha"] = locate(Base(model=str(directory))).base.fingerprint
            except UserError:  # weights in another format
                info["model_sha"] = ""
        return info

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        super().set_cache_hook(own_answers(self, cache_hook))

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, left_truncate_len: int | None = None, **settings: Any
    ) -> list[int]:
        beginning = self._beginning
        if beginning is not None and add_special_tokens is None and string.startswith(beginning.text):
            end = super().tok_encode(string[len(beginning.text) :], add_special_tokens=False)
            return [*beginning.token_ids, *end][-(left_truncate_len or 0) :]
        plain = add_special_tokens is None and left_truncate_len is None and not settings
        if plain and len(string) <= LONGEST_KEPT:
            if len(self._tokens) >= MOST_KEPT:
                self._tokens.clear()
            if string not in self._tokens:
                self._tokens[string] = super().tok_encode(string)
            return list(self._tokens[string])
        ids: list[int] = super().tok_encode(string, add_special_tokens, left_truncate_len, **settings)
        return ids

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        answer, quiet = super().loglikelihood, disable_tqdm or _no_bars()
        return self._by_group(requests, _task_name, lambda part, _: answer(part, quiet))

    def _by_group(
        self,
        requests: list[Instance],
        key: Callable[[Instance], Hashable],
        answer: Callable[[list[Instance], Any], list[T]],
    ) -> list[T]:
        """Answers in the order of the requests, those of one key together, whose contexts may begin alike."""
        groups: dict[Hashable, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(key(request), []).append(place)
        answers: dict[int, T] = {}
        for group, places in groups.items():
            part = [requests[place] for place in places]
            self._beginning = None
            self._beginning = SharedBeginning.of(
                [request.args[0] for request in part],
                self.tokenizer,
                self.tok_encode,
                lambda text: self.tok_encode(text, add_special_tokens=False),
            )
            try:
                answers |= zip(places, answer(part, group), strict=True)
            finally:
                self._beginning = None
        return [answers[place] for place in range(len(requests))]

    def _loglikelihood_tokens(
        self, requests: Sequence[Pair], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        rows: dict[tuple[int, ...], list[int]] = {}  # the last token is only predicted
        for place, (texts, context, continuation) in enumerate(requests):
            if not context or not continuation:
                what = "score" if context else "condition on"
                raise UserError(f"{texts!r} has no token to {what}: one is empty, or merges with the other")
            rows.setdefault((*context, *continuation)[:-1], []).append(place)
        for row in rows:
            self._require_room(row, 0)
        prefix_ids = self._common_prefix(list(rows), min((len(context) for _, context, _ in requests), default=0))
        prefix = self._read_prefix(prefix_ids)
        answers: dict[int, LogLikelihood] = {}
        with tqdm(total=len(requests), disable=disable_tqdm or self.rank != 0, desc="Log-likelihoods") as bar:

            def read(batch: Sequence[tuple[int, ...]]) -> None:
                last = max(len(requests[place][2]) for row in batch for place in rows[row])
                reading = Reading(self.model, [row[len(prefix_ids) :] for row in batch], prefix)
                with self._autocast():
                    logits = reading.first(last)  # [B, last, V]
                for row, its_logits in zip(batch, logits, strict=True):
                    continuations = [requests[place][2] for place in rows[row]]
                    said = continuation_answers(its_logits, continuations, self.softmax_dtype, self._decode_all)
                    for place, answer in zip(rows[row], said, strict=True):
                        answers[place] = answer
                        if (request := requests[place][0]) is not None:
                            self.cache_hook.add_partial("loglikelihood", request, answer)
                        bar.update()

            in_batches(sorted(rows, key=len, reverse=True), override_bs or self._batch_size(), read)
        return [answers[place] for place in range(len(requests))]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        quiet = disable_tqdm or self.rank != 0 or _no_bars()
        with tqdm(total=len(requests), disable=quiet, desc="Texts") as bar:
            return self._by_group(
                requests, self._generation_group, lambda part, key: self._generate(part, key[-1], bar)
            )

    def _generation_group(self, request: Instance) -> tuple[Hashable, ...]:
        """Requests of one key are generated together: their task, their settings, and where their texts may end."""
        doc = request.doc if isinstance(request.doc, dict) else {}
        answer_format, protocol = doc.get("answer_format"), doc.get("protocol")
        end = None
        if answer_format and protocol:
            cached = self.cache_hook.dbdict is not None
            end = everyones_end(answer_format) if cached else scored_end(answer_format, protocol)
        settings = {name: value for name, value in request.args[1].items() if name != "seed"}  # each text has its own
        return request.task_name, repr(settings), end

    def _generate(self, requests: list[Instance], end: ScoredEnd | None, bar: tqdm) -> list[str]:
        """Texts for requests with the same settings, which end where `end` says if not before."""
        settings: dict[str, Any] = normalize_gen_kwargs(requests[0].args[1], self.max_gen_toks)
        until = handle_stop_sequences(settings.pop("until"), self._decode_all([self.eot_token_id]))
        most = settings.pop("max_gen_toks")
        decoding = Decoding.of(settings)
        if decoding is None:
            if virtual_token_count(self.model):
                raise UserError(f"behind virtual tokens, text cannot be generated with the settings {settings}")
            texts: list[str] = super().generate_until(requests, disable_tqdm=True)
            bar.update(len(requests))
            return texts
        rows = [tuple(self.tok_encode(request.args[0])) for request in requests]
        for row in rows:
            self._require_room(row, most)
        prefix_ids = self._common_prefix(rows, min(map(len, rows)))
        prefix = self._read_prefix(prefix_ids)
        text_end = TextEnd(self.tok_decode, self._stop_ids(), until, end)
        seeds = text_seeds([(request.args[0], request.args[1].get("seed")) for request in requests])
        answers: dict[int, str] = {}

        def answer(batch: Sequence[int]) -> None:
            ends = [rows[place][len(prefix_ids) :] for place in batch]
            some = [seeds[place] for place in batch] if seeds else []

            def finished(number: int, row: Generated) -> None:
                place = batch[number]
                if place not in answers:  # which was there before memory did not suffice for the batch
                    answers[place] = self._text(row, text_end)
                    self.cache_hook.add_partial("generate_until", requests[place].args, answers[place])
                    bar.update()

            with self._autocast():
                done = text_end.reached
                generate(self.model, ends, done, most, decoding, prefix, prefix_ids, some, finished)

        longest_first = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        in_batches(longest_first, self._batch_size(), answer)
        return [answers[place] for place in range(len(requests))]

    def _text(self, row: Generated, end: TextEnd) -> str:
        ids, thinking = row.token_ids, self.think_end_token
        if thinking is None:
            text = end.cut(self.tok_decode(ids))
            return GeneratedText(text, end.token_ends(ids), tuple(row.log_likelihoods), end.reached(ids))
        if isinstance(thinking, str):
            return end.cut(self.tok_decode(ids), thinking)
        if thinking in ids:
            ids = ids[len(ids) - ids[::-1].index(thinking) :]
        return end.cut(self.tok_decode(ids).lstrip())

    def _stop_ids(self) -> frozenset[int]:
        """End tokens of the tokenizer and of the generation configuration; an Instruct model has several."""
        ids = self.model.generation_config.eos_token_id
        return frozenset([self.eot_token_id, *([ids] if isinstance(ids, int) else ids or ())])

    def _common_prefix(self, rows: Sequence[tuple[int, ...]], most: int) -> tuple[int, ...]:
        """What all rows begin with, if sharing it saves enough; shorter than `most`, for something is to be read."""
        if len(rows) < 2:
            return ()
        first, last = min(rows), max(rows)
        common = first[: min(common_length(first, last), most - 1)]
        if len(common) * (len(rows) - 1) < WORTH_SHARING * sum(map(len, rows)) or not self._can_share():
            return ()
        kept = self._kept[0] if self._kept else ()
        return kept if WORTH_KEEPING * len(common) <= len(kept) and common[: len(kept)] == kept else common

    def _can_share(self) -> bool:
        if virtual_token_count(self.model):
            return False
        if self._shares is None:
            self._shares = can_share_prefix(self.model)
        return self._shares

    def _read_prefix(self, prefix_ids: tuple[int, ...]) -> SharedPrefix | None:
        if not prefix_ids:
            return None
        if self._kept and self._kept[0] == prefix_ids:
            return self._kept[1]
        self._kept = None  # its memory first
        with self._autocast():
            prefix = SharedPrefix.read(self.model, prefix_ids)
        if self._keeps_prefix:
            self._kept = prefix_ids, prefix
        return prefix

    def _batch_size(self) -> int:
        """The greatest that is tried, if it is to be found."""
        size: int = self.max_batch_size if self.batch_size == "auto" else self.batch_size
        return size

    def _decode_all(self, ids: list[int]) -> str:
        text: str = self.tok_decode(ids, skip_special_tokens=False)
        return text

    def _autocast(self) -> torch.autocast:
        dtype = self.mixed_precision_dtype
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def _require_room(self, row: Sequence[int], new_tokens: int) -> None:
        virtual = virtual_token_count(self.model)
        if virtual + len(row) + new_tokens > self.max_length:
            raise UserError(
                f"A prompt of {len(row)} tokens and {new_tokens} tokens to generate"
                f"{f', behind {virtual} virtual tokens,' if virtual else ''} do not fit into the model's "
                f"{self.max_length}: choose a smaller N or a model with a longer context. "
                f"It begins with {self.tok_decode(row[:20])!r}."
            )


def _no_bars() -> bool:
    """Whether the environment asks for none; lm-eval's own bars do not heed it."""
    return bool(os.environ.get("TQDM_DISABLE"))


def _task_name(request: Instance) -> str | None:
    name: str | None = request.task_name
    return name
