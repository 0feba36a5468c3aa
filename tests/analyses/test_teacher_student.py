from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from ia2_training import PromptAdapter, TrainingExample, attach
from torch import Tensor

from ia2_eval.analyses.teacher_student import Teacher
from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.lm.base_model import BaseModel
from ia2_eval.scoring.answers import ANSWER_FORMATS
from tests.analyses.stored_run import adapted, embedded

HASH_END = ANSWER_FORMATS["hash_line"].end


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return embedded()


def examples(source: str, count: int = 4, demonstrations: int = 4) -> list[TrainingExample]:
    data = load_benchmark(source)
    shown = tuple(example.text for example in draw_training_set(data, 4, seed=0).train[:demonstrations])
    return [TrainingExample(query.prompt, query.answer, shown) for query in data.evaluation[:count]]


def make_teacher(base: BaseModel, queries: Sequence[TrainingExample], tokens: int, **settings: Any) -> Teacher:
    defaults: dict[str, Any] = {"answer_end": HASH_END if tokens > 1 else None, "batch_size": 3}
    return Teacher(base.model, base.tokenizer, queries, max_new_tokens=tokens, **defaults | settings)


@torch.no_grad()
def slow_outputs(model: torch.nn.Module, ids: Sequence[int], count: int) -> Tensor:
    """[L, count, d] of one sequence, from hooks of its own."""
    found: list[Tensor] = []
    layers = [module for name, module in model.named_modules() if name.endswith("self_attn")]
    hooks = [layer.register_forward_hook(lambda _, __, output: found.append(output[0][0])) for layer in layers]
    model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return torch.stack(found)[:, -count:]


@torch.no_grad()
def slow_greedy(model: torch.nn.Module, base: BaseModel, text: str, tokens: int) -> list[int]:
    """Tokens one by one, up to the end of the answer and one more, or an end token."""
    ids = base.tokenizer(text)["input_ids"]
    response: list[int] = []
    ended = False
    while len(response) < tokens and not ended:
        ended = tokens > 1 and HASH_END(base.tokenizer.decode(response)) is not None
        response.append(int(model(torch.tensor([ids + response])).logits[0, -1].argmax()))
        ended = ended or response[-1] == base.tokenizer.eos_token_id
    return response


def slow_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    pairs = zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True)
    return torch.tensor([float(s @ t / (s.norm() * t.norm())) for s, t in pairs]).reshape(student.shape[:2])


@pytest.mark.parametrize(("source", "tokens"), [("embedded_mood", 1), ("embedded_arithmetic", 12)])
def test_teacher_forced_similarity_is_that_of_one_example_at_a_time(base: BaseModel, source: str, tokens: int) -> None:
    queries = examples(source)
    teacher, student = make_teacher(base, queries, tokens), adapted(base, seed=1)
    for query, targets, found in zip(queries, teacher.targets, teacher.teacher_forced(student), strict=True):
        response = list(targets.response_ids)
        of_teacher = slow_outputs(base.model, base.tokenizer(query.context)["input_ids"] + response[:-1], len(response))
        of_student = slow_outputs(student, base.tokenizer(query.prompt)["input_ids"] + response[:-1], len(response))
        assert found.shape == (4, len(response))
        torch.testing.assert_close(found, slow_cosine(of_student, of_teacher), atol=1e-4, rtol=0)


def test_free_running_similarity_is_cut_to_the_shorter_response(base: BaseModel) -> None:
    queries = examples("embedded_arithmetic")
    teacher, student = make_teacher(base, queries, 12), adapted(base, seed=3, size=0.05)
    shorter = set()
    for query, targets, found in zip(queries, teacher.targets, teacher.free_running(student), strict=True):
        own, other = slow_greedy(student, base, query.prompt, 12), list(targets.response_ids)
        count = min(len(own), len(other))
        shorter.add((len(own) > count, len(other) > count))
        prompt, context = base.tokenizer(query.prompt)["input_ids"], base.tokenizer(query.context)["input_ids"]
        of_student = slow_outputs(student, prompt + own[: count - 1], count)
        of_teacher = slow_outputs(base.model, context + other[: count - 1], count)
        assert found.shape == (4, count)
        torch.testing.assert_close(found, slow_cosine(of_student, of_teacher), atol=1e-4, rtol=0)
    assert shorter & {(True, False), (False, True)}  # else nothing was cut


@pytest.mark.parametrize("way", ["teacher_forced", "free_running"])
@pytest.mark.parametrize(("source", "tokens"), [("embedded_mood", 1), ("embedded_arithmetic", 12)])
def test_a_teacher_without_demonstrations_is_the_base_itself(
    base: BaseModel, source: str, tokens: int, way: str
) -> None:
    teacher = make_teacher(base, examples(source, demonstrations=0), tokens)
    grids = getattr(teacher, way)(base.model)
    assert [grid.shape[1] for grid in grids] == [len(targets.response_ids) for targets in teacher.targets]
    for grid in grids:
        torch.testing.assert_close(grid, torch.ones_like(grid), atol=1e-5, rtol=0)


def test_demonstrations_make_a_difference_and_single_token_tasks_have_one_way(base: BaseModel) -> None:
    teacher = make_teacher(base, examples("embedded_mood"), 1)
    forced, free = teacher.teacher_forced(base.model), teacher.free_running(base.model)
    assert all(torch.equal(*pair) for pair in zip(forced, free, strict=True))
    assert max(float(grid.min()) for grid in forced) < 0.9


def test_a_student_that_gives_the_teachers_response_is_not_cut_before_the_end_that_it_predicts(base: BaseModel) -> None:
    """The demonstrations are in the query, so that both read the same, answer, and end the answer."""
    queries = [TrainingExample(query.context, query.answer) for query in examples("embedded_arithmetic")]
    teacher = make_teacher(base, queries, 14)
    for grid, targets in zip(teacher.free_running(base.model), teacher.targets, strict=True):
        assert base.tokenizer.eos_token_id == targets.response_ids[-1]
        assert grid.shape[1] == len(targets.response_ids) < 14
        torch.testing.assert_close(grid, torch.ones_like(grid), atol=1e-5, rtol=0)


@pytest.mark.parametrize("way", ["teacher_forced", "free_running"])
def test_neighbours_in_a_batch_make_no_difference(base: BaseModel, way: str) -> None:
    """Queries of 11 and 87 tokens, and an adapter that writes before them."""
    short, long = examples("embedded_arithmetic", 2)
    queries = [TrainingExample(short.prompt, ""), TrainingExample(long.context, "")]
    for student in (adapted(base, seed=1), attach(embedded().model, PromptAdapter(20), seed=0)):
        alone, together = (
            getattr(make_teacher(base, queries, 12, batch_size=size), way)(student) for size in (1, len(queries))
        )
        for pair in zip(alone, together, strict=True):
            torch.testing.assert_close(*pair, atol=1e-4, rtol=0)
