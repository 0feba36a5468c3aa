from __future__ import annotations

import json
from pathlib import Path

import pytest

from ia2_eval.adapters.stored import StoredAdapter, find_adapters
from ia2_eval.errors import UserError


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
    with pytest.raises(UserError, match=r"holds no adapters/\*/adapter_config.json: give the --out of `ia2-eval run`"):
        find_adapters([], [tmp_path])


def test_whole_models_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    directory = whole_model(tmp_path / "full")
    with pytest.raises(UserError) as raised:
        find_adapters([str(directory)], base="some/model")
    assert f"--model_args pretrained={directory},tokenizer=some/model" in str(raised.value)


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
