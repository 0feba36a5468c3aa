"""The page in headless Chromium; one browser for all tests, and no network for it."""

from __future__ import annotations

import json
import shutil
import time
from urllib.parse import unquote, urlparse

import pytest
from rich.console import Console
from synthetic_run import make_record, write_run

from ia2_eval.leaderboard.page.command import page_command
from ia2_eval.lm.base_model import Base

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")

EVIL = "</script><img src=x onerror=alert(1)>"
ACCURACY = {"no_icl": 0.5, "icl": 0.75, "sft": 0.625, "ia2_sft": 1.0}


def records():
    for method, accuracy in ACCURACY.items():
        for n in (4, 16) if method != "no_icl" else (4,):
            for seed in (0, 1) if method != "no_icl" else (0,):
                for rate in (1e-3, 3e-3) if method in ("sft", "ia2_sft") else (1e-3,):
                    metrics = {"sst2": {"acc": accuracy, "ece": 0.1}, "fins": {"acc": accuracy / 2, "ece": 0.2}}
                    yield make_record(method, metrics, n=n, seed=seed, learning_rate=rate, dev_loss=rate)
    error = "Traceback\nOutOfMemoryError: too little"
    yield make_record("ia2", {"sst2": {}, "fins": {}}, error=error, learning_rate=1e-3)
    for seed in (0, 1):
        metrics = {"sst2": {"acc": 0.5, "ece": 0.1}, "fins": {"acc": 0.5, "ece": 0.1}}
        yield make_record("icl", metrics, base=Base(model=EVIL), seed=seed)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = write_run(tmp_path_factory.mktemp("a run"), [*records()])
    out = directory / "board" / "page.html"
    page_command([directory], out, Console(quiet=True))
    return out


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def load(browser, page):
    """Loads the page anew, with a state in its address; nothing may be logged until the test ends."""

    def load(state=""):
        browser.get("about:blank")
        browser.get(page.as_uri() + state)
        return browser

    browser.get_log("browser")
    yield load
    assert browser.get_log("browser") == []


def rows(browser, column):
    """Texts of a column's cells, as shown."""
    return browser.execute_script(
        "return [...document.querySelectorAll(`#body td.${arguments[0]}`)].map((cell) => cell.innerText.trim())", column
    )


def find(browser, selector):
    return browser.find_element("css selector", selector)


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(browser)
    for key in keys:
        chain.send_keys(key)
    chain.perform()


def focused(browser):
    return browser.switch_to.active_element


def until(condition):
    deadline = time.monotonic() + 3
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def choose(browser, name, value):
    if not find(browser, f"#filter-{name}").get_attribute("open"):
        find(browser, f"#filter-{name} summary").click()
    find(browser, f'#filter-{name} input[value="{value}"]').click()


def test_loads_without_an_error_or_a_request(browser, load):
    browser.get_log("performance")
    load()
    assert find(browser, "#count").text == "20 of 20 rows"
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert {urlparse(url).scheme for url in sent} <= {"file", "data", "about"}
    assert sum(url.startswith("file:") for url in sent) == 1


def test_the_policy_stops_what_is_not_the_pages_own(browser, load):
    load()
    browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(script);"
    )
    assert browser.execute_script("return window.ran") is None
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


def test_evil_names_are_text(browser, load):
    load()
    assert EVIL in rows(browser, "base")
    assert browser.find_elements("css selector", "img") == []


def test_sorting_by_a_number_and_back_with_missing_last(browser, load):
    load()
    for direction in ("ascending", "descending"):
        find(browser, "#by-accuracy button").click()
        assert find(browser, "#by-accuracy").get_attribute("aria-sort") == direction
        shown = [text.split()[0] for text in rows(browser, "accuracy")]
        missing = shown.count("–")
        assert shown[-missing:] == ["–"] * missing == ["–"] * 2
        values = [float(text) for text in shown[:-missing]]
        assert values == sorted(values, reverse=direction == "descending")
        assert len(set(values)) > 4
    assert focused(browser).text.startswith("Accuracy")  # where the user was
    find(browser, "#by-method button").click()
    methods = rows(browser, "method")
    order = ["no ICL", "ICL", "SFT", "IA2", "IA2 → SFT"]
    assert methods == sorted(methods, key=order.index)
    assert find(browser, "#by-accuracy").get_attribute("aria-sort") is None


def test_sizes_are_sorted_as_numbers_and_equal_ones_keep_their_order(browser, load):
    load()
    before = [*zip(rows(browser, "n"), rows(browser, "method"), rows(browser, "eval"), strict=True)]
    find(browser, "#by-n button").click()
    find(browser, "#by-n button").click()
    after = [*zip(rows(browser, "n"), rows(browser, "method"), rows(browser, "eval"), strict=True)]
    assert after == sorted(before, key=lambda row: -int(row[0]))
    assert {row[0] for row in after} == {"4", "16"}


def test_filters_narrow_what_is_shown_and_the_count_says_so(browser, load):
    load()
    choose(browser, "method", "SFT")
    assert set(rows(browser, "method")) == {"SFT"}
    choose(browser, "method", "ICL")
    choose(browser, "n", "16")
    assert set(rows(browser, "method")) == {"ICL", "SFT"}
    assert set(rows(browser, "n")) == {"16"}
    assert find(browser, "#count").text == "4 of 20 rows"
    assert find(browser, "#count").get_attribute("aria-live") == "polite"
    assert find(browser, "#filter-method summary").text.startswith("Method: ICL, SFT")
    choose(browser, "eval", "FinS")
    assert [text.split("OOD")[0].strip() for text in rows(browser, "eval")] == ["FinS"] * 2
    find(browser, "#reset").click()
    assert find(browser, "#count").text == "20 of 20 rows"
    assert urlparse(browser.current_url).fragment == ""


def test_search_takes_all_words(browser, load):
    load("#view=records")
    assert find(browser, "#count").text == "48 of 48 rows"
    find(browser, "#query").send_keys("outofmemory FINS")
    assert rows(browser, "status") == ["failed: OutOfMemoryError: too little"]
    find(browser, "#query").send_keys(" nothing")
    assert find(browser, "#body").text == "No row fits."


def test_oracle_choices_are_shown_on_demand(browser, load):
    load()
    assert not any("oracle" in text for text in rows(browser, "rate"))
    find(browser, "#oracle").click()
    assert sum("oracle" in text for text in rows(browser, "rate")) == 8


def test_the_address_keeps_a_view(browser, load):
    load()
    find(browser, "#view-records").click()
    choose(browser, "method", "IA2 → SFT")
    for _ in range(2):
        find(browser, "#by-seed button").click()
    shown = rows(browser, "seed")
    state = urlparse(browser.current_url).fragment
    load(f"#{state}")
    assert find(browser, "#view-records").get_attribute("aria-pressed") == "true"
    assert rows(browser, "seed") == shown == ["1"] * 8 + ["0"] * 8
    assert set(rows(browser, "method")) == {"IA2 → SFT"}
    load("#view=nonsense&sort=nonsense&row=nonsense&method=nonsense")
    assert find(browser, "#count").text == "0 of 20 rows"


def test_keyboard_alone_opens_and_closes_a_row(browser, load):
    from selenium.webdriver.common.keys import Keys

    load()
    press(browser, Keys.TAB)
    assert focused(browser).text == "Skip to the results"
    press(browser, Keys.ENTER)
    assert focused(browser).get_attribute("id") == "results"
    headings = len(browser.find_elements("css selector", "#head button"))
    press(browser, *[Keys.TAB] * (headings + 1), Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    button = focused(browser)
    assert button.text == rows(browser, "method")[2] == "no ICL"  # the third row
    press(browser, Keys.ENTER)
    dialog = find(browser, "#detail")
    assert dialog.is_displayed()
    for _ in range(12):  # Tab never comes to what lies behind
        press(browser, Keys.TAB)
        assert browser.execute_script(
            "const at = document.activeElement; return at === document.body || arguments[0].contains(at)", dialog
        )
    press(browser, Keys.ESCAPE)
    until(lambda: not dialog.is_displayed())
    assert focused(browser) == button
    press(browser, Keys.TAB)
    assert browser.execute_script("return !document.activeElement.closest('#body')")  # one stop for all rows


def test_a_mean_leads_to_its_records_and_their_files(browser, load, page):
    load("#method=SFT&n=16&eval=SST2")
    find(browser, "#body tr").click()
    dialog = find(browser, "#detail")
    assert "(2 seeds together)" in find(browser, "figcaption").text
    assert "15 equal-width bins" in find(browser, "figcaption").text
    # Ten samples per seed with confidences 0.5, 0.55, ... 0.95, each second one right: in eight of the fifteen bins.
    assert len(browser.find_elements("css selector", "#detail svg .bar")) == 8
    title = find(browser, "#detail svg g title").get_attribute("textContent")
    assert title == "confidence 0.467–0.533: 2 examples, 2 right, accuracy 1.000, mean confidence 0.500"
    links = [link.get_attribute("href") for link in dialog.find_elements("css selector", "a")]
    assert len(links) == 2
    dialog.find_elements("css selector", ".list .open")[1].click()
    assert "seed 1" in find(browser, "#detail-title").text
    href = find(browser, "#detail a").get_dom_attribute("href")
    assert href.startswith("../records/")
    record = json.loads((page.parent / unquote(href)).read_text())
    assert (record["cell"]["method"], record["cell"]["n"], record["cell"]["seed"]) == ("sft", 16, 1)
    for said in ("Provenance", "Training", "Metrics", "Cell", "q_proj, k_proj, o_proj", "62.5"):
        assert said in dialog.text
    load(f"#{urlparse(browser.current_url).fragment}")
    assert "seed 1" in find(browser, "#detail-title").text  # the address holds the open row


def test_the_best_is_bold_and_labels_are_a_column(browser, load):
    load()
    assert set(rows(browser, "labels")) == {"–", "ground_truth"}
    choose(browser, "labels", "ground_truth")
    assert set(rows(browser, "method")) == {"SFT", "IA2 → SFT"}
    load("#n=16&eval=SST2&base=tiny")
    browser.execute_script("for (const row of means) { row.best = [row.method === 'ICL', false]; row.line = null; }")
    browser.execute_script("update()")
    bold = browser.find_elements("css selector", "#body strong.value")
    assert [each.text for each in bold] == ["75.0 ± 0.0"]
    assert int(bold[0].value_of_css_property("font-weight")) > 600
    assert int(find(browser, "#body td.accuracy span.value").value_of_css_property("font-weight")) == 400


def test_large_counts_have_room_beside_the_name_of_the_axis(browser, load):
    load()
    browser.execute_script(
        "const row = means.find((each) => each.diagram); row.diagram[3].splice(1, 2, 12345, 12345); openDetail(row)"
    )
    overlapping = browser.execute_script(
        "const boxes = [...document.querySelectorAll('#detail svg text')].map((text) => [text.textContent,"
        " text.getBoundingClientRect()]);"
        "return boxes.flatMap(([a, one], i) => boxes.slice(i + 1).filter(([b, other]) => one.left < other.right &&"
        " other.left < one.right && one.top < other.bottom && other.top < one.bottom).map(([b]) => [a, b]))"
    )
    assert "12345" in find(browser, "#detail svg").text
    assert overlapping == []


def test_a_failed_record_says_why(browser, load):
    load("#view=records&method=IA2")
    find(browser, "#body tr").click()
    assert "OutOfMemoryError: too little" in find(browser, "#detail").text
    assert browser.find_elements("css selector", "#detail svg") == []


@pytest.mark.parametrize("view", ["means", "records"])
def test_a_phone_never_scrolls_sideways(browser, load, view):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        load(f"#view={view}")
        width = "return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        assert browser.execute_script(width) == 360
        assert find(browser, "#sort").is_displayed()
        find(browser, "#body .open").click()
        dialog = find(browser, "#detail")
        assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", dialog)
        assert dialog.size["width"] <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [800, 1300, 1340, 1440])
@pytest.mark.parametrize("view", ["means", "records"])
def test_the_page_never_scrolls_sideways_on_a_desk(browser, load, view, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        load(f"#view={view}")
        browser.execute_script(  # as wide as they usually are
            "for (const row of rowsOf[state.view]) Object.assign(row, { base: 'Qwen/Qwen3-4B-Base', line: null,"
            " accuracy: [0.7041, 0.0812, 0.6031, 0.8051], calibration: [0.1691, 0.0482, 0.1103, 0.2284] }); update()"
        )
        assert browser.execute_script(
            "return document.documentElement.scrollWidth === document.documentElement.clientWidth"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_shows_rows_without_controls_in_light_colours(browser, load):
    load()
    colours = []
    for media in ("screen", "print"):
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        colours.append(find(browser, "body").value_of_css_property("background-color"))
        assert find(browser, "#controls").is_displayed() == (media == "screen")
        assert len([row for row in browser.find_elements("css selector", "#body tr") if row.is_displayed()]) == 20
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    assert colours == ["rgba(20, 23, 27, 1)", "rgba(255, 255, 255, 1)"]


def test_times_are_rounded_in_their_own_unit(browser, load):
    load()
    times = [None, 0.04, 59.9, 59.96, 119.7, 3599.4, 3599.6, 7199, 90061]
    told = [browser.execute_script("return duration(arguments[0])", seconds) for seconds in times]
    assert told == [
        "–",
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "2 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
        "2 h 0 min",
        "25 h 1 min",
    ]
