"""Answering both turns of a bench with `ia2-hf` against lm-eval's own `hf`: same model, prompts, batch size, greedy.

Both give the same answers (compared in the run). The questions are those of the trial bench.

    python bench/mtbench_answers.py
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from functools import partial
from pathlib import Path

import models
import timing
import torch
from icl_evaluation import ANSWERS

from ia2_eval.mtbench.answers import ModelAnswer
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.backends import get_backend
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.sources import load_prompt_set


def answer(model: OpenModel, prompts: str, decoding: DecodingSettings) -> tuple[ModelAnswer, ...]:
    """All answers, in a new directory."""
    with tempfile.TemporaryDirectory() as out:
        questions, prompt_set = load_bench("trial").questions, load_prompt_set(prompts)
        return generate_answers(model, questions, prompt_set, decoding, Layout(Path(out)), "m")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen3_8x256", choices=models.NAMES)
    parser.add_argument("--prompts", default="default", help="prompt set")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--penalty", type=float, default=1.15)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    print(timing.machine())
    texts = [turn for question in load_bench("trial").questions for turn in question.turns]
    model, tokenizer = models.load(
        options.model, options.device, options.dtype, [load_prompt_set("default").text, *texts]
    )
    decoding = DecodingSettings(repetition_penalty=options.penalty, max_new_tokens=options.new_tokens)
    ways = {}
    for name, kind in ANSWERS.items():
        lm = kind(pretrained=model, tokenizer=tokenizer, batch_size=options.batch_size)
        opened = OpenModel(lm, ModelSettings(backend=name), get_backend(name), options.model)
        ways[name] = partial(answer, opened, options.prompts, decoding)
    tokens = OpenModel(lm, ModelSettings(), get_backend("ia2-hf"), options.model).count_tokens(
        load_prompt_set(options.prompts).text
    )
    title = f"{len(texts)} texts of {options.new_tokens} tokens behind {tokens}, batches of {options.batch_size}"
    print(timing.compare(f"{title}, {options.model}", ways["ia2-hf"], "lm-eval's hf", ways["hf"], options.repeats))
    fast, slow = (ways[name]() for name in ("ia2-hf", "hf"))
    same = sum(a.choices[0].turns == b.choices[0].turns for a, b in zip(fast, slow, strict=True))
    print(f"  {same} of {len(fast)} conversations are the same")


if __name__ == "__main__":
    main()
