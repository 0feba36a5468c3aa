"""The embedded model's architecture and its circuit-informed initialisation.

From a random start a model this small stays on the plateau where it ignores its demonstrations. It is therefore
started near the circuit that in-context learning needs (induction heads, arXiv 2209.11895) and trained from there:

- layer 0: positional heads. They attend one, two, three and about four tokens back and copy what they see.
- layer 1: match heads. Their queries and keys read what layer 0 wrote, so that a position finds the places that looked
  the same before: the token after an earlier copy of this one (induction), or the label after an earlier copy of this
  text.
- later layers: weak copying heads with matching queries and keys.

So the model is trained from scratch, but not from a random initialisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

ROPE_THETA = 1e5
_OFFSETS = (1, 2, 3, 4)
_FREQUENCIES_PER_HEAD = 4


def create_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A Qwen3 model of width 128, 4 layers and 4 heads (about 0.8 M parameters), initialised as described above."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        intermediate_size=320,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        initializer_range=0.06,
        rope_theta=ROPE_THETA,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.rope_theta = ROPE_THETA  # transformers 5 moves it into `rope_parameters`, where version 4 would not find it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    _install_circuit(model, torch.Generator().manual_seed(seed + 5))
    return model


@torch.no_grad()
def _install_circuit(model: Qwen3ForCausalLM, generator: torch.Generator) -> None:
    width = model.config.hidden_size
    heads, head_width = model.config.num_attention_heads, model.config.head_dim

    common = torch.randn(width, generator=generator)
    common /= common.norm()  # [d]; present in every embedding, so that positional heads can query it whatever the token

    def orthogonal() -> torch.Tensor:  # [head_width, d] with orthonormal rows
        columns: torch.Tensor = torch.linalg.qr(torch.randn(width, head_width, generator=generator))[0]
        return columns.T.contiguous()

    def blind_to_common(rows: torch.Tensor) -> torch.Tensor:
        return rows - torch.outer(rows @ common, common)

    embeddings = model.model.embed_tokens.weight  # [V, d]
    embeddings.normal_(0, 0.08, generator=generator)
    embeddings -= torch.outer(embeddings @ common, common)
    embeddings += common * embeddings.norm(dim=1).mean() * 0.7

    content = blind_to_common(orthogonal())  # what every positional head reads of a token
    written = [orthogonal() for _ in range(heads)]  # where each positional head writes it
    matches = [  # (queries read, keys read) of layer 1
        (content, written[0]),  # this token = the token one before the key: induction
        # two back from here = three back from the key: this text's last word = that label's text
        (written[1], written[2]),
        (written[1], written[2]),
        (written[3], written[3]),
    ]
    for index, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        layer.mlp.down_proj.weight.mul_(0.3)
        attention.q_norm.weight.fill_(2.5 if index == 0 else 1.5)
        for head in range(heads):
            rows = slice(head * head_width, (head + 1) * head_width)
            if index == 0:
                query, key = _positional_query_and_key(head, head_width)
                attention.q_proj.weight[rows] = 4 * torch.outer(query, common) + 0.03 * orthogonal()
                attention.k_proj.weight[rows] = 4 * torch.outer(key, common) + 0.03 * orthogonal()
                attention.v_proj.weight[rows] = content
                attention.o_proj.weight[:, rows] = 0.25 * written[head].T
                continue
            if index == 1:
                query_reads, key_reads = matches[head]
            else:
                query_reads = key_reads = blind_to_common(orthogonal())
            copied = blind_to_common(orthogonal())
            attention.q_proj.weight[rows] = query_reads
            attention.k_proj.weight[rows] = key_reads
            attention.v_proj.weight[rows] = copied
            attention.o_proj.weight[:, rows] = (0.3 if index == 1 else 0.05) * copied.T


def _positional_query_and_key(head: int, head_width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Query and key [head_width] whose product under rotary embeddings peaks at the head's offset.

    The query is the key rotated back by the offset on a few rotary frequencies: the fast ones, except for the last
    head, whose slower ones make it attend broadly around its offset.
    """
    inverse_frequency = ROPE_THETA ** -(torch.arange(0, head_width, 2).float() / head_width)
    start = 0 if head < len(_OFFSETS) - 1 else _FREQUENCIES_PER_HEAD
    used = slice(start, start + _FREQUENCIES_PER_HEAD)
    angle = inverse_frequency[used] * _OFFSETS[head]
    key, query = torch.zeros(head_width), torch.zeros(head_width)
    key[used] = 1.0
    query[: head_width // 2][used] = torch.cos(angle)
    query[head_width // 2 :][used] = -torch.sin(angle)
    return query, key
