"""MT-Bench as a task of lm-eval: what `class:` and `custom_dataset:` in `tasks/*mtbench*.yaml` name.

lm-eval runs each type of request once, and knows no request that needs the answer to another. A later turn is here a
request of a type of its own, `generate_later_turns`, which lm-eval calls by that name on its model, after
`generate_until`. Importing this module gives every model a method of that name; it completes the requests with the
answers of before and hands them to the model's own `generate_until`, turn by turn. So the request cache, the logged
samples (the prompts of later turns too) and several processes work as for any other task.

Metadata: `ia2_bench`, `ia2_prompts`, `ia2_clean_up`, `ia2_data_dir`; see `load`. With `--apply_chat_template` the
questions go through the model's chat template, without a prompt set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lm_eval.api.filter import Filter, FilterEnsemble
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM, CachingLM
from lm_eval.api.task import ConfigurableTask

from ia2_eval.benchmarks import lm_eval_dataset
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.answers import Choice, ModelAnswer
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.generation.conversation import CLEAN_UPS, ChatConversation, Conversation, UrialConversation
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.reports.degeneration import MEASURES, degeneration
from ia2_eval.scoring.model_answers import GeneratedText

if TYPE_CHECKING:
    from datasets import DatasetDict

KEYS = (*lm_eval_dataset.MTBENCH_KEYS, "ia2_data_dir")
LATER_TURNS = "generate_later_turns"


class LaterTurn(Instance):  # type: ignore[misc]
    """The request for the answer to a turn but the first, whose prompt is known once the turns before are answered."""

    arguments: tuple[str, dict[str, Any]]

    def __init__(self, earlier: Sequence[Instance], conversation: Conversation, doc: dict[str, Any], **fields: Any):
        """
        Args:
            earlier: requests of all turns before.
            conversation: how the model is asked.
            doc: of the data set.
            fields: of `Instance`.
        """
        super().__init__(LATER_TURNS, doc, ("", dict(earlier[0].arguments[1])), **fields)
        self.earlier, self.conversation = tuple(earlier), conversation
        self.turn = len(earlier)
        self.generated = ""

    def complete(self) -> None:
        texts = [each.generated if isinstance(each, LaterTurn) else each.resps[0] for each in self.earlier]
        answers = [self.conversation.clean(text) for text in texts]
        self.arguments = (self.conversation.prompt(self.doc["turns"][: self.turn + 1], answers), self.arguments[1])


def generate_later_turns(lm: Any, requests: Sequence[LaterTurn]) -> list[str]:
    """Texts for the requests, in their order."""
    for turn in sorted({request.turn for request in requests}):
        of_turn = [request for request in requests if request.turn == turn]
        for request in of_turn:
            request.complete()
        for request, text in zip(of_turn, lm.generate_until(of_turn), strict=True):
            request.generated = text
    return [request.generated for request in requests]


for model_class in (LM, CachingLM):  # lm-eval's request cache is no `LM`, and passes unknown methods by
    setattr(model_class, LATER_TURNS, generate_later_turns)


class MTBenchTask(ConfigurableTask):  # type: ignore[misc]
    """Conversations of two turns, whose later questions follow the answers to the earlier ones."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        settings = dict(config)
        settings.pop("class", None)
        metadata = self._metadata = settings.get("metadata") or {}
        prompt_set = load_prompt_set(metadata.get("ia2_prompts", "default"), _directory(metadata.get("ia2_data_dir")))
        self.conversation: Conversation = UrialConversation(prompt_set, _clean_up(metadata.get("ia2_clean_up")))
        super().__init__(config=settings)
        self._filters = [FilterEnsemble("none", [lambda: _CleanUp(self)])]

    def build_all_requests(
        self,
        *,
        system_instruction: str | None = None,
        apply_chat_template: bool = False,
        chat_template: Callable[..., str] | None = None,
        cache_requests: bool = False,
        **settings: Any,
    ) -> None:
        """As lm-eval does. Built requests are never kept: lm-eval would file them without the prompt set's name."""
        if system_instruction:
            raise UserError("MT-Bench takes no --system_instruction: the prompt set (ia2_prompts) has the instruction")
        if apply_chat_template:
            if given := [key for key in ("ia2_prompts", "ia2_clean_up") if key in self._metadata]:
                raise UserError(f"{' and '.join(given)} without effect: --apply_chat_template takes no prompt set")
            self.conversation = ChatConversation(SimpleNamespace(apply_chat_template=chat_template))
        super().build_all_requests(**settings)

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: object = None) -> str:
        return self.conversation.prompt(doc["turns"][:1], ())

    def fewshot_context(self, doc: Mapping[str, Any], *arguments: Any, **settings: Any) -> str:
        return self.doc_to_text(doc)  # the prompt set has the demonstrations

    def construct_requests(
        self, doc: dict[str, Any], ctx: str, *, metadata: tuple[str, int, int], **settings: Any
    ) -> list[Instance]:
        """The turns of each sample, one request each."""
        name, doc_id, samples = metadata
        asked = dict(self.config.generation_kwargs)
        asked["until"] = [*self.conversation.until, *_listed(asked.get("until"))]
        requests: list[Instance] = []
        for _ in range(samples):
            turns: list[Instance] = []
            for _ in doc["turns"]:
                fields = {"idx": len(requests) + len(turns), "metadata": (name, doc_id, 1)}
                turns.append(
                    LaterTurn(turns, self.conversation, doc, **fields)
                    if turns
                    else Instance("generate_until", doc, (ctx, asked), **fields)
                )
            requests += turns
        return requests

    def answer(self, text: str) -> Answer:
        """What of a generated text is the answer."""
        tokens = len(text.token_ends) if isinstance(text, GeneratedText) and text.token_ends else None
        complete = text.complete if isinstance(text, GeneratedText) else None
        return Answer(self.conversation.clean(text), tokens, None if complete is None else not complete)


class Answer(str):
    """A cleaned answer, with what is known of how it was generated."""

    tokens: int | None
    truncated: bool | None

    def __new__(cls, text: str, tokens: int | None = None, truncated: bool | None = None) -> Answer:
        answer = super().__new__(cls, text)
        answer.tokens, answer.truncated = tokens, truncated
        return answer


class _CleanUp(Filter):  # type: ignore[misc]
    """From texts to answers; lm-eval logs both."""

    def __init__(self, task: MTBenchTask) -> None:
        self.task = task

    def apply(self, resps: Sequence[Sequence[str]], docs: Sequence[object]) -> list[Answer]:
        return [self.task.answer(texts[0]) for texts in resps]


def process_results(doc: Mapping[str, Any], results: Sequence[Answer]) -> dict[str, Any]:
    """Measures of a conversation's answers that need no judge; those of tokens where the model tells its tokens."""
    turns = len(doc["turns"])
    samples = [results[first : first + turns] for first in range(0, len(results), turns)]
    choices = tuple(
        Choice(
            index=index,
            turns=tuple(map(str, answers)),
            tokens=tuple(answer.tokens for answer in answers),
            truncated=tuple(answer.truncated for answer in answers),
        )
        for index, answers in enumerate(samples)
    )
    measured = degeneration([ModelAnswer(question_id=doc["question_id"], model_id="", choices=choices)])
    estimates = {measure: measured.part(measure) for measure in MEASURES}
    return {measure: estimate.value for measure, estimate in estimates.items() if estimate is not None}


def load(
    *,
    ia2_bench: str = "mt_bench",
    ia2_prompts: str = "default",
    ia2_clean_up: str = "fence",
    ia2_data_dir: str | None = None,
    **others: object,
) -> DatasetDict:
    """The questions of a bench, in the split `test`.

    Args:
        ia2_bench: `mt_bench`, `trial`, or a directory in FastChat's layout.
        ia2_prompts: the prompt set, by a name or as a file (see `load_prompt_set`).
        ia2_clean_up: `fence`, or `paper` for the published clean-up of answers.
        ia2_data_dir: local data directory; None for `IA2_DATA_DIR`, else a download.
        others: what lm-eval passes along: the task's version and every model argument. Ignored.

    Raises:
        UserError: an unknown `ia2_` key, or a bench that cannot be used.
    """
    from datasets import Dataset, DatasetDict

    known = (*KEYS, *lm_eval_dataset.KEYS)  # the metadata of a command are those of all its tasks
    for key in others:
        if key.startswith("ia2_") and key not in known:
            raise UserError(f"Unknown metadata key {key!r}.{did_you_mean(key, known)}")
    _clean_up(ia2_clean_up)
    bench = load_bench(ia2_bench, _directory(ia2_data_dir))
    return DatasetDict(
        test=Dataset.from_list(
            [
                {
                    "question_id": question.question_id,
                    "category": question.category,
                    "turns": list(question.turns),
                    "prompts": ia2_prompts,
                    "clean_up": ia2_clean_up,
                }
                for question in bench.questions
            ]
        )
    )


def _clean_up(name: Any) -> Any:
    if name is not None and name not in CLEAN_UPS:
        raise UserError(f"ia2_clean_up is {name!r}.{did_you_mean(str(name), CLEAN_UPS)}")
    return name or "fence"


def _directory(name: str | None) -> Path | None:
    return Path(name) if name else None


def _listed(until: Any) -> list[str]:
    return [until] if isinstance(until, str) else list(until or ())
