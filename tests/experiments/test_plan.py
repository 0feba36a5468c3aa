from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES, Lora
from ia2_eval.experiments.agreement import Agreement
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.method_options import AlignmentSpec
from ia2_eval.experiments.passes import passes
from ia2_eval.experiments.recipe import load_recipe
from ia2_eval.shipped import RECIPES_DIRECTORY
from tests.benchmarks.hub_rows import DATA_SETS, ag_news, poem, write_hub_rows, write_rows
from tests.experiments.small_runs import EMBEDDED, small_recipe
from tests.experiments.small_runs import planned as cells_of


def planned(data_dir: Path | None = None, **changes: Any) -> list[Cell]:
    return cells_of(small_recipe(**changes), EMBEDDED, data_dir)


def short(cells: list[Cell]) -> list[tuple[Any, ...]]:
    return [(c.source, c.n, c.seed, c.method, c.learning_rate) for c in cells]


def test_the_cells_of_a_grid_in_order() -> None:
    cells = planned(
        benchmarks=[{"source": "embedded_mood", "n": [4, 8]}, {"source": "embedded_time", "n": 4}],
        seeds=[0, 1],
        learning_rates=[1e-3, 1e-2],
    )
    expected: list[tuple[Any, ...]] = []
    for source, sizes in (("embedded_mood", (4, 8)), ("embedded_time", (4,))):
        expected.append((source, None, None, "no_icl", None))
        for n in sizes:
            expected += [(source, n, seed, "icl", None) for seed in (0, 1)]
            for method in ("sft", "ia2", "ia2_sft"):
                expected += [(source, n, seed, method, rate) for seed in (0, 1) for rate in (1e-3, 1e-2)]
    assert short(cells) == expected
    assert len({cell.key for cell in cells}) == len(cells)


def test_the_order_of_methods_in_the_recipe_does_not_matter() -> None:
    assert planned(methods=["ia2_sft", "ia2", "no_icl"]) == planned(methods=["no_icl", "ia2", "ia2_sft"])


def test_a_benchmark_listed_twice_is_planned_once() -> None:
    twice = [{"source": "embedded_mood", "n": [4, 8]}, {"source": "embedded_mood", "n": [8, 16]}]
    assert Counter(short(planned(benchmarks=twice, methods=["no_icl", "icl"]))) == Counter(
        short(planned(benchmarks=[{"source": "embedded_mood", "n": [4, 8, 16]}], methods=["no_icl", "icl"]))
    )


def test_a_cell_says_only_what_applies_to_its_method() -> None:
    for cell in planned():
        assert (cell.n is None, cell.seed is None) == (cell.method == "no_icl",) * 2
        of_training = (cell.adapter, cell.learning_rate, cell.epochs, cell.batch_size, cell.target_tokens)
        assert (None in of_training) == (not cell.trained)
        assert cell.trained or set(of_training) == {None}


def test_variants_and_adapters_span_a_grid() -> None:
    cells = planned(
        methods=[
            "ia2_sft",
            {"method": "ia2+sft", "sft_weight": [0.9, 0.1]},
            {"method": "sft", "labels": "icl_outputs"},
        ],
        adapters=[{"type": "lora", "learning_rates": [1e-3, 1e-2]}, {"type": "full", "learning_rates": [1e-4]}],
        learning_rates=[],
    )
    variants = [("sft", "icl_outputs"), ("ia2_sft", ""), ("ia2+sft", "w=0.9"), ("ia2+sft", "w=0.1")]
    grid = [("lora_r8_a8_qko", [1e-3, 1e-2]), ("full", [1e-4])]
    assert [(c.adapter and c.adapter.label, c.method, c.variant, c.learning_rate) for c in cells] == [
        (adapter, *variant, rate) for adapter, rates in grid for variant in variants for rate in rates
    ]
    assert len({cell.key for cell in cells}) == len(cells)


def test_plain_methods_have_the_keys_that_they_always_had() -> None:
    """Options at their defaults and the long form of adapters are no other cells: nothing is trained twice."""
    plain = planned()
    spelt: list[Any] = ["no_icl", "icl", {"method": "sft", "labels": "ground_truth"}, "ia2", {"method": "ia2_sft"}]
    kinds = [{"type": "lora", "r": 8, "learning_rates": [1e-2]}]
    assert planned(methods=spelt, adapters=kinds, learning_rates=[]) == plain
    for cell in plain:
        options = (cell.labels, cell.sft_weight, cell.top_k, cell.alignment, cell.low_data, cell.demonstration_orders)
        assert set(options) == {None}


def test_options_of_evaluations_concern_benchmarks_of_their_kind() -> None:
    """The others keep their keys, so that nothing is computed twice for an option that does nothing there."""
    both = [{"source": "embedded_mood", "n": 4}, {"source": "embedded_arithmetic", "n": 4}]
    plain = planned(benchmarks=both)
    scaled = planned(benchmarks=both, temperature_scaling=True)
    sampled = planned(benchmarks=both, agreement={"samples": 3})
    assert planned(benchmarks=both, temperature_scaling=False) == plain
    for cell, with_temperature, with_agreement in zip(plain, scaled, sampled, strict=True):
        single = cell.source == "embedded_mood"
        temperature = True if single and cell.method != "no_icl" else None
        agreement = None if single else Agreement(samples=3)
        assert with_temperature == cell.model_copy(update={"temperature_scaling": temperature})
        assert with_agreement == cell.model_copy(update={"agreement": agreement})
        assert (with_temperature.key == cell.key) == (temperature is None)
        assert (with_agreement.key == cell.key) == (agreement is None)
    assert any(cell.method == "no_icl" and cell.agreement for cell in sampled)


@pytest.mark.parametrize("count", [1, 2, 3, 15])
def test_passes(count: int) -> None:
    """LoRA cells that differ in seed and learning rate; what they continue is trained in an earlier pass."""
    cells = planned(
        seeds=[0, 1],
        methods=["icl", "ia2_sft", "ia2", {"method": "ia2+sft", "sft_weight": [0.1, 0.9]}],
        adapters=[{"type": "lora", "learning_rates": [1e-3, 1e-2]}, {"type": "ia3", "learning_rates": [1e-3, 1e-2]}],
        learning_rates=[],
    )
    found = list(passes(cells, count))
    assert [cell for together in found for cell in together] == cells
    for together in found:
        alike = {c.model_copy(update={"seed": None, "learning_rate": None}) for c in together}
        assert len(alike) == 1 and len(together) <= count
    sizes = [len(together) for together in found if isinstance(together[0].adapter, Lora)]
    assert sizes == {1: [1] * 16, 2: [2] * 8, 3: [3, 1] * 4, 15: [4] * 4}[count]
    assert all(len(together) == 1 for together in found if not isinstance(together[0].adapter, Lora))


@pytest.mark.parametrize(
    ("source", "asked", "tokens"),
    [("embedded_mood", 200, 1), ("embedded_arithmetic", 200, 16), ("embedded_arithmetic", 7, 7)],
)
def test_tokens_of_the_teacher(source: str, asked: int, tokens: int) -> None:
    (cell,) = planned(benchmarks=[{"source": source, "n": 4}], methods=["ia2"], target_tokens=asked)
    assert cell.target_tokens == tokens


def test_evaluation_sets(hub_rows: Path) -> None:
    (cell,) = planned(hub_rows, benchmarks=[{"source": "sst2", "n": 4}], methods=["icl"])
    assert cell.evals == ("sst2", "fins", "poems")
    (cell,) = planned(hub_rows, benchmarks=[{"source": "sst2", "n": 4, "evals": ["fins"]}], methods=["icl"])
    assert cell.evals == ("fins",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"benchmarks": [{"source": "sst", "n": 4}]}, "Did you mean 'sst2'"),
        ({"benchmarks": [{"source": "sst2", "n": 4, "evals": ["poem"]}]}, "Did you mean 'poems'"),
        ({"benchmarks": [{"source": "sst2", "n": 4, "evals": ["agn"]}]}, "sst2 is not evaluated on 'agn'"),
        ({"benchmarks": [{"source": "poems", "n": 4}]}, "Train on sst2 or fins"),
        ({"benchmarks": [{"source": "sst2", "n": [4, 64]}]}, "90 examples in its pool, but N=64 needs 96"),
        ({"learning_rates": []}, "^learning_rates: is missing or empty, but sft, ia2, ia2_sft must be trained"),
        (
            {
                "benchmarks": [{"source": "sst2", "n": 40}],
                "methods": [{"method": "ia2", "low_data": {"unlabelled": 31}}],
            },
            "30 examples left .* asks for 31 unlabelled",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], said: str, hub_rows: Path) -> None:
    with pytest.raises(UserError, match=said):
        planned(hub_rows, **changes)


@pytest.mark.parametrize(
    ("n", "options", "said"),
    [
        (2, {"demonstration_orders": 1000}, "with N=2 an example has 1 demonstration, of which there is 1! = 1 order "),
        (4, {"demonstration_orders": 7}, "with N=4 an example has 3 demonstrations, of which there are 3! = 6 orders "),
        (
            [8, 3],
            {"low_data": {"unlabelled": 4, "orders": 7}},
            "with N=3 a query has 3 demonstrations, .* 6 orders",
        ),
    ],
)
def test_more_orders_than_there_are(n: int | list[int], options: dict[str, Any], said: str) -> None:
    benchmarks = [{"source": "embedded_mood", "n": n}]
    with pytest.raises(UserError, match=rf"^methods\.1\.(demonstration_orders|low_data\.orders): {said}"):
        planned(benchmarks=benchmarks, methods=["icl", {"method": "ia2"} | options])


def test_as_many_orders_as_there_are() -> None:
    orders: list[dict[str, Any]] = [{"demonstration_orders": 6}, {"low_data": {"unlabelled": 2, "orders": 24}}]
    assert len(planned(methods=[{"method": "ia2"} | each for each in orders])) == 2


def test_demonstrations_of_the_published_protocol_are_refused_before_the_run_too(hub_rows: Path) -> None:
    """Of 90 examples, 40 train and 20 develop; 30 are left, but a query needs 39."""
    sst2: dict[str, Any] = {"benchmarks": [{"source": "sst2", "n": 40}], "protocol": "paper"}
    with pytest.raises(UserError, match="30 examples left"):
        planned(hub_rows, **sst2, methods=["icl"])
    assert len(planned(hub_rows, **sst2, methods=["ia2"])) == 1


def test_untrained_cells_need_no_learning_rate() -> None:
    assert len(planned(methods=["no_icl", "icl"], learning_rates=[])) == 2


def test_other_data_are_other_cells(tmp_path: Path) -> None:
    benchmarks = [{"source": "sst2", "n": 4}, {"source": "agn", "n": 4}]

    def keys() -> dict[str, set[str]]:
        cells = planned(tmp_path, benchmarks=benchmarks)
        return {source: {c.key for c in cells if c.source == source} for source in ("sst2", "agn")}

    write_hub_rows(tmp_path)
    before = keys()
    assert keys() == before
    write_rows(tmp_path / "poem_sentiment" / "train.jsonl", [poem(i) for i in range(1, 60)])  # a partner of SST-2
    after = keys()
    assert after["agn"] == before["agn"]
    assert not after["sst2"] & before["sst2"]
    write_rows(tmp_path / "ag_news" / "train.jsonl", [ag_news(i) for i in range(89)] + [ag_news(1000)])
    assert not keys()["agn"] & before["agn"]


def test_the_base_is_part_of_every_cell() -> None:
    other = EMBEDDED.model_copy(update={"fingerprint": "another"})
    assert not {c.key for c in cells_of(small_recipe(), other)} & {c.key for c in planned()}


@pytest.fixture(scope="module")
def rows_for_the_paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for N = 128 with 48 development examples and 127 demonstrations from the rest."""
    directory = write_hub_rows(tmp_path_factory.mktemp("paper_rows"))
    needed = 128 + 48 + 127
    for folder, rows in {"ag_news": needed, "sst2": needed, "sciq": needed, "financial_phrasebank": 1300}.items():
        row, _ = DATA_SETS[folder]
        write_rows(directory / folder / "train.jsonl", [row(i) for i in range(rows)])
    return directory


QWEN, LLAMA = {0.1, 0.5, 0.7, 0.9}, {0.001, 0.01, 0.05, 0.5}


@pytest.mark.parametrize(
    ("name", "sizes", "weights"),
    [
        ("paper_single_token_qwen3_4b", {"sst2": 3, "fins": 4, "agn": 7, "sciqr": 3, "stf": 3}, QWEN),
        ("paper_multi_token_qwen3_4b", {"gsm8k": 3, "hmatha": 3, "sciq": 3}, QWEN),
        ("paper_single_token_llama_1b", {"sst2": 7, "fins": 7, "agn": 7}, LLAMA),
        ("paper_single_token_llama_3b", {"sciqr": 7}, LLAMA),
        ("paper_multi_token_llama_1b_instruct", {"gsm8k": 4, "sciq": 4}, LLAMA),
        ("paper_ia3_llama_1b", {"sst2": 2}, LLAMA),
        ("paper_ia3_llama_3b", {"sciqr": 2}, LLAMA),
        ("paper_ia3_llama_1b_instruct", {"gsm8k": 1}, LLAMA),
    ],
)
def test_the_published_grids(name: str, sizes: dict[str, int], weights: set[float], rows_for_the_paper: Path) -> None:
    recipe = load_recipe(RECIPES_DIRECTORY / f"{name}.yaml")
    cells = cells_of(recipe, recipe.base, rows_for_the_paper)
    adapters = Counter((c.method, c.variant, c.source, c.n) for c in cells if c.trained)
    for (method, *_), count in adapters.items():
        assert count == (60 if method == "ia2+sft" else 15)  # five seeds, three learning rates, four weights
    methods = [("sft", ""), ("sft", "icl_outputs"), ("ia2", ""), ("ia2_sft", ""), ("ia2_sft", "icl_outputs")]
    assert Counter((source, method, variant) for method, variant, source, _ in adapters) == Counter(
        {(s, *method): count for s, count in sizes.items() for method in [*methods, ("ia2+sft", "")]}
    )
    assert {c.sft_weight for c in cells} == weights | {None}
    rates = {1e-3, 1e-2, 1e-1} if "ia3" in name else {1e-4, 3e-4, 1e-3}
    assert {c.learning_rate for c in cells if c.trained} == rates
    assert Counter(c.source for c in cells if c.method == "icl") == Counter({s: 5 * n for s, n in sizes.items()})
    assert Counter(c.source for c in cells if c.method == "no_icl") == Counter(dict.fromkeys(sizes, 1))
    assert {c.target_tokens for c in cells if c.trained} == ({200} if {"gsm8k"} & sizes.keys() else {1})
    assert {(c.protocol, c.epochs) for c in cells if c.trained} == {("paper", 50)}


@pytest.mark.parametrize(
    "name",
    [
        *("demo", "quickstart", "embedded_methods", "embedded_alignment", "embedded_low_data", "embedded_calibration"),
    ],
)
def test_the_small_shipped_recipes_can_be_planned(name: str, hub_rows: Path) -> None:
    recipe = load_recipe(RECIPES_DIRECTORY / f"{name}.yaml")
    cells = cells_of(recipe, recipe.base, hub_rows)
    assert {c.method for c in cells} == {variant.method for variant in recipe.variants}


def test_every_method_with_every_adapter_is_a_recipe() -> None:
    from ia2_training import METHODS

    recipe = load_recipe(RECIPES_DIRECTORY / "embedded_methods.yaml")
    cells = cells_of(recipe, EMBEDDED)
    trained = {(c.method, c.adapter.type) for c in cells if c.adapter}
    assert trained == {(method, kind) for method in METHODS for kind in ADAPTER_TYPES}
    assert {c.source for c in cells} == {"embedded_time_noisy", "embedded_arithmetic"}


def test_every_choice_of_what_to_align_is_a_recipe() -> None:
    recipe = load_recipe(RECIPES_DIRECTORY / "embedded_alignment.yaml")
    aligned = {variant.alignment or AlignmentSpec() for variant in recipe.variants if variant.method == "ia2_sft"}
    assert len({(a.output, a.distance, a.layers) for a in aligned}) == 3 * 3 * 3
