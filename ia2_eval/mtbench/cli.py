"""`ia2-eval mtbench ...`: one thin function per command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.options import Device

mtbench_app = typer.Typer(
    help="In-context alignment on MT-Bench: prompts, two-turn answers, decoding sweeps, judge, demonstration search.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Bench = Annotated[
    str, typer.Option(help="`mt_bench`, `trial` (shipped, for trials without a download), or a directory like it.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Local data: mt_bench/, urial_prompts/ and pools. Default: IA2_DATA_DIR, else downloads."),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Requests at a time. Default: 32; vLLM: all.")]


@mtbench_app.command()
def prompts(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A prompt set: default, instruction, none, a name of URIAL's, or a .txt or .yaml file. "
            "Default: list them."
        ),
    ] = None,
    plus: Annotated[
        int | None, typer.Option(min=1, help="Put the first N examples of the pool before the set's own.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(min=1, help="N demonstrations: some of the pool at random, the set's own last.")
    ] = None,
    diversity: Annotated[
        int | None,
        typer.Option(min=1, help="N demonstrations of the pool, spread over its sources, instead of the set's own."),
    ] = None,
    unsupervised: Annotated[
        int | None,
        typer.Option(min=1, help="N queries of the pool without answers, before the set's own demonstrations."),
    ] = None,
    answers: Annotated[
        Literal["correct", "shuffled", "random", "none"] | None, typer.Option(help="Other answers to the same queries.")
    ] = None,
    pool: Annotated[
        Path | None, typer.Option(help="JSON lines or a JSON list: LIMA's, Alpaca's, OpenHermes's or own `turns`.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws. Default: 0.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Count tokens as this model does: embedded, a directory or a hub repository.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write it: .txt in URIAL's format, .yaml typed.")] = None,
    print_text: Annotated[bool, typer.Option("--print", help="Print its text and nothing else.")] = False,
    check: Annotated[
        list[Path] | None, typer.Option(help="Validate prompt sets (.txt, .yaml) and pools (.jsonl). Repeatable.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Show, build, write and check prompt sets."""
    from ia2_eval.mtbench.prompts.derivation import Derivation
    from ia2_eval.mtbench.prompts.show import show_prompts

    derivation = Derivation(plus, random, diversity, unsupervised, answers, pool, seed)
    status = show_prompts(
        name,
        derivation,
        base=base,
        write=write,
        print_text=print_text,
        check=tuple(check or ()),
        data_dir=data_dir,
        console=Console(),
        notes=Console(stderr=True),
    )
    raise typer.Exit(status)


@mtbench_app.command()
def generate(
    out: Annotated[Path, typer.Option(help="Directory for model_answer/ and what belongs to it.")],
    base: Annotated[str, typer.Option(help="Hub name, local directory, `embedded`, or an endpoint's model name.")],
    prompts: Annotated[
        str | None,
        typer.Option(
            help="Prompt set: `default`, `instruction`, `none`, a name of URIAL's such as `urial`, or a file. "
            "Default: `default`."
        ),
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Ask through the model's chat template instead.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(help="Decoding as published: greedy, fastchat, urial, urial_moe, urial_t1 or gpt4_base."),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(help="0: the most probable token; `per_category`: FastChat's. Default: 0.")
    ] = None,
    top_p: Annotated[float | None, typer.Option()] = None,
    top_k: Annotated[int | None, typer.Option()] = None,
    min_p: Annotated[float | None, typer.Option()] = None,
    repetition_penalty: Annotated[float | None, typer.Option()] = None,
    penalty_scope: Annotated[
        str | None, typer.Option(help="`all`: of the prompt's tokens too, as published; or `generated`.")
    ] = None,
    frequency_penalty: Annotated[float | None, typer.Option(help="Of vLLM and OpenAI's interface.")] = None,
    presence_penalty: Annotated[float | None, typer.Option(help="Of vLLM and OpenAI's interface.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Of an answer at most. Default: 1024.")] = None,
    samples: Annotated[int | None, typer.Option(help="Answers to each question. Default: 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of sampled answers. Default: 0.")] = None,
    bench: Bench = "mt_bench",
    limit: Annotated[int | None, typer.Option(min=1, help="Questions, taken from the categories in turn.")] = None,
    model_id: Annotated[str | None, typer.Option(help="Name of the answers. Default: base, prompts, decoding.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="A PEFT adapter to put on the base.")] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="ia2-hf, hf, vllm, local-completions, openai-completions, local-chat-completions or "
            "openai-chat-completions."
        ),
    ] = "ia2-hf",
    model_args: Annotated[
        str | None, typer.Option(help="More arguments of the lm-eval model, such as base_url=...,num_concurrent=8.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub repository.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    clean_up: Annotated[
        str, typer.Option(help="`fence`: the answer up to the format's closing fence; `paper`: as published.")
    ] = "fence",
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = None,
) -> None:
    """Answer both turns of every question. Run it again to do what is missing."""
    from ia2_eval.mtbench.generation.commands import (
        GenerateSettings,
        decoding_of,
        generate_command,
        model_args_of,
        model_settings_of,
        temperature_of,
    )

    if chat and prompts is not None:
        raise UserError(f"--prompts {prompts} without effect: --chat uses the model's own template")
    decoding = decoding_of(
        preset,
        {
            "temperature": temperature_of(temperature),
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "penalty_scope": penalty_scope,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "max_new_tokens": max_new_tokens,
            "samples": samples,
            "seed": seed,
        },
    )
    settings = GenerateSettings(
        model=model_settings_of(backend, base, revision, dtype, chat, model_args_of(model_args)),
        out=out,
        prompt_set=None if chat else prompts or "default",
        decoding=decoding,
        bench=bench,
        limit=limit,
        model_id=model_id,
        adapter=adapter,
        clean_up=clean_up,
        data_dir=data_dir,
        device=device,
        batch_size=batch_size,
    )
    raise typer.Exit(generate_command(settings, Console(stderr=True)))


@mtbench_app.command()
def sweep(
    recipe: Annotated[Path, typer.Argument(help="YAML file, or the name of a shipped recipe.")],
    out: Annotated[Path, typer.Option(help="Directory for answers, judgments and the report.")],
    base: Annotated[str | None, typer.Option(help="Another base model than the recipe's.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions, taken from the categories in turn.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
) -> None:
    """Answers under every decoding setting of a recipe, on one loaded model. Run it again to do what is missing."""
    from ia2_eval.mtbench.sweeps.run import sweep_command

    raise typer.Exit(sweep_command(recipe, out, base, limit, data_dir, device, batch_size, dry_run, Console()))


@mtbench_app.command()
def judge(
    out: Annotated[Path, typer.Option(help="The --out of generate or sweep, or a FastChat directory like it.")],
    judge_model: Annotated[
        str, typer.Option(help="Name of the judge at its endpoint; `trial`: a stand-in that judges nothing.")
    ],
    judge_base_url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible endpoint. Default: OPENAI_BASE_URL, else OpenAI's.")
    ] = None,
    judge_key_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    model: Annotated[list[str] | None, typer.Option(help="Whose answers; repeatable. Default: all.")] = None,
    lm_eval_samples: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: answers that lm-eval's --log_samples wrote, first put into model_answer/NAME.jsonl."
        ),
    ] = None,
    bench: Bench = "mt_bench",
    references: Annotated[
        Path | None, typer.Option(help="Reference answers, FastChat's model_answer rows. Default: the bench's.")
    ] = None,
    pairwise: Annotated[
        bool,
        typer.Option(
            "--pairwise", help="Compare models in both orders instead of rating; of several samples the first."
        ),
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(help="With --pairwise: the model that all others are compared with.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Judgments of each answer.")] = 1,
    temperature: Annotated[float, typer.Option(help="Of the judge.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(help="Of a judgment.")] = 2048,
    judge_reasoning: Annotated[
        bool,
        typer.Option(
            "--judge-reasoning", help="Send max_completion_tokens and no temperature, as reasoning models ask."
        ),
    ] = False,
    concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = 8,
    requests_per_minute: Annotated[int | None, typer.Option(help="At most. Default: as many as it takes.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for a whole reply.")] = 120.0,
    judge_cache: Annotated[Path | None, typer.Option(help="Keep replies here, for other runs too.")] = None,
    price_in: Annotated[float | None, typer.Option(help="Per million tokens.")] = None,
    price_out: Annotated[float | None, typer.Option(help="Per million tokens.")] = None,
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show calls and cost, ask nothing.")] = False,
) -> None:
    """Have a judge rate answers. Run it again to do what is missing."""
    from ia2_eval.mtbench.judging.commands import judge_command, judge_settings
    from ia2_eval.mtbench.lm_eval_samples import add_answers

    for given in lm_eval_samples or ():
        add_answers(out, given)
    settings = judge_settings(
        model=judge_model,
        base_url=judge_base_url,
        api_key_variable=judge_key_variable,
        temperature=temperature,
        max_tokens=max_tokens,
        reasoning=judge_reasoning,
        repeats=repeats,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        timeout=timeout,
        cache=judge_cache,
        price_in=price_in,
        price_out=price_out,
    )
    console = Console(stderr=not dry_run)
    status = judge_command(
        out, settings, tuple(model or ()) or None, bench, data_dir, references, pairwise, baseline, console, dry_run
    )
    raise typer.Exit(status)


@mtbench_app.command()
def report(
    directory: Annotated[
        Path | None, typer.Argument(help="The --out of generate, sweep or judge; files go to its report/.")
    ] = None,
    judgments: Annotated[
        list[Path] | None,
        typer.Option(help="FastChat's judgments, single or pairwise; with a directory, besides its own. Repeatable."),
    ] = None,
    output_format: Annotated[
        Literal["table", "csv", "markdown", "json"], typer.Option("--format", help="What is printed.")
    ] = "table",
    duplicates: Annotated[
        Literal["last", "first", "mean", "pool", "error"],
        typer.Option(help="What counts of several judgments of one answer; `pool`: all, as FastChat's show_result."),
    ] = "last",
    compare_judges: Annotated[bool, typer.Option("--compare-judges", help="Agreement of each pair of judges.")] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Model that others are compared with; in pairwise files the only opponent. "
            "Default: greedy decoding, without penalties if there is one, else the first."
        ),
    ] = None,
    bench: Annotated[
        str | None, typer.Option(help="Whose categories. Default: as the answers say, or MT-Bench's by question ids.")
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="FastChat's question.jsonl, for the categories.")] = None,
    models: Annotated[list[str] | None, typer.Option(help="Only these model ids. Repeatable.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="For report.csv, report.md and figures. Default: DIRECTORY/report; nothing for files alone."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Scores with intervals, judge-free measures and heat maps, from answers and judgments."""
    from ia2_eval.mtbench.reports.commands import report_command

    status = report_command(
        directory,
        tuple(judgments or ()),
        output_format,
        duplicates,
        compare_judges,
        reference,
        bench,
        questions,
        data_dir,
        tuple(models or ()),
        out,
        Console(),
    )
    raise typer.Exit(status)


@mtbench_app.command()
def search(
    recipe: Annotated[
        Path, typer.Argument(help="YAML file, or the name of a shipped recipe such as `demonstration_search`.")
    ],
    out: Annotated[Path, typer.Option(help="Directory for trials, prompt sets and the result.")],
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it costs and stop.")] = False,
) -> None:
    """Search the demonstrations that help most. Run it again to continue."""
    from ia2_eval.mtbench.search.commands import search_command

    raise typer.Exit(search_command(recipe, out, data_dir, device, batch_size, dry_run, Console()))


@mtbench_app.command()
def compare(
    recipe: Annotated[
        Path, typer.Argument(help="YAML file, or the name of a shipped recipe such as `embedded_comparison`.")
    ],
    out: Annotated[Path, typer.Option(help="Directory for answers, adapters, judgments, table and plot.")],
    judge_model: Annotated[
        str | None, typer.Option(help="A judge in place of the recipe's; `trial`: a stand-in that judges nothing.")
    ] = None,
    judge_base_url: Annotated[
        str | None, typer.Option(help="Its OpenAI-compatible endpoint. Default: OPENAI_BASE_URL, else OpenAI's.")
    ] = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show arms, prompt lengths and counts, and stop.")] = False,
) -> None:
    """In-context learning against fine-tuning on the same examples. Run it again to do what is missing."""
    from ia2_eval.mtbench.comparison.commands import compare_command
    from ia2_eval.mtbench.judging.commands import judge_settings

    if judge_base_url is not None and judge_model is None:
        raise UserError("--judge-base-url without --judge-model: say which judge is there")
    judge = None if judge_model is None else judge_settings(model=judge_model, base_url=judge_base_url)
    raise typer.Exit(compare_command(recipe, out, data_dir, device, batch_size, dry_run, Console(), judge))
