from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.adapters.origin import remarks, require_base, require_tokenizer, stored_dtype, stored_revision
from ia2_eval.adapters.stored import StoredAdapter, count_whole_models, find_adapters
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base, BaseFiles


def adapter(directory: Path, kind: str = "LORA", weights: bytes = b"w") -> Path:
    directory.mkdir(parents=True)
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": kind}))
    (directory / "adapter_model.safetensors").write_bytes(weights)
    return directory


def whole_model(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"")
    return directory


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = adapter(tmp_path / "runs" / "one"), adapter(tmp_path / "a=b" / "two")
    monkeypatch.chdir(one)
    found = find_adapters([str(one), f"mine={one}", str(two)])
    assert [(each.name, each.directory) for each in found] == [("one", one), ("mine", one), ("two", two)]
    assert [each.name for each in find_adapters(["."])] == ["one"]


def test_the_adapters_of_a_run(tmp_path: Path) -> None:
    adapter(tmp_path / "run" / "adapters" / "b", "PREFIX_TUNING")
    adapter(tmp_path / "run" / "adapters" / "a")
    whole_model(tmp_path / "run" / "adapters" / "c")
    (tmp_path / "run" / "adapters" / "unfinished").mkdir()
    assert [each.name for each in find_adapters([], [tmp_path / "run"])] == ["a", "b"]
    assert count_whole_models(tmp_path / "run") == 1
    with pytest.raises(UserError, match=r"holds no adapters/\*/adapter_config.json: give the --out of `ia2-eval run`"):
        find_adapters([], [tmp_path])


def test_whole_models_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    directory = whole_model(tmp_path / "full")
    with pytest.raises(UserError) as raised:
        find_adapters([str(directory)], base="some/model")
    assert f"--model_args pretrained={directory},tokenizer=some/model" in str(raised.value)
    with pytest.raises(UserError, match=f"tokenizer={MODEL_DIRECTORY} "):
        find_adapters([str(directory)], base="embedded")


def in_run(run: Path, name: str = "small", **changes: Any) -> StoredAdapter:
    """An adapter that a run has trained and not evaluated."""
    base = Base(model=f"hub/{name}", fingerprint=changes.pop("fingerprint", "f" * 40), dtype="bfloat16")
    content = {"base": base, "source": "sst2", "method": "sft", "evals": ("sst2",), "data": "d", "n": 4, "seed": 0}
    cell = Cell.model_validate(content | changes)
    found = StoredAdapter(cell.key, adapter(run / "adapters" / cell.key))
    Store(run).write_plan([cell])
    return found


def test_methods_and_sources_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    one, two = in_run(run), in_run(run, method="ia2")
    three = in_run(run, method="ia2", source="agn")
    assert one.cell and (one.cell.method, one.cell.key) == ("sft", one.name)

    def names(methods: list[str], sources: list[str]) -> set[str]:
        return {each.name for each in find_adapters([], [run], "b", methods, sources)}

    assert names([], []) == {one.name, two.name, three.name}
    assert names(["ia2"], []) == {two.name, three.name} and names(["sft", "ia2"], ["sst2"]) == {one.name, two.name}
    with pytest.raises(UserError, match=r"--method: .* 'iaa2'\. Did you mean 'ia2'"):
        names(["iaa2"], [])


def test_the_base_of_the_run_is_asked_for(tmp_path: Path) -> None:
    found = in_run(tmp_path / "run")
    files = BaseFiles(Base(model="hub/small", fingerprint="f" * 40, dtype="bfloat16"), tmp_path)
    other = BaseFiles(Base(model="hub/large", fingerprint="a" * 40), tmp_path)
    assert stored_dtype([found]) == "bfloat16" and stored_dtype([]) == "float32"
    assert stored_revision("hub/small", [found]) == "f" * 40 and stored_revision("hub/large", [found]) is None
    require_base([found], files)
    with pytest.raises(UserError, match=r"1 of 1 .* 'hub/small' \(fingerprint f+\), and --base 'hub/large' .* a+\."):
        require_base([found], other)
    assert list(remarks([found], files)) == []
    (note,) = remarks([found], other)
    assert "in bfloat16, evaluated in float32" in note
    copy = BaseFiles(Base(model="copies/small", fingerprint="c" * 64, dtype="bfloat16"), tmp_path)
    require_base([found], copy)  # may be the same
    assert [*remarks([found], copy)] == [
        "warning: trained on 'hub/small', which cannot be told from --base 'copies/small' by a fingerprint"
    ]


@pytest.mark.parametrize(
    ("theirs", "base", "warned"),
    [
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-0.6B", True),
        ("Qwen/Qwen3-4B", "/models/Qwen3-4B", False),
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B", False),
        ("/somewhere/else", "Qwen/Qwen3-4B", False),
        (None, "Qwen/Qwen3-4B", False),
    ],
)
def test_an_adapter_of_another_hub_model(theirs: str | None, base: str, warned: bool, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "one")
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": theirs}))
    said = list(remarks([StoredAdapter("one", directory)], BaseFiles(Base(model=base), tmp_path)))
    assert [theirs in line and base in line for line in said if theirs] == [True] * warned


def test_a_base_without_a_tokenizer(tmp_path: Path) -> None:
    files = BaseFiles(Base(model="checkpoint"), whole_model(tmp_path / "model"))
    with pytest.raises(UserError, match="'checkpoint' holds no tokenizer"):
        require_tokenizer(files)
    require_tokenizer(BaseFiles(Base(model="embedded"), MODEL_DIRECTORY))


def test_all_faults_are_listed(tmp_path: Path) -> None:
    fine, weightless = adapter(tmp_path / "fine"), adapter(tmp_path / "weightless")
    (weightless / "adapter_model.safetensors").unlink()
    strange = adapter(tmp_path / "strange", "XLORA")
    (tmp_path / "empty").mkdir()
    same = adapter(tmp_path / "other" / "fine")
    base = adapter(tmp_path / "base")
    given = [fine, weightless, strange, tmp_path / "empty", same, base, tmp_path / "missing"]
    with pytest.raises(UserError) as raised:
        find_adapters([str(path) for path in given], base="some/model")
    _, *faults = str(raised.value).splitlines()
    assert len(faults) == 6
    for part in (
        f"'{weightless}' holds no adapter_model.safetensors",
        "is of kind XLORA",
        f"pretrained=some/model,peft={strange}",
        "empty' holds no adapter_config.json",
        "two adapters are called 'fine': name one with --adapter NAME=DIR",
        "an adapter cannot be called 'base'",
        "missing' is not a directory",
    ):
        assert part in str(raised.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_configuration(content: str, tmp_path: Path) -> None:
    (adapter(tmp_path / "one") / "adapter_config.json").write_text(content)
    with pytest.raises(UserError, match="is not the configuration of an adapter"):
        find_adapters([str(tmp_path / "one")])


def test_the_hash_is_that_of_configuration_and_weights(tmp_path: Path) -> None:
    directories = [
        adapter(tmp_path / "a"),
        adapter(tmp_path / "b"),
        adapter(tmp_path / "c", weights=b"v"),
        adapter(tmp_path / "d", "IA3"),
    ]
    hashes = [StoredAdapter(path.name, path).sha256 for path in directories]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
