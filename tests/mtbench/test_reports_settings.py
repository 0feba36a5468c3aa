import itertools

from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.reports.settings import Setting, axes, default_reference, grid, in_order, labels


def setting(prompt_set: str = "urial", base: str = "embedded", **values: float | str) -> Setting:
    decoding = DecodingSettings.model_validate(values)
    return Setting(f"{base}_{prompt_set}_{decoding.name}", decoding, prompt_set, base)


def test_axes_are_what_varies() -> None:
    settings = [setting(temperature=t, top_p=p) for t in ("per_category", 1.0, 0.5) for p in (1.0, 0.9)]
    assert [(axis.name, axis.values) for axis in axes(settings)] == [
        ("temperature", (0.5, 1.0, "per_category")),
        ("top_p", (0.9, 1.0)),
    ]
    sampled = [setting(temperature=0, samples=1), setting(temperature=0.5, samples=4, seed=3)]
    assert [axis.name for axis in axes(sampled)] == ["temperature"]  # samples and seed are repetitions
    assert [s.decoding.temperature for s in in_order(settings)] == [0.5, 0.5, 1.0, 1.0, "per_category", "per_category"]


def test_grid_of_two_and_three_axes() -> None:
    two = [setting(temperature=t, repetition_penalty=r) for t in (0, 0.5, 1) for r in (1, 1.15)]
    found = grid(two)
    assert found is not None and found.panels is None
    assert (found.rows.name, found.columns.name) == ("repetition_penalty", "temperature")
    assert found.places[1.15, 0.5, None] == "embedded_urial_t0.5_rp1.15"
    three = [setting(p, temperature=t, top_k=k) for p in ("a", "b") for t in (0.2, 0.4, 0.6, 0.8) for k in (0, 20, 40)]
    found = grid(three)
    assert found is not None and found.panels is not None
    assert (found.rows.name, found.columns.name, found.panels.name) == ("top_k", "temperature", "prompt set")
    assert found.places[20, 0.4, "b"] == "embedded_b_t0.4_k20"


def test_lists_where_there_is_no_grid() -> None:
    assert grid([setting(temperature=t) for t in (0, 0.5, 1)]) is None  # one axis
    assert grid([Setting(name, decoding, "urial", "m") for name, decoding in PRESETS.items()]) is None  # five
    assert grid([setting(temperature=0), setting(temperature=0.7, repetition_penalty=1.15)]) is None  # 2 of 4 places
    corner = [setting(temperature=t, repetition_penalty=r) for t, r in ((0, 1), (0.7, 1), (0.7, 1.15))]
    assert grid(corner) is not None  # 3 of 4
    most = [setting(temperature=t / 10, top_p=1 - p / 10) for t in range(1, 9) for p in range(6) if (t > 3) or (p < 3)]
    assert len(most) == 39 and grid(most) is not None  # of 48
    diagonal = [setting(temperature=t / 10, top_p=t / 10) for t in range(1, 6)]
    assert grid(diagonal) is None  # 5 of 25 places
    twice = [setting(temperature=t, top_k=k) for t, k in itertools.product((0.5, 1), (0, 40))]
    assert grid(twice) is not None
    assert grid([*twice, twice[0]._replace(model_id="again")]) is None


def test_labels_and_reference() -> None:
    settings = [setting(temperature=0.5), setting("none"), setting(repetition_penalty=1.15), setting(temperature=1)]
    by_model = {s.model_id: s for s in settings}
    assert list(labels(settings).values()) == ["urial t0.5", "none t0", "urial t0_rp1.15", "urial t1"]
    assert list(labels(settings[2:]).values()) == ["t0_rp1.15", "t1"]
    seeds = [settings[0], settings[0]._replace(model_id="again")]
    assert list(labels(seeds).values()) == ["embedded_urial_t0.5", "again"]
    assert default_reference(list(by_model), by_model) == "embedded_none_t0"
    assert default_reference(["x", "y"], {}) == "x"
    penalised = [setting(temperature=0.7), setting(repetition_penalty=1.15), setting(frequency_penalty=1)]
    greedy = {s.model_id: s for s in penalised}
    assert default_reference(list(greedy), greedy) == "embedded_urial_t0_rp1.15"  # none is without penalties
