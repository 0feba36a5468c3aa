from __future__ import annotations

from ia2_eval.leaderboard.style import KNOWN, method_styles


def test_columns_are_known_methods_then_others_by_name():
    assert list(method_styles(["zeta", "ia2_sft", "alpha", "icl", "sft", "no_icl", "ia2"])) == [*KNOWN, "alpha", "zeta"]


def test_a_method_without_a_style_of_its_own_gets_the_next_free_one():
    others = [f"method_{i:02}" for i in range(20)]
    styles = method_styles([*reversed(others), *KNOWN])
    assert styles == method_styles([*KNOWN, *others, *others])
    assert {method: styles[method] for method in KNOWN} == KNOWN
    assert [styles[method].title for method in others] == others
    assert len({(style.colour, style.marker) for style in styles.values()}) == len(styles)
    assert not {styles[method].marker for method in others} & {style.marker for style in KNOWN.values()}
