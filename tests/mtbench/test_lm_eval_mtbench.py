"""MT-Bench through lm-eval itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import read_answers
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.lm_eval_samples import add_answers, answers_from_samples
from ia2_eval.mtbench.lm_eval_task import LATER_TURNS
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.scoring.model_answers import GeneratedText
from ia2_eval.shipped import TASKS_DIRECTORY

TRIAL = "ia2_mtbench_trial"
QUESTIONS = load_bench("trial").questions


class Parrot(DummyLM):  # type: ignore[misc]
    """Answers with the length of the prompt, in a code block, and goes on with an invented question."""

    tokenizer = None

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        self.asked += [request.args for request in requests]
        texts = [self.answer(request.args[0]) + "\n```\n\n# Answer:\nmore" for request in requests]
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return [GeneratedText(text, tuple(range(1, 9)), complete=False) for text in texts]

    def answer(self, prompt: str) -> str:
        return f"```python\n{len(prompt)}\n```"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return "".join(f"<{each['role']}>{each['content']}" for each in chat_history)


def evaluate(model: Any, metadata: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata or {})
    results = lm_eval.simple_evaluate(
        model=model, tasks=[TRIAL], task_manager=manager, bootstrap_iters=0, verbosity="ERROR", **settings
    )
    assert results is not None
    return dict(results)


def logged(results: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(results["samples"][TRIAL], key=lambda sample: sample["doc_id"])


@pytest.mark.parametrize("name", ["default", "none"])
def test_the_second_turn_sees_the_first_answer(name: str) -> None:
    parrot = Parrot()
    samples = logged(evaluate(parrot, {"ia2_prompts": name} if name != "default" else {}, limit=3))
    prompt_set = load_prompt_set(name)
    assert len(samples) == 3
    for sample, question in zip(samples, QUESTIONS[:3], strict=True):
        first = prompt_set.prompt(question.turns[:1])
        second = prompt_set.prompt(question.turns, [parrot.answer(first)])
        assert [arguments[0] for arguments in sample["arguments"]] == [first, second]
        assert sample["filtered_resps"] == [parrot.answer(first), parrot.answer(second)]
        assert sample["resps"][1][0].startswith(parrot.answer(second) + "\n```\n\n# Answer:")
    assert [prompt for prompt, _ in parrot.asked[:3]] == [sample["arguments"][0][0] for sample in samples]


def test_metrics_are_those_of_the_answers() -> None:
    class Mixed(Parrot):
        def answer(self, prompt: str) -> str:
            return "" if prompt.count("# Answer:") == 2 else "a b c d a b c d"

    results = evaluate(Mixed(), {"ia2_prompts": "none"}, limit=2, gen_kwargs={"max_gen_toks": 8})["results"][TRIAL]
    # the second answer is empty; of the five 4-grams of the first, the last was there before
    expected = {"repetition": 0.1, "words": 4, "empty": 0.5, "tokens": 8, "truncated": 1}
    assert {name: results[f"{name},none"] for name in expected} == pytest.approx(expected)


def test_what_the_model_does_not_tell_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DummyLM, "tokenizer", None)
    results = evaluate("dummy", limit=2)["results"][TRIAL]
    assert results["words,none"] == 1  # the dummy model says `lol`
    assert not {"tokens,none", "truncated,none"} & set(results)


def test_generation_arguments_reach_both_turns() -> None:
    parrot = Parrot()
    evaluate(parrot, {"ia2_prompts": "none"}, limit=1, gen_kwargs={"max_gen_toks": 5, "until": ["END"]})
    assert [arguments for _, arguments in parrot.asked] == [
        {"until": ["\n# Query:\n", "END"], "do_sample": False, "max_gen_toks": 5}
    ] * 2


def test_paper_clean_up() -> None:
    parrot = Parrot()
    samples = logged(evaluate(parrot, {"ia2_prompts": "none", "ia2_clean_up": "paper"}, limit=1))
    assert "```" not in "".join(samples[0]["filtered_resps"])
    assert parrot.asked[0][1]["until"] == ["# Query", "# User"]


def test_chat_template() -> None:
    parrot = Parrot()
    (sample,) = logged(evaluate(parrot, limit=1, apply_chat_template=True))
    first, second = QUESTIONS[0].turns
    answer = sample["resps"][0][0].strip()
    assert [prompt for prompt, _ in parrot.asked] == [
        f"<user>{first}",
        f"<user>{first}<assistant>{answer}<user>{second}",
    ]


def test_a_prompt_set_beside_a_chat_template_is_refused() -> None:
    with pytest.raises(UserError, match="ia2_prompts without effect: --apply_chat_template"):
        evaluate(Parrot(), {"ia2_prompts": "none"}, limit=1, apply_chat_template=True)


@pytest.mark.parametrize("complete", [True, False, None])
def test_an_answer_that_ended_with_its_last_token_is_not_truncated(complete: bool | None) -> None:
    class Exact(Parrot):
        def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
            return [GeneratedText("a", tuple(range(1, 9)), complete=complete) for _ in requests]

    results = evaluate(Exact(), {"ia2_prompts": "none"}, limit=1, gen_kwargs={"max_gen_toks": 8})["results"][TRIAL]
    assert results["tokens,none"] == 8
    assert results.get("truncated,none") == {True: 0, False: 1, None: None}[complete]


def test_all_turns_are_read_from_the_request_cache(tmp_path: Path) -> None:
    first, again = Parrot(), Parrot()
    cache = str(tmp_path / "cache")
    before, after = (logged(evaluate(model, limit=3, use_cache=cache)) for model in (first, again))
    assert len(first.asked) == 6 and not again.asked
    assert [sample["filtered_resps"] for sample in after] == [sample["filtered_resps"] for sample in before]


def test_sampled_answers_of_a_question_are_conversations_of_their_own() -> None:
    class Counter(Parrot):
        def answer(self, prompt: str) -> str:
            return f"answer {len(self.asked)} {prompt.count('answer 1')}"

        def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
            return [text for request in requests for text in super(Counter, self).generate_until([request])]

    manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False)
    loaded = manager.load([TRIAL])
    loaded["tasks"][TRIAL].set_config(key="repeats", value=2)
    loaded["tasks"][TRIAL].set_config(key="num_fewshot", value=0)
    results = lm_eval.evaluate(Counter(), loaded, limit=1, bootstrap_iters=0)
    (sample,) = results["samples"][TRIAL]
    assert sample["filtered_resps"] == ["answer 1 0", "answer 3 1", "answer 2 0", "answer 4 0"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"ia2_prompt": "none"}, "ia2_prompt.*Did you mean 'ia2_prompts'"),
        ({"ia2_clean_up": "fences"}, "ia2_clean_up is 'fences'.*'fence'"),
        ({"ia2_bench": "trail"}, "trail"),
    ],
)
def test_wrong_metadata_are_refused(metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluate(Parrot(), metadata, limit=1)


def test_metadata_of_other_tasks_are_let_through() -> None:
    assert logged(evaluate(Parrot(), {"ia2_seed": 3}, limit=1))


def test_a_system_instruction_is_refused() -> None:
    with pytest.raises(UserError, match="ia2_prompts"):
        evaluate(Parrot(), limit=1, system_instruction="Be brief.")


def test_models_gain_one_method_and_lose_none() -> None:
    assert LATER_TURNS not in vars(DummyLM) and callable(getattr(DummyLM, LATER_TURNS))


def test_the_answers_are_those_of_generate(embedded_model: OpenModel, tmp_path: Path) -> None:
    decoding = DecodingSettings(max_new_tokens=6)
    layout = Layout(tmp_path / "mtbench")
    ours = generate_answers(embedded_model, QUESTIONS[:4], load_prompt_set("default"), decoding, layout, "m")
    tracker = EvaluationTracker(output_path=str(tmp_path / "lm_eval" / "results.json"))
    results = evaluate(embedded_model.lm, limit=4, gen_kwargs={"max_gen_toks": 6}, evaluation_tracker=tracker)
    tracker.save_results_aggregated(results={"results": results["results"]}, samples=results["samples"])
    tracker.save_results_samples(TRIAL, results["samples"][TRIAL])
    (path,) = (tmp_path / "lm_eval").glob("samples_*.jsonl")
    theirs = answers_from_samples(path, "m")
    assert [(a.question_id, [c.turns for c in a.choices]) for a in theirs] == [
        (a.question_id, [c.turns for c in a.choices]) for a in ours
    ]
    lengths = [count for answer in ours for choice in answer.choices for count in choice.tokens if count is not None]
    assert results["results"][TRIAL]["tokens,none"] == pytest.approx(sum(lengths) / 8)


def test_answers_are_added_under_a_name_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    row = {"doc": {"question_id": 1, "category": "math", "turns": ["a", "b"]}, "filtered_resps": ["x", "y"]}
    path.write_text(json.dumps(row) + "\n")
    for _ in range(2):
        add_answers(tmp_path / "out", f"org/model={path}")
    (answers,) = read_answers(Layout(tmp_path / "out").answers("org_model"))
    assert answers.model_id == "org_model" and answers.choices[0].turns == ("x", "y")
    path.write_text(json.dumps(row | {"filtered_resps": ["x", "z"]}) + "\n")
    with pytest.raises(UserError, match="has other answers than"):
        add_answers(tmp_path / "out", f"org/model={path}")
    with pytest.raises(UserError, match="give NAME=FILE"):
        add_answers(tmp_path / "out", "model")


def test_samples_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    row = {"doc": {"question_id": 1, "category": "math", "turns": ["a", "b"]}, "filtered_resps": ["x", "y"]}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match="question 1 is there twice"):
        answers_from_samples(path, "m")
    path.write_text(json.dumps(row | {"filtered_resps": ["x", "y", "z"]}) + "\n")
    with pytest.raises(UserError, match="3 answers to the 2 turns of question 1"):
        answers_from_samples(path, "m")
    path.write_text(json.dumps({"doc": {"text": "x"}, "filtered_resps": ["x"]}) + "\n")
    with pytest.raises(UserError, match="lm-eval's samples"):
        answers_from_samples(path, "m")
