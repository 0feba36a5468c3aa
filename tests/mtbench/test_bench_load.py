from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench import bench as bench_module
from ia2_eval.mtbench.bench import SLOTS, TRIAL_DIRECTORY, load_bench

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
Rows = list[dict[str, Any]]


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The trial bench as a directory in FastChat's layout."""
    directory = tmp_path / "own"
    for name in ("question.jsonl", "judge_prompts.jsonl"):
        write_lines(directory / name, lines(TRIAL_DIRECTORY / name))
    write_lines(directory / "reference_answer" / "gpt-4.jsonl", lines(TRIAL_DIRECTORY / "reference_answer/trial.jsonl"))
    return directory


def test_the_trial_bench_has_two_questions_of_each_category_and_the_eight_prompts() -> None:
    bench = load_bench("trial")
    assert [question.question_id for question in bench.questions] == list(range(1, 17))
    assert set(Counter(question.category for question in bench.questions).values()) == {2}
    assert {question.category for question in bench.questions} == {
        *("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
    }
    assert all(len(question.turns) == 2 for question in bench.questions)
    assert set(bench.judge_prompts) == set(SLOTS) and len(SLOTS) == 8
    assert {question.question_id for question in bench.questions if question.needs_reference} == set(bench.references)
    assert bench.reference_source == "trial (trial.jsonl)"


def test_trial_prompts_ask_for_the_verdict_in_fastchats_form() -> None:
    for name, prompt in load_bench("trial").judge_prompts.items():
        wanted = ["[[rating]]"] if name.startswith("single") else ["[[A]]", "[[B]]", "[[C]]"]
        said = prompt["system_prompt"] + prompt["prompt_template"]
        assert all(form in said for form in wanted), name
        assert prompt["output_format"] == wanted[0]
        assert {slot for _, slot, _, _ in Formatter().parse(prompt["prompt_template"]) if slot} == SLOTS[name]


def test_worked_references_of_the_trial_bench_are_right() -> None:
    code: dict[str, Any] = {}
    references = load_bench("trial").references
    for question in (9, 10):
        answer = references[question]["choices"][0]["turns"][0]
        exec(answer.partition("```python\n")[2].partition("```")[0], code)
    assert [code["longest_run"](text) for text in ("", "a", "aabbb", "abab")] == [0, 1, 3, 1]
    assert code["merge"]([1, 3, 3], [2, 3, 9]) == [1, 2, 3, 3, 3, 9] and code["merge"]([], [4]) == [4]
    exec(references[9]["choices"][0]["turns"][1].partition("```python\n")[2].partition("```")[0], code)
    assert [code["longest_run"](text) for text in ("", "aabb", "abbb")] == [(0, ""), (2, "a"), (3, "b")]


def test_a_directory_in_fastchats_layout(own: Path) -> None:
    bench, trial = load_bench(str(own)), load_bench("trial")
    assert bench.questions == trial.questions and bench.judge_prompts == trial.judge_prompts
    assert bench.references == trial.references and bench.sha256 == trial.sha256
    assert bench.reference_source == "trial (gpt-4.jsonl)"
    (own / "judge_prompts.jsonl").rename(own.parent / "judge_prompts.jsonl")
    (own / "reference_answer" / "gpt-4.jsonl").rename(own / "reference_answer_gpt-4.jsonl")
    assert load_bench(str(own)).sha256 == trial.sha256


def test_mt_bench_comes_from_local_data(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.rename(own.with_name("mt_bench"))
    assert load_bench(data_dir=own.parent).sha256 == load_bench("trial").sha256
    monkeypatch.setenv("IA2_DATA_DIR", str(own.parent))
    assert load_bench().name == "mt_bench"


def test_mt_bench_is_downloaded_where_it_is_not_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bench_module, "download", lambda file: asked.append(file.path) or tmp_path / file.path)
    with pytest.raises(UserError, match=r"mt_bench has no judge_prompts\.jsonl or \.\./judge_prompts\.jsonl"):
        load_bench("mt_bench", data_dir=tmp_path)
    assert [Path(path).name for path in asked] == ["question.jsonl", "gpt-4.jsonl", "judge_prompts.jsonl"]


def test_other_references_are_another_bench(own: Path) -> None:
    rows = lines(own / "reference_answer" / "gpt-4.jsonl")
    rows[0] |= {"model_id": "own", "choices": [{"index": 0, "turns": ["Ravi.", "Kim."]}]}
    write_lines(own / "better.jsonl", rows)
    bench = load_bench("trial", references=own / "better.jsonl")
    assert bench.references[5]["choices"][0]["turns"] == ["Ravi.", "Kim."]
    assert bench.reference_source == "own, trial (better.jsonl)"
    assert bench.sha256 != load_bench("trial").sha256


def test_all_faults_are_listed(own: Path) -> None:
    questions = lines(own / "question.jsonl")
    questions[0]["turns"].append("A third turn?")
    write_lines(own / "question.jsonl", questions)
    prompts = lines(own / "judge_prompts.jsonl")
    prompts[0]["prompt_template"] = "{question} {answre}"
    prompts[1]["prompt_template"] += " {"
    prompts[3]["output_format"] = "[[A]]"
    write_lines(own / "judge_prompts.jsonl", prompts[:-1])
    references = lines(own / "reference_answer" / "gpt-4.jsonl")
    references[0]["choices"][0]["turns"].pop()
    write_lines(own / "reference_answer" / "gpt-4.jsonl", references[:-2])
    with pytest.raises(UserError) as caught:
        load_bench(str(own))
    message = str(caught.value)
    for fault in (
        "there is no judge prompt pair-math-v1-multi-turn",
        "single-v1: the template lacks {answer}",
        "single-v1: the template has {answre}, which nothing fills in",
        "single-math-v1: the template is broken",
        "single-math-v1-multi-turn: output_format is '[[A]]', must be '[[rating]]'",
        "the question 1 has 3 turns",
        "there is no reference answer to 9, 10",
        "the reference to 5 has 1 turns, the question 2",
    ):
        assert fault in message


def test_an_unknown_bench_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no bench 'trail', and no directory of that name\. Did you mean 'trial'"):
        load_bench("trail")
    with pytest.raises(UserError, match=r"has no judge_prompts\.jsonl"):
        load_bench(str(tmp_path))


@pytest.mark.skipif(not (SHARED / "mt_bench").is_dir(), reason="the real MT-Bench is not beside the checkout")
def test_the_real_mt_bench() -> None:
    bench = load_bench("mt_bench", SHARED)
    assert [question.question_id for question in bench.questions] == list(range(81, 161))
    assert len(bench.references) == 30 and bench.reference_source == "gpt-4 (reference_answer_gpt-4.jsonl)"
    example = load_bench(str(SHARED / "mt_bench" / "skycamp"))  # FastChat's own example, prompts one directory up
    assert len(example.questions) == 5 and example.judge_prompts == bench.judge_prompts
    trial_turns = {turn for question in load_bench("trial").questions for turn in question.turns}
    assert not trial_turns & {turn for question in bench.questions for turn in question.turns}
