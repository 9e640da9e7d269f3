"""MemoryGauge: values in words and in px, what is missing, a growing run, hostile names, the static twin."""

import math
import re
import threading
import time

import numpy as np
import pytest

from rlkit import live as live_module
from rlkit.runs import Run, Step
from rlkit.widgets import MemoryGauge, memory_gauge

GB = 10**9
LARGE = {"weights": 5.5 * GB, "trainable": 0.32 * GB, "gradient": 0.32 * GB, "optimizer": 0.64 * GB,
         "used": 5.83 * GB, "device": "Tesla T4", "limit": 16 * GB}  # fmt: skip
TINY = {"weights": 131_100, "trainable": 75_800, "gradient": 75_800, "optimizer": 151_600,
        "used": 559 * 10**6, "device": "CPU", "limit": 25.28 * GB}  # fmt: skip


def make(root, memory=LARGE, peaks=(8.0 * GB, 7.5 * GB), seconds=(12.0, 14.0, 13.0), **config):
    """An ended run with these numbers in its steps; None: not logged."""
    run = Run.create("demo", config | ({} if memory is None else {"memory": memory}), root=root)
    for step, (peak, took) in enumerate(zip(peaks, seconds, strict=False)):
        run.log(step, reward=0.5, **({} if peak is None else {"memory_peak": peak, "step_seconds": took}))
    run.finish()
    return run


def cells(page):
    """First cell of each row of the table -> the other cells."""
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    return {row[0]: row[1:] for row in rows if row}


def segments(page):
    """(left end, width) in px of the bar's rectangles, swatches aside."""
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="24"', page)
    return [(float(x), float(wide)) for x, wide in found]


def until(condition, seconds=20):
    """Wait for another thread's work; the limit is only there so that a failure ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def test_sizes_are_said_in_the_largest_unit_that_they_fill():
    counts = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 45_600_000: "45.6 MB", 999_600_000: "1.00 GB", 8 * GB: "8.00 GB"}
    assert {count: memory_gauge.size(count) for count in counts} == counts


def test_shares_have_two_digits_and_a_tiny_one_is_not_nothing():
    asked = [(0, 8), (1, 8e4), (0.0421, 1), (0.3, 1), (1, 1), (8.1, 4)]
    assert [memory_gauge.share(*pair) for pair in asked] == ["0 %", "< 0.1 %", "4.2 %", "30 %", "100 %", "202 %"]


def test_everything_else_is_the_highest_peak_minus_the_parts_and_never_negative(tmp_path):
    now = memory_gauge.read(make(tmp_path))
    assert now.peak == 8 * GB and memory_gauge.split(now.plan, now.peak)["everything else"] == 1.22 * GB
    less = memory_gauge.read(make(tmp_path, peaks=[6.0 * GB]))
    assert memory_gauge.split(less.plan, less.peak)["everything else"] == 0
    assert "add up to 6.78 GB, more than the peak" in memory_gauge.note(less)
    assert cells(memory_gauge.numbers(less))["weights"][1] == "92 % of the peak"  # and not of what they add up to


def test_the_bar_shows_each_part_to_scale_with_its_size_and_the_limit(tmp_path):
    page = MemoryGauge(make(tmp_path)).picture.value
    assert "Peak 8.00 GB: 50 % of 16.00 GB (Tesla T4)" in page and ">limit 16.00 GB</text>" in page
    for name, said in [("weights", "5.50 GB"), ("gradient", "320.0 MB"), ("everything else", "1.22 GB")]:
        assert re.search(rf">{name}</text><text[^>]*>{said}</text>", page)
    found, scale = segments(page), 704 / (1.04 * 16)  # px a GB
    parts = [5.5, 0.32, 0.32, 0.64, 1.22]
    assert [x for x, _ in found] == pytest.approx(8 + np.cumsum([0, *parts[:-1]]) * scale, abs=0.01)
    assert [wide for _, wide in found] == pytest.approx(np.array(parts) * scale - 1, abs=0.01)  # 1 px parts them
    mark = float(re.search(r'<path d="M([\d.]+) 14V', page)[1])
    assert mark == pytest.approx(8 + 16 * scale, abs=0.05)
    assert 'role="img"' in page and "everything else 1.22 GB</desc>" in page


@pytest.mark.parametrize(
    ("limit", "shown", "scale"),
    [
        (31.9, True, ["0", "10 GB", "20 GB", "30 GB"]),
        (32.1, False, ["0", "2 GB", "4 GB", "6 GB", "8 GB"]),
        (4.2, True, ["0", "2 GB", "6 GB", "8 GB"]),  # 4 GB stands too near the mark
    ],
)
def test_the_limit_is_marked_where_the_bar_fills_a_quarter_of_it(tmp_path, limit, shown, scale):
    page = MemoryGauge(make(tmp_path, LARGE | {"limit": limit * GB})).picture.value
    assert (">limit " in page) == shown == (" 14V64.0" in page) and f"of {limit:.2f} GB (Tesla T4)" in page
    drawn = page.split("</svg>")[0]
    assert re.findall(r'font-size="10">([^<]*)<', drawn) == scale
    assert max(x + wide for x, wide in segments(page)) <= 712


def test_a_model_beside_a_large_process_is_drawn_again_enlarged(tmp_path):
    gauge = MemoryGauge(make(tmp_path, TINY, [658.2e6, 600e6]))
    page, found = gauge.picture.value, segments(gauge.picture.value)
    assert "the model alone, enlarged 1,516 times" in page and "657.8 MB" in page
    assert len(found) == 5 + 4 and sum(wide for _, wide in found[:4]) < 1  # thinner than a pixel beside the process
    assert [wide + 1 for _, wide in found[5:]] == pytest.approx(
        [704 * TINY[name] / 434_300 for name in memory_gauge.PARTS], abs=0.01
    )
    assert "the whole process occupies" in page and "559.0 MB were in use before training" in page
    gauge.numbers.value = True
    rows = cells(gauge.twin.value)
    assert rows["trainable"][:2] == ["75.8 kB", "&lt; 0.1 % of the peak"] and rows["optimizer"][0] == "151.6 kB"
    assert "enlarged" not in MemoryGauge(make(tmp_path)).picture.value


def test_the_cards_give_newest_highest_and_median_with_their_scales(tmp_path):
    page = MemoryGauge(make(tmp_path, peaks=[8.0 * GB, 7.9 * GB, 7.95 * GB])).picture.value
    assert "7.95 GB newest, 8.00 GB highest" in page and "13 newest, 13 median" in page
    memory, seconds = [re.findall(r'text-anchor="end" >([^<]*)<', part) for part in page.split(" by step</title>")[1:]]
    assert memory == ["8", "7.6"] and seconds == ["14", "0"]  # 5 % at least, and from 0
    quick = MemoryGauge(make(tmp_path, peaks=[8.0 * GB] * 3, seconds=[0.001, 0.002, 0.004])).picture.value
    assert "milliseconds a step" in quick and "4 newest, 2 median" in quick


def test_the_table_twin_has_every_number(tmp_path):
    gauge = MemoryGauge(make(tmp_path, peaks=[8.0 * GB, 7.5 * GB, 7.9 * GB]))
    assert gauge.twin.value == "" and gauge.numbers.description == "show as table"
    gauge.numbers.value = True
    rows = cells(gauge.twin.value)
    assert {name: row[0] for name, row in rows.items()} == {
        "weights": "5.50 GB",
        "trainable": "320.0 MB",
        "gradient": "320.0 MB",
        "optimizer": "640.0 MB",
        "everything else": "1.22 GB",
        "in use before": "5.83 GB",
        "limit": "16.00 GB",
        "highest peak": "8.00 GB",
        "newest peak": "7.90 GB",
        "newest seconds": "13",
        "median seconds": "13",
    }
    assert rows["weights"][1] == "69 % of the peak" and rows["newest peak"][2] == "of step 2"


def test_without_a_peak_it_shows_the_plan(tmp_path):
    gauge = MemoryGauge(make(tmp_path, peaks=[]))
    page = gauge.picture.value
    assert "Planned 6.78 GB: 42 % of 16.00 GB" in page and "everything else" not in page and len(segments(page)) == 4
    assert "nothing is measured yet" in page and "lm.watched(learner, model)" in page and " by step" not in page
    gauge.numbers.value = True
    assert cells(gauge.twin.value)["weights"][1] == "81 % of the plan"


def test_without_a_plan_it_shows_what_was_measured(tmp_path):
    page = MemoryGauge(make(tmp_path, None)).picture.value
    assert "Peak 8.00 GB<" in page and "7.50 GB newest" in page and segments(page) == []
    assert "parts are not known" in page and "rlkit.lm.watching.described(model)" in page


def test_with_neither_it_says_what_to_do_in_one_line(tmp_path):
    gauge = MemoryGauge(make(tmp_path, None, [None]))
    assert gauge.picture.value.count("<p") == 1 and "<svg" not in gauge.picture.value
    assert "wrap the learner in lm.watched(learner, model)" in gauge.picture.value
    assert "<details" not in gauge.to_html() and "nothing to show" in gauge._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"limit": 0}, "limit=0: must be a number of bytes"),
        ({"weights": -1}, "weights=-1: must be"),
        ({"gradient": math.nan}, "gradient=nan: must be"),
        ({"used": 10**400}, "used=1000"),
        ({"optimizer": True}, "optimizer=True: must be"),
        ({"device": ["T4"]}, "device=[&#x27;T4&#x27;]: must be text"),
        ({"trainable": "<img src=x>"}, "trainable=&#x27;&lt;img src=x&gt;&#x27;: must be"),
    ],
)
def test_a_plan_that_is_none_is_named_and_the_rest_is_shown(tmp_path, change, told):
    page = MemoryGauge(make(tmp_path, LARGE | change)).to_html()
    assert f"config[&#x27;memory&#x27;]: {told}" in page and "8.00 GB highest" in page and "<img" not in page


@pytest.mark.parametrize("memory", [[1, 2], "4 GB", 7, {}])
def test_other_things_in_its_place_are_named_too(tmp_path, memory):
    assert "weights=None: must be a number of bytes" in MemoryGauge(make(tmp_path, memory)).picture.value


def test_steps_without_a_size_are_left_out(tmp_path):
    run = make(tmp_path, peaks=[math.nan, -1.0, 7.0 * GB, math.inf], seconds=[1.0, 2.0, 3.0, 4.0])
    steps, values = memory_gauge.measured(run, "memory_peak")
    assert steps.tolist() == [2] and values.tolist() == [[7.0 * GB]]
    assert memory_gauge.measured(make(tmp_path, peaks=[math.nan]), "memory_peak") is None
    assert memory_gauge.measured(run, "unknown") is None


def test_nothing_at_all_in_memory_is_drawn_without_a_bar(tmp_path):
    nothing = LARGE | dict.fromkeys(memory_gauge.PARTS, 0)
    page = MemoryGauge(make(tmp_path, nothing, [0.0, 0.0])).picture.value
    assert "Peak 0 B: 0 % of 16.00 GB" in page and segments(page) == [] and "nan" not in page


def test_a_hostile_device_is_text(tmp_path):
    gauge = MemoryGauge(make(tmp_path, LARGE | {"device": "<script>alert(1)</script>\u202e"}))
    gauge.numbers.value = True
    for page in (gauge.to_html(), gauge.picture.value, gauge.twin.value):
        assert "<script" not in page and "\u202e" not in page and "&lt;script&gt;alert(1)" in page


def test_the_static_twin_is_what_the_widget_shows(tmp_path):
    gauge = MemoryGauge(make(tmp_path, steps=2))
    gauge.numbers.value = True
    page = gauge.to_html()
    assert gauge.picture.value in page and gauge.twin.value in page and "finished, step 1 of 2" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    bundle = gauge._repr_mimebundle_()
    assert bundle["text/html"] == page and "demo, finished, step 1 of 2: Peak 8.00 GB: 50 %" in bundle["text/plain"]
    assert "rlkit-memory" in gauge.box._dom_classes


def test_it_follows_a_live_run_and_stops_it(tmp_path, monkeypatch):
    monkeypatch.delenv("RLKIT_SYNC", raising=False)
    run, permits = Run.create("live", {"memory": LARGE}, root=tmp_path), threading.Semaphore(0)

    def learner():
        step = 0
        while permits.acquire():
            yield Step(step, {"memory_peak": (7.0 + step / 4) * GB, "step_seconds": 1.0})
            step += 1

    gauge = MemoryGauge(run)
    assert "Planned 6.78 GB" in gauge.picture.value
    handle = live_module.live(learner(), run)
    permits.release()
    until(lambda: "Peak 7.00 GB" in gauge.picture.value)
    assert gauge.stop.layout.display == "" and gauge.refresh.layout.display == "none"
    permits.release(2)
    until(lambda: "Peak 7.50 GB" in gauge.picture.value and "720.0 MB" in gauge.picture.value)
    gauge.stop.click()
    permits.release()
    handle.wait(20)
    assert "stopped, step 3" in gauge.status.value and "Peak 7.75 GB" in gauge.picture.value
    assert run._watchers == [] and gauge.stop.layout.display == "none"


def test_refresh_reads_what_another_process_wrote(tmp_path):
    writer = Run.create("elsewhere", {"memory": LARGE}, root=tmp_path)
    gauge = MemoryGauge(Run.load(writer.path))
    assert gauge.refresh.layout.display == "" and "unfinished, no step yet" in gauge.status.value
    writer.log(0, memory_peak=8.0 * GB, step_seconds=1.0)
    writer.finish()
    gauge.refresh.click()
    assert "finished, step 0" in gauge.status.value and "Peak 8.00 GB" in gauge.picture.value
    assert gauge.refresh.layout.display == "none"


@pytest.mark.slow
def test_a_watched_learner_fills_it(tmp_path):
    pytest.importorskip("torch")  # not among Colab's versions in tests/colab
    from rlkit import lm
    from rlkit.lm import watching

    model, _ = lm.load("s-countdown")
    count = sum(p.numel() for p in model.parameters())
    run = Run.create("watched", {"memory": watching.described(model)}, root=tmp_path)
    live_module.live(lm.watched((Step(i, {}) for i in range(3)), model), run).wait(20)
    now = memory_gauge.read(run)
    assert now.problem == "" and memory_gauge.split(now.plan)["optimizer"] == 2 * 4 * count
    assert now.peak > 4 * count and len(now.seconds[0]) == 3 and "On a CPU" in memory_gauge.note(now)


def test_other_things_than_a_run_are_refused():
    with pytest.raises(TypeError, match=r"^run='demo': must be a Run"):
        MemoryGauge("demo")
