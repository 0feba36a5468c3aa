from __future__ import annotations

import pytest
import torch

from ia2_eval.mtbench.answer_likelihoods import answer_likelihoods
from ia2_eval.mtbench.comparison.formats import NOTHING, first_answer
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn

HELD_OUT = [
    Demonstration(turns=(Turn(query="Sam had 7 eggs", answer="7 - 7 = 0"), Turn(query="More?", answer="No."))),
    Demonstration(turns=(Turn(query="Tom had 8 nuts then lost 4", answer="8 - 4 = 4 #### 4"),)),
]


@pytest.mark.parametrize("shown", [NOTHING, build_prompt_set("one", "Count.", HELD_OUT[:1])], ids=["none", "one"])
def test_against_one_pass_over_each_text(embedded_model: OpenModel, shown: PromptSet) -> None:
    model, tokenizer = embedded_model.transformer
    expected = []
    for example in HELD_OUT:
        prompt = shown.prompt([example.turns[0].query])
        ids = tokenizer(f"{prompt}{example.turns[0].answer}\n```", return_tensors="pt")["input_ids"]
        begins = len(tokenizer(prompt.rstrip())["input_ids"])
        with torch.no_grad():
            log_probabilities = model(ids).logits[0].log_softmax(-1)
        of_tokens = [log_probabilities[place - 1, ids[0, place]].item() for place in range(begins, ids.shape[1])]
        expected.append(sum(of_tokens) / len(of_tokens))
    found = answer_likelihoods(embedded_model, shown, [first_answer(each) for each in HELD_OUT])
    assert [each.nats / each.tokens for each in found] == pytest.approx(expected, abs=1e-4)


def test_nothing_held_out(embedded_model: OpenModel) -> None:
    assert answer_likelihoods(embedded_model, NOTHING, []) == []
