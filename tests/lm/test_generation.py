from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch
from transformers import LogitsProcessorList, PreTrainedModel, RepetitionPenaltyLogitsProcessor

from ia2_eval.lm.generation import Decoding, Generated, generate, text_seeds, tokens_seen
from ia2_eval.lm.reading import Reading
from ia2_eval.lm.shared_prefix import SharedPrefix
from tests.lm.tiny_models import language_model, token_ids

MOST = 12
BEGINNING, *ROWS = token_ids(9, 4, 1, 7, 2, 7)
SAME_LENGTH = token_ids(5, 5, 5, seed=2)
GREEDY = Decoding()


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return language_model()


def never(tokens: Sequence[int]) -> bool:
    return False


def by_transformers(model: PreTrainedModel, row: list[int], **settings: Any) -> list[int]:
    """What `generate` appends to one row alone, with no end token."""
    ids = torch.tensor([row])
    settings = {"max_new_tokens": MOST, "do_sample": False, "eos_token_id": None, "pad_token_id": 0} | settings
    tokens: list[int] = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, len(row) :].tolist()
    return tokens


def tokens_of(rows: list[Generated]) -> list[list[int]]:
    return [row.token_ids for row in rows]


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_greedy_is_transformers_generate(model: PreTrainedModel, prefix_ids: list[int]) -> None:
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    found = tokens_of(generate(model, ROWS, never, MOST, GREEDY, prefix, prefix_ids))
    assert found == [by_transformers(model, prefix_ids + row) for row in ROWS]
    assert len({tuple(row) for row in found}) == len(ROWS)


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
@pytest.mark.parametrize("penalty", [1.3, 0.7])
def test_a_penalty_sees_prompt_and_text(model: PreTrainedModel, prefix_ids: list[int], penalty: float) -> None:
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    decoding = Decoding(repetition_penalty=penalty)
    assert decoding.penalises and not GREEDY.penalises and not Decoding(repetition_penalty=1.0).penalises
    found = tokens_of(generate(model, ROWS, never, MOST, decoding, prefix, prefix_ids))
    assert found == [by_transformers(model, prefix_ids + row, repetition_penalty=penalty) for row in ROWS]
    assert found != tokens_of(generate(model, ROWS, never, MOST, GREEDY, prefix, prefix_ids))


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_a_penalty_can_leave_the_prompt_out(model: PreTrainedModel, prefix_ids: list[int]) -> None:
    """The obvious way: transformers' processor, which is told how much of the row is prompt."""
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    decoding = Decoding(repetition_penalty=1.3, penalty_scope="generated")
    found = tokens_of(generate(model, ROWS, never, MOST, decoding, prefix, prefix_ids))
    expected = []
    for row in ROWS:
        whole = prefix_ids + row
        penalty = RepetitionPenaltyLogitsProcessor(1.3, prompt_ignore_length=len(whole))
        expected.append(by_transformers(model, whole, logits_processor=LogitsProcessorList([penalty])))
    assert found == expected
    assert found != tokens_of(generate(model, ROWS, never, MOST, Decoding(repetition_penalty=1.3), prefix, prefix_ids))


SAMPLING = [
    {},
    {"temperature": 0.4},
    {"temperature": 2.0},
    {"top_k": 3},
    {"top_p": 0.6},
    {"min_p": 0.2},
    {"repetition_penalty": 1.5},
    {"temperature": 1.5, "top_k": 8, "top_p": 0.8, "min_p": 0.1, "repetition_penalty": 1.2},
]


def sampled(model: PreTrainedModel, **settings: Any) -> list[list[int]]:
    torch.manual_seed(5)
    return tokens_of(generate(model, SAME_LENGTH, never, MOST, Decoding(do_sample=True, **settings)))


@pytest.mark.parametrize("settings", SAMPLING, ids=str)
def test_sampling_is_transformers_generate_at_the_same_seed(model: PreTrainedModel, settings: dict[str, Any]) -> None:
    ids = torch.tensor(SAME_LENGTH)
    torch.manual_seed(5)
    expected = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=MOST,
        do_sample=True,
        eos_token_id=None,
        pad_token_id=0,
        **({"top_k": 0} | settings),
    )[:, ids.shape[1] :]
    found = sampled(model, **settings)
    assert found == expected.tolist()
    assert not settings or found != sampled(model)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 1.0}, {"top_k": 0}, {"top_p": 1.0}, {"min_p": 0.0}, {"repetition_penalty": 1.0}],
    ids=str,
)
def test_settings_that_change_nothing(model: PreTrainedModel, settings: dict[str, Any]) -> None:
    assert sampled(model, **settings) == sampled(model)


def test_there_is_no_hidden_top_k(model: PreTrainedModel) -> None:
    logits = torch.zeros(4000, 64)  # any token is as likely
    torch.manual_seed(0)
    assert len(set(Decoding(do_sample=True).choose(logits).tolist())) == 64


def test_greedy_takes_the_most_probable_token_whatever_else_is_set() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0]])
    assert Decoding(temperature=0.0, top_k=2, top_p=0.5).choose(logits).tolist() == [1, 0]


def test_a_penalty_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.5, -1.0], [2.0, 1.5, -1.0]])
    assert Decoding(repetition_penalty=2.0).choose(logits, tokens_seen([[0], [1, 2]], logits)).tolist() == [1, 0]
    assert logits.tolist() == [[2.0, 1.5, -1.0]] * 2  # likelihoods are taken from what the model said


@pytest.mark.parametrize(
    ("settings", "decoding"),
    [
        ({"do_sample": False, "temperature": 0.0}, Decoding(temperature=0.0)),
        ({"do_sample": True, "top_p": 0.9}, Decoding(do_sample=True, top_p=0.9)),
        ({}, Decoding()),
        ({"num_beams": 2}, None),
        ({"do_sample": True, "typical_p": 0.9}, None),
    ],
    ids=str,
)
def test_unknown_settings_are_not_decoded_here(settings: dict[str, Any], decoding: Decoding | None) -> None:
    assert Decoding.of(settings) == decoding


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
@pytest.mark.parametrize(
    "decoding", [GREEDY, Decoding(do_sample=True, temperature=2.0, top_k=5)], ids=["greedy", "sampled"]
)
def test_log_likelihoods_are_the_models_own(model: PreTrainedModel, prefix_ids: list[int], decoding: Decoding) -> None:
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    torch.manual_seed(1)
    for row, generated in zip(ROWS, generate(model, ROWS, never, MOST, decoding, prefix, prefix_ids), strict=True):
        text = [*prefix_ids, *row, *generated.token_ids]
        with torch.no_grad():
            logits = model(torch.tensor([text[:-1]])).logits[0, -MOST:]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(generated.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(generated.log_likelihoods), expected, atol=5e-5, rtol=0)


def at_a_fifth(tokens: Sequence[int]) -> bool:
    return tokens[-1] % 5 == 0


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_rows_that_are_done_leave_and_change_nothing(
    model: PreTrainedModel, prefix_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    whole = generate(model, ROWS, never, MOST, GREEDY, prefix, prefix_ids)
    sizes: list[int] = []
    following = Reading.next
    monkeypatch.setattr(Reading, "next", lambda self, tokens: sizes.append(len(tokens)) or following(self, tokens))
    for row, full in zip(generate(model, ROWS, at_a_fifth, MOST, GREEDY, prefix, prefix_ids), whole, strict=True):
        count = next((count for count in range(1, MOST) if at_a_fifth(full.token_ids[:count])), MOST)
        assert row.token_ids == full.token_ids[:count]
        assert row.log_likelihoods == pytest.approx(full.log_likelihoods[:count], abs=5e-5)
    ends = [len(row.token_ids) for row in generate(model, ROWS, at_a_fifth, MOST, GREEDY, prefix, prefix_ids)]
    assert len(set(ends)) > 2
    assert sizes[: max(ends) - 1] == [sum(end > step for end in ends) for step in range(1, max(ends))]


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_no_more_tokens_than_asked_for(model: PreTrainedModel, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    following = Reading.next
    monkeypatch.setattr(Reading, "next", lambda self, tokens: asked.append(1) or following(self, tokens))
    found = generate(model, ROWS, never, most, GREEDY)
    assert tokens_of(found) == [by_transformers(model, row)[:most] for row in ROWS]
    assert [len(row.log_likelihoods) for row in found] == [most] * len(ROWS)
    assert len(asked) == max(most - 1, 0)  # nothing is read behind the last token


def test_done_is_asked_after_each_token(model: PreTrainedModel) -> None:
    asked: list[list[int]] = []

    def done(tokens: Sequence[int]) -> bool:
        asked.append(list(tokens))
        return False

    (row,) = generate(model, ROWS[:1], done, 4, GREEDY)
    assert asked == [row.token_ids[:count] for count in range(1, 5)]


def test_a_draw_decides_what_is_sampled() -> None:
    probabilities = torch.tensor([0.0, 0.25, 0.5, 0.25, 0.0])
    draws = [0.0, 0.2499, 0.2501, 0.7499, 0.7501, 1 - 2**-53]
    logits = probabilities.log().expand(len(draws), -1)
    assert Decoding(do_sample=True).choose(logits, draws=draws).tolist() == [1, 1, 2, 2, 3, 3]
    assert Decoding(do_sample=True, top_k=1).choose(logits, draws=draws).tolist() == [2] * len(draws)


def test_draws_are_spread_as_the_probabilities() -> None:
    logits = torch.randn(64, generator=torch.Generator().manual_seed(0))
    draws = [(step + 0.5) / 20_000 for step in range(20_000)]
    tokens = Decoding(do_sample=True).choose(logits.expand(len(draws), -1), draws=draws)
    shares = torch.bincount(tokens, minlength=64) / len(draws)
    torch.testing.assert_close(shares, logits.softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scope", ["all", "generated"])
def test_a_penalty_stays_with_its_row_when_others_are_done(
    model: PreTrainedModel, scope: Literal["all", "generated"]
) -> None:
    decoding = Decoding(repetition_penalty=1.5, penalty_scope=scope)
    together = tokens_of(generate(model, ROWS, at_a_fifth, MOST, decoding))
    assert len({len(row) for row in together}) > 2
    assert together == [tokens_of(generate(model, [row], at_a_fifth, MOST, decoding))[0] for row in ROWS]


@pytest.mark.parametrize("prefix_ids", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_a_seeded_text_does_not_depend_on_what_is_sampled_beside_it(
    model: PreTrainedModel, prefix_ids: list[int]
) -> None:
    prefix = SharedPrefix.read(model, prefix_ids) if prefix_ids else None
    decoding, seeds = Decoding(do_sample=True, temperature=1.5), [3, 1, 4, 1, 5]

    def texts(places: Sequence[int]) -> list[list[int]]:
        rows = [ROWS[place] for place in places]
        some = [seeds[place] for place in places]
        return tokens_of(generate(model, rows, at_a_fifth, MOST, decoding, prefix, prefix_ids, some))

    together = texts(range(5))
    assert [texts([place])[0] for place in range(5)] == together
    assert texts([4, 2]) == [together[4], together[2]]
    seeds[0] += 1
    changed = texts(range(5))
    assert changed[0] != together[0] and changed[1:] == together[1:]


def test_seeds_of_texts() -> None:
    assert text_seeds([("a", 0), ("b", None)]) == []
    seeds = text_seeds([("a", 0), ("b", 0), ("a", 0), ("a", 0)])
    assert len(set(seeds)) == 4
    found = text_seeds([("b", 0), ("a", 0), ("a", 0)])
    assert found == [seeds[1], seeds[0], seeds[2]]  # by prompt and how often it came
    assert set(text_seeds([("a", 1), ("b", 1), ("a", 1), ("a", 1)])).isdisjoint(seeds)
    assert text_seeds([("a", 1), ("a", 0)])[1] == seeds[0]  # each text has a seed of its own


def test_each_row_is_told_of_when_it_is_done(model: PreTrainedModel) -> None:
    told: list[tuple[int, list[int]]] = []
    rows = generate(
        model, ROWS, at_a_fifth, MOST, GREEDY, finished=lambda row, text: told.append((row, list(text.token_ids)))
    )
    assert sorted(told) == [(number, row.token_ids) for number, row in enumerate(rows)]
    lengths = [len(ids) for _, ids in told]
    assert lengths == sorted(lengths) and len(set(lengths)) > 1  # the first to end is told of first
    assert generate(model, ROWS[:1], never, 1, GREEDY, finished=lambda *row: told.append(row)) and told[-1][0] == 0  # type: ignore[arg-type]
