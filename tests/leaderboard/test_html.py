from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ia2_eval.leaderboard.tables.html import to_html
from ia2_eval.leaderboard.tables.table import Mark, Table

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

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
VOID = ("meta", "!doctype", "img", "source")


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


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
def test_five_methods_fit_a_screen_of_1200_pixels(tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    row = (("8", "200"), ("Time (noisy)", "Time (noisy)"), ("58.5", "0.08"), *(("100.0 (21.7)", "0.14 (0.05)"),) * 4)
    table = Table("T", ("no ICL", "ICL", "SFT", "IA2", "IA2 → SFT"), ("acc", "unparsed"), (row,), ())
    (tmp_path / "board.html").write_text(to_html("T", [table]), encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get((tmp_path / "board.html").as_uri())
        wide = "document.querySelector('.wide')"
        assert driver.execute_script(f"return innerWidth <= 1200 && {wide}.scrollWidth <= {wide}.clientWidth")
    finally:
        driver.quit()


def test_pictures_are_shown_where_they_lie() -> None:
    page = Page(to_html("T", [TABLE], [], ["plots/tiny & small/ece_vs_n.png", "../run/analysis/a#1.png"]))
    shown = [attributes for attributes, _ in page.all("img")]
    assert [(each["src"], each["alt"], each["loading"]) for each in shown] == [
        ("plots/tiny%20%26%20small/ece_vs_n.png", "ece vs n", "lazy"),
        ("../run/analysis/a%231.png", "a#1", "lazy"),
    ]
    assert [text for _, text in page.all("h2")] == ["Figures"]


def test_columns_of_one_value_have_one_line_of_names() -> None:
    one = Table("T", ("turn 1", "turn 2"), ("",), ((("a",), ("7.5",), ("6.5",)),), (), (("model",),))
    page = Page(to_html("T", [one]))
    assert len(page.all("tr")) == 2
    assert [text for attributes, text in page.all("th") if attributes["scope"] == "col"] == [
        "model",
        "turn 1",
        "turn 2",
    ]
