from __future__ import annotations

from ia2_eval.leaderboard.style import KNOWN, Column, column_styles, method_styles


def test_columns_are_known_methods_then_others_by_name():
    given = ["zeta", "soft_sft", "ia2_sft", "alpha", "icl", "ia2+sft", "sft", "sft_ia2", "no_icl", "ia2"]
    assert list(method_styles(given)) == [*KNOWN, "alpha", "zeta"]
    assert list(KNOWN)[:5] == ["no_icl", "icl", "sft", "ia2", "ia2_sft"]


def test_a_method_without_a_style_of_its_own_gets_the_next_free_one():
    others = [f"method_{i:02}" for i in range(20)]
    styles = method_styles([*reversed(others), *KNOWN])
    assert styles == method_styles([*KNOWN, *others, *others])
    assert {method: styles[method] for method in KNOWN} == KNOWN
    assert [styles[method].title for method in others] == others
    assert len({(style.colour, style.marker) for style in styles.values()}) == len(styles)
    assert not {styles[method].marker for method in others} & {style.marker for style in KNOWN.values()}


def test_variants_follow_their_method_and_look_like_it():
    variants = ["w=0.05", "w=0.5", "w=0.001", "w=10"]
    columns = [Column("ia2+sft", variant) for variant in variants]
    styles = column_styles([*columns, Column("soft_sft", "top 20"), Column("soft_sft", "top 5"), Column("sft")])
    assert [style.title for style in styles.values()] == [
        "SFT",
        *(f"IA2 + SFT (w={weight})" for weight in ("0.001", "0.05", "0.5", "10")),
        *("soft SFT (top 5)", "soft SFT (top 20)"),
    ]
    assert styles[Column("sft")] == KNOWN["sft"]
    joint = [styles[column] for column in columns]
    assert {style.colour for style in joint} == {KNOWN["ia2+sft"].colour}


def test_many_variants_can_be_told_apart():
    styles = column_styles([Column("ia2"), *(Column("ia2", f"layer {i}") for i in range(21))])
    assert len({(style.colour, style.marker, style.line) for style in styles.values()}) == 22
