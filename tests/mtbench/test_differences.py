from __future__ import annotations

from typing import Any

from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.differences import differences


class Part(Frozen):
    size: int = 1
    pace: int = 1


class Whole(Frozen):
    name: str = "a"
    part: Part | None = Part()
    texts: tuple[str, ...] = ()


def found(free: dict[str, Any], **changes: Any) -> list[str]:
    return differences(Whole(), Whole(**changes), free)


def test_what_differs_is_named_with_both_values() -> None:
    assert found({}) == []
    assert found({}, name="b", part=Part(size=2)) == ['name: "a" -> "b"', "part.size: 1 -> 2"]
    assert found({}, part=None) == ["part.size: 1 -> null", "part.pace: 1 -> null"]
    (long,) = found({}, texts=("x" * 500,))
    assert len(long) < 150 and long.endswith("xxx...")


def test_what_is_free_does_not_count() -> None:
    free = {"name": True, "part": {"pace"}}
    assert found(free, name="b", part=Part(pace=2)) == []
    assert found(free, part=Part(size=2, pace=2)) == ["part.size: 1 -> 2"]
    assert differences(Whole(part=None), Whole(part=None), free) == []
