"""FastChat's own rules of who is judged with which prompt."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

_NEVER_CALLED: dict[str, tuple[str, ...]] = {
    "openai": (),
    "anthropic": (),
    "fastchat.model": (),
    "fastchat.model.model_adapter": ("get_conversation_template", "ANTHROPIC_MODEL_LIST", "OPENAI_MODEL_LIST"),
}
_PACKAGE = "fastchat.llm_judge"
_IMPORTED = ("common", "gen_judgment")


@cache
def fastchat_judges() -> ModuleType:
    """`fastchat.llm_judge.gen_judgment`: `Judge`, `MatchSingle`, `make_judge_single`, `check_data` and the like.

    It imports API clients and, for the templates of local models, torch. Nothing that is used of it calls them, so that
    stand-ins take their place during the import: a tenth of a second instead of many.
    """
    with _stand_ins(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in FastChat's regular expressions
        return importlib.import_module(f"{_PACKAGE}.gen_judgment")


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Within the context nothing above is imported; afterwards all modules are as they were before.

    FastChat's two modules go again as well: who imports them later, with all they need, gets them whole.
    """
    package = importlib.import_module(_PACKAGE)
    names = (*_NEVER_CALLED, *(f"{_PACKAGE}.{name}" for name in _IMPORTED))
    modules = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    attributes = {name: vars(package).pop(name) for name in _IMPORTED if name in vars(package)}
    for name, members in _NEVER_CALLED.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(dict.fromkeys(members))
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        for name in _IMPORTED:
            vars(package).pop(name, None)
        sys.modules.update(modules)
        vars(package).update(attributes)
