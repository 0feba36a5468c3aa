from __future__ import annotations

from html.parser import HTMLParser

from ia2_eval.leaderboard.tables.html import to_html
from ia2_eval.leaderboard.tables.table import Mark, Table

TABLE = Table(
    title="tiny <strict>",
    columns=("no ICL", "SFT & more"),
    values=("acc", "ECE"),
    rows=(
        (("4", "200"), ("SST2", "FinS*"), ("50.0", "0.20"), ("61.5 (2.0) <1/5>", "0.10 (0.01)")),
        (("8", "200"), ("SST2", "SST2"), ("50.0", "0.20"), ("missing", "missing")),
    ),
    caption=("In per cent: acc.",),
    best=frozenset({Mark(0, 1, 0)}),
)
VOID = ("meta", "!doctype")


class Page(HTMLParser):
    """Elements of a page: their names, attributes and texts; tags must nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), []))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.found[-1][2].append(data)

    def all(self, tag):
        return [(attributes, "".join(texts)) for name, attributes, texts in self.found if name == tag]


def test_tables_are_what_a_screen_reader_needs() -> None:
    page = Page(to_html("Leader & board", [TABLE], [("Failed cells", ["a <b>: x"])]))
    assert page.all("caption") == [({}, "tiny <strict>")]
    assert page.all("h1") == [({}, "Leader & board")]
    heads = page.all("th")
    assert [text for attributes, text in heads if attributes["scope"] == "colgroup"] == ["no ICL", "SFT & more"]
    assert all(attributes["colspan"] == "2" for attributes, _ in heads if attributes["scope"] == "colgroup")
    assert [text for attributes, text in heads if attributes["scope"] == "col"] == [
        *("N", "n", "source", "eval"),
        *("acc", "ECE") * 2,
    ]
    assert [text for attributes, text in heads if attributes["scope"] == "row"] == [
        *("4", "200", "SST2", "FinS*"),
        *("8", "200", "SST2", "SST2"),
    ]
    words = [text for attributes, text in heads if attributes.get("class") == "word"]
    assert words == ["source", "eval", "SST2", "FinS*", "SST2", "SST2"]
    assert page.all("strong") == [({}, "61.5 (2.0) <1/5>")]
    assert len(page.all("td")) == 8
    assert [text for _, text in page.all("li")] == ["In per cent: acc.", "a <b>: x"]


def test_it_needs_nothing_else() -> None:
    text = to_html("T", [TABLE])
    page = Page(text)
    assert not {tag for tag, *_ in page.found} & {"script", "link", "img", "iframe"}
    assert "http" not in text and "url(" not in text
    assert "@media print" in text and 'name="viewport"' in text


def test_columns_of_one_value_have_one_line_of_names() -> None:
    one = Table("T", ("turn 1", "turn 2"), ("",), ((("a",), ("7.5",), ("6.5",)),), (), (("model",),))
    page = Page(to_html("T", [one]))
    assert len(page.all("tr")) == 2
    assert [text for attributes, text in page.all("th") if attributes["scope"] == "col"] == [
        "model",
        "turn 1",
        "turn 2",
    ]
