"""What the judge is sent is what FastChat would send."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging.fastchat_judges import fastchat_judges
from ia2_eval.mtbench.judging.matches import read_all_answers
from ia2_eval.mtbench.judging.pair_matches import pair_matches
from ia2_eval.mtbench.judging.single_matches import single_matches
from tests.mtbench.judged_answers import quick, write_answers


@pytest.fixture(params=["trial", "mt_bench"])
def bench(request):
    if request.param == "trial":
        return load_bench("trial")
    return load_bench("mt_bench", request.getfixturevalue("shared_data"))


@pytest.fixture
def fastchat(monkeypatch):
    """FastChat's `common` with all of it that calls no API, and the messages that it would have sent."""
    from fastchat.conversation import get_conv_template

    sent = []

    def capture(model, conv, temperature, max_tokens):
        assert (temperature, max_tokens) == (0, 2048)
        sent.append(conv.to_openai_api_messages())
        return "Rating: [[5]] or [[A]]"

    names = fastchat_judges().play_a_match_single.__globals__
    monkeypatch.setitem(names, "get_conversation_template", lambda model: get_conv_template("chatgpt"))
    monkeypatch.setitem(names, "OPENAI_MODEL_LIST", ("gpt-4",))
    monkeypatch.setitem(names, "chat_completion_openai", capture)
    return names, sent


FASTCHAT_WITHOUT_TORCH = """
import sys
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock


class Hollow:
    def find_spec(self, name, path, target=None):
        return ModuleSpec(name, self) if name.split(".")[0] in ("torch", "transformers", "accelerate") else None

    def create_module(self, spec):
        return MagicMock(__path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Hollow())
from fastchat.model.model_adapter import OPENAI_MODEL_LIST, get_conversation_template

print("gpt-4" in OPENAI_MODEL_LIST, get_conversation_template("gpt-4").name)
"""


def test_fastchat_uses_its_chatgpt_template_for_gpt_4():
    done = subprocess.run([sys.executable, "-c", FASTCHAT_WITHOUT_TORCH], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "chatgpt"]


def fastchat_matches(bench, make, models, answers, judges, baseline=None):
    """As the script `gen_judgment` makes them."""
    rows = [question.model_dump(mode="json") for question in bench.questions]
    math = [row for row in rows if row["category"] in fastchat_judges().NEED_REF_CATS]
    default = [row for row in rows if row["category"] not in fastchat_judges().NEED_REF_CATS]
    references = {"gpt-4": bench.references}
    return [
        *make(default, models, answers, judges["default"], baseline),
        *make(math, models, answers, judges["math"], baseline, references),
        *make(default, models, answers, judges["default-mt"], baseline, multi_turn=True),
        *make(math, models, answers, judges["math-mt"], baseline, references, multi_turn=True),
    ]


def test_all_prompts_of_single_grading_are_those_of_fastchat(bench, fastchat, tmp_path, capsys):
    names, sent = fastchat
    layout = write_answers(tmp_path, bench, ["m"])
    answers = names["load_model_answers"](str(layout.answers_directory))
    judges = fastchat_judges().make_judge_single("gpt-4", bench.judge_prompts)
    theirs = {}
    for match in fastchat_matches(bench, fastchat_judges().make_match_single, ["m"], answers, judges):
        row = names["play_a_match_single"](match, output_file=None)
        theirs[row["question_id"], row["turn"]] = (sent.pop(), list(row["judge"]), row["user_prompt"])
    ours = {}
    for match in single_matches(bench, read_all_answers(layout, bench, None), quick(None, model="gpt-4"), 1):
        (call,) = match.calls
        ours[match.identity[1:3]] = (list(call.messages), [call.judge, call.prompt], call.user_prompt)
    assert len(ours) == 2 * len(bench.questions) >= 32
    assert ours == theirs


@pytest.mark.parametrize("baseline", [None, "m2"])
def test_all_prompts_of_comparisons_are_those_of_fastchat_in_both_orders(bench, fastchat, tmp_path, capsys, baseline):
    names, sent = fastchat
    models = ["m1", "m2", "m3"]
    layout = write_answers(tmp_path, bench, models)
    answers = names["load_model_answers"](str(layout.answers_directory))
    judges = fastchat_judges().make_judge_pairwise("gpt-4", bench.judge_prompts)
    make = fastchat_judges().make_match if baseline else fastchat_judges().make_match_all_pairs
    theirs = {}
    for match in fastchat_matches(bench, make, models, answers, judges, baseline):
        row = names["play_a_match_pair"](match, output_file=None)
        theirs[row["model_1"], row["model_2"], row["question_id"], row["turn"]] = ([*sent], list(row["judge"]))
        sent.clear()
    matches = pair_matches(bench, read_all_answers(layout, bench, None), quick(None, model="gpt-4"), baseline)
    ours = {
        match.identity: ([list(call.messages) for call in match.calls], [call.judge, call.prompt])
        for match in matches
        for call in match.calls[:1]
    }
    assert len(ours) == len(matches) == (2 if baseline else 3) * 2 * len(bench.questions)
    assert ours == theirs


def test_the_calls_of_mt_bench_are_160(shared_data, tmp_path):
    bench = load_bench("mt_bench", shared_data)
    layout = write_answers(tmp_path, bench, ["m"])
    matches = single_matches(bench, read_all_answers(layout, bench, None), quick(None, model="some-other-judge"), 1)
    counts = {}
    for match in matches:
        counts[match.calls[0].prompt] = counts.get(match.calls[0].prompt, 0) + 1
    assert counts == {
        "single-v1": 50,
        "single-math-v1": 30,
        "single-v1-multi-turn": 50,
        "single-math-v1-multi-turn": 30,
    }


def test_an_empty_system_prompt_is_not_sent(trial_bench, tmp_path):
    prompts = {name: {**row, "system_prompt": ""} for name, row in trial_bench.judge_prompts.items()}
    bench = replace(trial_bench, judge_prompts=prompts)
    layout = write_answers(tmp_path, bench, ["m"], questions=1)
    for match in single_matches(bench, read_all_answers(layout, bench, None), quick(None), 1):
        assert [message["role"] for message in match.calls[0].messages] == ["user"]


def test_importing_fastchats_rules_leaves_no_trace():
    code = (
        "import sys; sys.modules['anthropic'] = theirs = object();"
        "from ia2_eval.mtbench.judging.fastchat_judges import fastchat_judges;"
        "assert fastchat_judges().make_judge_single;"
        "assert sys.modules['anthropic'] is theirs;"
        "names = ('openai', 'torch', 'fastchat.model', 'fastchat.model.model_adapter',"
        "         'fastchat.llm_judge.common', 'fastchat.llm_judge.gen_judgment');"
        "assert not [name for name in names if name in sys.modules], sorted(sys.modules);"
        "import fastchat.llm_judge; assert not hasattr(fastchat.llm_judge, 'common')"
    )
    subprocess.run([sys.executable, "-W", "error::SyntaxWarning", "-c", code], check=True)


def test_every_sample_is_judged_by_its_own_text(trial_bench, tmp_path):
    layout = write_answers(tmp_path, trial_bench, ["m"], samples=3, questions=2)
    matches = single_matches(trial_bench, read_all_answers(layout, trial_bench, None), quick(None), 2)
    assert [match.identity for match in matches] == [
        ("m", question, turn, sample, repeat)
        for question in (1, 2)
        for turn in (1, 2)
        for sample in (0, 1, 2)
        for repeat in (0, 1)
    ]
    rows = [json.loads(line) for line in layout.answers("m").read_text().splitlines()]
    for match in matches:
        _, question, turn, sample, _ = match.identity
        turns = rows[question - 1]["choices"][sample]["turns"]
        assert turns[turn - 1] in match.calls[0].user_prompt
    assert len({match.key for match in matches}) == len(matches)
