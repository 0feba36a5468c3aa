from __future__ import annotations

import pytest
from ia2_training.adapters import Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter

from ia2_eval.adapters.stored import StoredAdapter, find_adapters
from tests.adapters.small_adapters import store


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval lists the installed packages with every result, in seconds."""
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[StoredAdapter]:
    directory = tmp_path_factory.mktemp("adapters")
    adapters = {"lora": LoraAdapter(), "ia3": Ia3Adapter(), "prompt": PromptAdapter(3), "prefix": PrefixAdapter(3)}
    return find_adapters([str(store(adapter, directory / name)) for name, adapter in adapters.items()])
