"""The command line: one thin function per command."""

from __future__ import annotations

import atexit
import os
import sys
from gc import freeze
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from ia2_eval import __version__
from ia2_eval.commands import BATCH_SIZE, INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.experiments.upkeep.cli import gc, retry, status
from ia2_eval.leaderboard.cli import leaderboard_app
from ia2_eval.mtbench.cli import mtbench_app
from ia2_eval.options import AdaptersPerPass, BatchSize, DataDir, Device, Limit, MicroBatchSize, OtherBase
from ia2_eval.regression.cli import reference_app, regress


class _Commands(TyperGroup):
    """Typer ends an interrupted command without a word; some commands say themselves what is done."""

    def invoke(self, ctx: Any) -> Any:  # click's context, of which newer versions of typer have a copy
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="ia2-eval",
    cls=_Commands,
    help="In-context learning, fine-tuning and IA2 activation alignment compared on few-shot benchmarks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="The benchmarks and their data.", no_args_is_help=True)
embedded_app = typer.Typer(help="The small model that ships with this package.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(embedded_app, name="embedded")
analyze_app = typer.Typer(help="What training did to the model, from the adapters of a run.", no_args_is_help=True)
app.add_typer(analyze_app, name="analyze")
app.add_typer(mtbench_app, name="mtbench")
app.add_typer(reference_app, name="reference")
app.command("regress")(regress)
app.command("status")(status)
app.command("retry")(retry)
app.command("gc")(gc)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="YAML file, or the name of a shipped recipe such as `demo`.")],
    out: Annotated[Path, typer.Option(help="Directory for records, samples and adapters.")],
    base: OtherBase = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = BATCH_SIZE,
    micro_batch_size: MicroBatchSize = None,
    activations_on_disk: Annotated[
        bool, typer.Option("--activations-on-disk", help="Read the teacher's activations from files at every use.")
    ] = False,
    targets_dir: Annotated[
        Path | None, typer.Option(help="Keep what the teacher gave here, for other runs too. Default: with the run.")
    ] = None,
    adapters_per_pass: AdaptersPerPass = 15,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Train in less memory and more time.")
    ] = False,
    engine: Annotated[str, typer.Option(help="Where workers run: `local` or `ray`.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the cells. Default: one per GPU, else one.")
    ] = None,
    gpus_per_worker: Annotated[int, typer.Option(min=1, help="GPUs that each worker spreads the model over.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: HOST:PORT or auto. Default: this machine.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the cells again that failed before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and what it costs, and stop.")] = False,
) -> None:
    """Train and evaluate every cell of a recipe. Run it again to do what is missing."""
    from ia2_eval.experiments import session
    from ia2_eval.experiments.engines.choice import EngineChoice
    from ia2_eval.experiments.lockstep import leads
    from ia2_eval.experiments.settings import Settings

    settings = Settings(
        data_dir=data_dir,
        device=device,
        batch_size=batch_size,
        micro_batch_size=micro_batch_size,
        activations_on_disk=activations_on_disk,
        targets_dir=targets_dir,
        adapters_per_pass=adapters_per_pass,
        gradient_checkpointing=gradient_checkpointing,
    )
    overrides = session.Overrides(base, limit)
    choice = EngineChoice(engine, workers, gpus_per_worker, ray_address)
    if dry_run:
        raise typer.Exit(session.dry_run(recipe, out, overrides, settings, Console(), choice))
    console = Console(stderr=True)
    status = session.run_recipe(recipe, out, overrides, settings, console, choice, retry_failed)
    if status != INTERRUPTED and leads():
        console.print(f"the table: ia2-eval leaderboard build {out}", highlight=False)
    raise typer.Exit(status)


@app.command()
def evaluate(
    tasks: Annotated[str, typer.Option(help="Comma-separated: this package's tasks and lm-eval's, patterns too.")],
    out: Annotated[Path, typer.Option(help="Directory for the results, one folder per adapter.")],
    base: Annotated[str, typer.Option(help="Hub name, local directory, or `embedded`.")],
    adapter: Annotated[
        list[str] | None, typer.Option(help="A PEFT adapter: DIR or NAME=DIR. Give it once for each.")
    ] = None,
    adapters_from: Annotated[
        list[Path] | None, typer.Option(help="The --out of a run: all its adapters but fully trained models.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Of --adapters-from only those of this method. Repeatable.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Of --adapters-from only those trained on this benchmark. Repeatable.")
    ] = None,
    with_base: Annotated[bool, typer.Option("--with-base", help="The base without an adapter, too.")] = False,
    model: Annotated[str, typer.Option(help="`ia2-hf`, or `vllm` for LoRA adapters.")] = "ia2-hf",
    tensor_parallel: Annotated[int, typer.Option(min=1, help="GPUs that vLLM splits the model over.")] = 1,
    num_fewshot: Annotated[
        int | None,
        typer.Option(
            min=0, help="Demonstrations. Default: the task's own. Under paper this is N: N - 1 for each query, or none."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the demonstrations (ia2_seed).")] = 0,
    protocol: Annotated[str, typer.Option(help="`strict` or `paper`.")] = "strict",
    data_dir: DataDir = None,
    limit: Limit = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help=f"Requests at a time. Default: {BATCH_SIZE}; vLLM: all.")
    ] = None,
    device: Device = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Of the base: `float32`, `bfloat16` or `float16`. Default: that of the run, else float32."),
    ] = None,
    use_cache: Annotated[
        Path | None,
        typer.Option(help="lm-eval's cache of requests, safe for all adapters together; it adds `_rank0.db`."),
    ] = None,
) -> None:
    """Evaluate adapters on lm-eval tasks, the base loaded once. Run it again to do what is missing."""
    from ia2_eval.adapters.evaluate import evaluate_adapters
    from ia2_eval.adapters.origin import stored_dtype
    from ia2_eval.adapters.settings import EvaluationSettings
    from ia2_eval.adapters.stored import count_whole_models, find_adapters

    if (method or source) and not adapters_from:
        raise UserError("--method and --source choose among the adapters of a run: give --adapters-from RUN")
    adapters = find_adapters(adapter or (), adapters_from or (), base, method or (), source or ())
    settings = EvaluationSettings(
        base=base,
        tasks=tuple(filter(None, (name.strip() for name in tasks.split(",")))),
        out=out,
        model=model,
        dtype=dtype or stored_dtype(adapters),
        num_fewshot=num_fewshot,
        seed=seed,
        protocol=protocol,
        data_dir=data_dir,
        limit=limit,
        batch_size=batch_size,
        device=device,
        tensor_parallel=tensor_parallel,
        use_cache=use_cache,
    )
    for run_directory in adapters_from or ():
        if whole := count_whole_models(run_directory):
            print(f"{whole} fully trained models in {run_directory} are left out: evaluate one with --base DIR")
    raise typer.Exit(evaluate_adapters(settings, adapters, with_base, Console()))


@app.command()
def rescore(directory: Annotated[Path, typer.Argument(help="The --out of a run.")]) -> None:
    """Compute every metric of a run's records anew from the stored samples, without a model."""
    from ia2_eval.experiments.rescore import rescore_run

    raise typer.Exit(rescore_run(directory, Console()))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("runs/demo"),
    device: Device = None,
) -> None:
    """The whole story on this machine in a few minutes: embedded model, embedded benchmarks, table, CSV and plots."""
    from ia2_eval.demo import run_demo

    raise typer.Exit(run_demo(out, device, Console(), Console(stderr=True)))


@data_app.command("list")
def data_list(
    data_dir: DataDir = None,
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks. Default: all.")] = None,
) -> None:
    """Every benchmark with its source, sizes, label balance and a rendered prompt."""
    from ia2_eval.benchmarks.show import print_benchmarks

    raise typer.Exit(print_benchmarks(names, data_dir, Console()))


@data_app.command("check")
def data_check(
    data_dir: DataDir = None,
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks. Default: all.")] = None,
) -> None:
    """Validate a local data directory; every fault is listed."""
    from ia2_eval.benchmarks.show import print_faults

    raise typer.Exit(print_faults(names, data_dir, Console()))


@analyze_app.command("similarity")
def analyze_similarity(
    directory: Annotated[Path, typer.Argument(help="The --out of a run.")],
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: `analysis` in the directory.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Evaluation examples, the first ones.")] = 100,
    teacher_forced: Annotated[
        bool, typer.Option("--teacher-forced", help="Adapted models read the teacher's response: default under strict.")
    ] = False,
    free_running: Annotated[
        bool, typer.Option("--free-running", help="They read their own response: default under paper.")
    ] = False,
    ood: Annotated[bool, typer.Option("--ood", help="Out-of-distribution evaluation sets too.")] = False,
    base: Annotated[str | None, typer.Option(help="Where the base model is now, if it was moved.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = BATCH_SIZE,
) -> None:
    """How close the activations of adapted models come to those of in-context learning: CSV, plots and a table."""
    from ia2_eval.analyses.commands import analyze_similarity
    from ia2_eval.analyses.similarity import SimilaritySettings
    from ia2_eval.analyses.similarity_rows import MODES

    modes = tuple(name for name, chosen in zip(MODES, (teacher_forced, free_running), strict=True) if chosen)
    settings = SimilaritySettings(limit, modes, ood, base, data_dir, device, batch_size)
    raise typer.Exit(analyze_similarity(directory, out, settings, Console(), Console(stderr=True)))


@analyze_app.command("overlap")
def analyze_overlap(
    directory: Annotated[Path, typer.Argument(help="The --out of a run.")],
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: `analysis` in the directory.")] = None,
) -> None:
    """How much the subspaces overlap that LoRA adapters of different methods write to: CSV, plot and a table."""
    from ia2_eval.analyses.commands import analyze_overlap

    raise typer.Exit(analyze_overlap(directory, out, Console()))


@embedded_app.command("path")
def embedded_path() -> None:
    """Print the directory of the embedded model, for `--model_args pretrained=...`."""
    from ia2_eval.embedded import MODEL_DIRECTORY

    print(MODEL_DIRECTORY)


@embedded_app.command("build")
def embedded_build(
    out: Annotated[Path, typer.Option(help="Working directory; a build that was interrupted continues there.")] = Path(
        "runs/embedded"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps in all.")] = None,
) -> None:
    """Train the embedded model again from nothing: seeded, on one thread, in about half an hour."""
    from ia2_eval.embedded.pretraining import build

    build(out, steps, Console())


@app.command(
    "lm-eval", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def lm_eval(context: typer.Context) -> None:
    """lm-eval's own command with this package's tasks and its model: `ia2-eval lm-eval run --model ia2-hf ...`."""
    import lm_eval.models  # noqa: F401 - lm-eval imports its own models only as long as it knows none
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import model_registry

    from ia2_eval.shipped import TASKS_DIRECTORY

    arguments = list(context.args)
    if any(argument.startswith("--include_path") for argument in arguments):
        raise UserError("lm-eval takes one --include_path, which is this package's here; run lm-eval itself for others")
    if len(arguments) > 1:  # a command or an option alone, such as `run` or `--help`, prints help
        arguments += ["--include_path", str(TASKS_DIRECTORY)]
    if "ia2-hf" not in model_registry:
        model_registry.register("ia2-hf", target="ia2_eval.lm.ia2_hf:IA2HF")  # imported when it is asked for
    sys.argv = ["lm-eval", *arguments]
    cli_evaluate()


def main() -> None:
    """Entry point. A mistake of the user ends with status 2 and a message, an interruption with status 130."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show must not end a run of days
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    # One bar for the whole run says more than lm-eval's four per cell; `ia2-eval lm-eval` keeps them.
    if "lm-eval" not in sys.argv[1:2]:
        os.environ.setdefault("TQDM_DISABLE", "1")
    atexit.register(freeze)  # a second that the interpreter would spend on what ends with it
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
