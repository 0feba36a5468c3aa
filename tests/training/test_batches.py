from __future__ import annotations

import pytest
import torch
from ia2_training.batches import TokenSequence, encode_answer, encode_prompt, left_pad, make_batch, pad_left
from ia2_training.examples import TrainingExample
from transformers import PreTrainedModel, PreTrainedTokenizerFast

SEQUENCES = [TokenSequence((9, 8, 7), (11, 12)), TokenSequence((6,), (13,)), TokenSequence((5, 4), (14, 15, 16, 17))]


def test_context_is_demonstrations_then_prompt_with_blank_lines_between() -> None:
    assert TrainingExample("Q:", "a", ("Q1:a1", "Q2:a2")).context == "Q1:a1\n\nQ2:a2\n\nQ:"
    assert TrainingExample("Q:", "a").context == "Q:"


def test_left_pad() -> None:
    ids, mask, positions = left_pad([(7, 8, 9), (5,)])
    assert ids.tolist() == [[7, 8, 9], [0, 0, 5]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_pad_left() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert pad_left(rows, 4, dim=1).tolist() == [[0, 0, 1, 2], [0, 0, 3, 4]]
    assert pad_left(rows, 3, dim=0).tolist() == [[0, 0], [1, 2], [3, 4]]
    assert pad_left(rows, 2, dim=0) is rows


def test_responses_end_together_and_their_last_token_is_not_forwarded() -> None:
    batch = make_batch(SEQUENCES)
    assert batch.input_ids.tolist() == [[0, 9, 8, 7, 11], [0, 0, 0, 0, 6], [5, 4, 14, 15, 16]]
    assert batch.response_ids.tolist() == [[0, 0, 11, 12], [0, 0, 0, 13], [14, 15, 16, 17]]
    assert batch.response_mask.tolist() == [
        [False, False, True, True],
        [False, False, False, True],
        [True, True, True, True],
    ]


def test_the_last_logits_predict_the_response(model: PreTrainedModel) -> None:
    logits = make_batch(SEQUENCES).logits(model, last=4)
    for row, sequence in enumerate(SEQUENCES):
        tokens = torch.tensor([sequence.prompt_ids + sequence.response_ids])
        first = len(sequence.prompt_ids) - 1  # the position that predicts the first response token
        expected = model(tokens).logits[0, first:-1]
        torch.testing.assert_close(logits[row, -len(sequence.response_ids) :], expected, atol=1e-5, rtol=0)


def test_padding_tokens_change_nothing(model: PreTrainedModel) -> None:
    zero, other = make_batch(SEQUENCES, pad_id=0), make_batch(SEQUENCES, pad_id=33)
    assert not torch.equal(zero.input_ids, other.input_ids)
    real = zero.response_mask
    assert torch.equal(zero.logits(model, last=4)[real], other.logits(model, last=4)[real])


def test_prompt_has_the_special_tokens_of_its_tokenizer(tokenizer: PreTrainedTokenizerFast, family: str) -> None:
    ids = encode_prompt(tokenizer, "Text:w1")
    assert tokenizer.convert_ids_to_tokens(ids) == (["<bos>"] if family == "llama" else []) + ["Text", ":", "w1"]


def test_answer_has_no_special_tokens_and_ends_only_in_multi_token_tasks(
    tokenizer: PreTrainedTokenizerFast, family: str
) -> None:
    tokens = tokenizer.convert_ids_to_tokens
    assert tokens(encode_answer(tokenizer, "1", max_new_tokens=1)) == ["1"]
    assert tokens(encode_answer(tokenizer, "w1.", max_new_tokens=2)) == ["w1", ".", "<eos>"]
    assert tokens(encode_answer(tokenizer, "w1 w2", max_new_tokens=2)) == ["w1", " ", "w2", "<eos>"]  # not cut


def test_what_cannot_be_trained_on_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="prompt ''"):
        encode_prompt(tokenizer, "")
    with pytest.raises(ValueError, match="answer ''"):
        encode_answer(tokenizer, "", max_new_tokens=1)
    tokenizer.eos_token = "w1"
    with pytest.raises(ValueError, match="add_eos_token=False"):
        encode_prompt(_ClosingTokenizer(tokenizer), "Text:w2")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="end-of-sequence"):
        encode_answer(tokenizer, "w1", max_new_tokens=5)


class _ClosingTokenizer:
    """A tokenizer that puts its end-of-sequence token after every prompt."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.eos_token, self.eos_token_id, self._tokenizer = tokenizer.eos_token, tokenizer.eos_token_id, tokenizer

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [*self._tokenizer(text)["input_ids"], self.eos_token_id]}
