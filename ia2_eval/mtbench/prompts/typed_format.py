"""Prompt sets as YAML: an instruction and typed demonstrations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import URIAL_HEADINGS, Demonstration, Headings, PromptSet, Turn

EXAMPLE = "{instruction: ..., demonstrations: [{turns: [{query: ..., answer: ...}]}]}"


class TypedPromptSet(Frozen):
    """What a YAML file holds."""

    instruction: str = ""
    demonstrations: tuple[Demonstration, ...] = ()
    headings: Headings = URIAL_HEADINGS


def parse_typed(name: str, text: str) -> PromptSet:
    """A prompt set from YAML: `instruction`, `demonstrations` with their `turns`, and `headings` if they are others.

    Raises:
        UserError: the YAML is broken or says something else; all faults are listed.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"must be a mapping, such as {EXAMPLE}")
    try:
        typed = TypedPromptSet.model_validate(content)
    except ValidationError as error:
        raise UserError("; ".join(_describe(fault) for fault in error.errors())) from error
    if not typed.instruction and not typed.demonstrations:
        raise UserError("there is nothing in it; for no prompt at all, use the prompt set `none`")
    return build_prompt_set(name, typed.instruction, typed.demonstrations, typed.headings)


def as_typed(prompt_set: PromptSet) -> str:
    """A prompt set as YAML, as `parse_typed` reads it."""
    content: dict[str, Any] = {"instruction": prompt_set.instruction}
    if prompt_set.headings != URIAL_HEADINGS:
        content["headings"] = prompt_set.headings.model_dump()
    content["demonstrations"] = [
        demonstration.model_dump(mode="json", exclude_defaults=True) for demonstration in prompt_set.demonstrations
    ]
    return str(yaml.dump(content, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=10**6))


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks, where YAML can say them so."""


_OTHER_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
"""YAML reads them as newlines, unless they are escaped."""


def _as_scalar(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _OTHER_LINE_ENDS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _as_scalar)

_KNOWN: Mapping[str, type[BaseModel]] = {"demonstrations": Demonstration, "turns": Turn, "headings": Headings}


def _describe(fault: Any) -> str:
    """One fault: where, what, and how to mend it; places are counted from 1."""
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        within = next((part for part in reversed(fault["loc"][:-1]) if isinstance(part, str)), "")
        fields = _KNOWN.get(within, TypedPromptSet).model_fields
        return f"{where}: unknown key.{did_you_mean(str(fault['loc'][-1]), fields)}"
    if fault["type"] == "missing":
        return f"{where}: is missing"
    found = repr(fault["input"])
    reason = fault["msg"].replace("Input should be", "must be")
    return f"{where}: {reason} (found {found if len(found) <= 60 else found[:57] + '...'})"
