"""The report in a real browser, opened from the file: see `browsing` for when it is skipped."""

import numpy as np
import pytest
from browsing import heed, open_, pixels, place
from conftest import HOSTILE, results

import report


@pytest.fixture(scope="module")
def address(finished, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "report.html"
    report.main([*map(str, finished), f"--output={page}"])
    return page.as_uri()


@pytest.fixture
def page(browser, address):
    """The report on a desktop."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    troubles = heed(page, address)
    open_(page, address)
    yield page
    assert troubles == []
    context.close()


def test_the_pointer_moves_through_the_plane(page):
    field = page.locator(".field")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    page.mouse.move(box["x"] + 0.02 * box["width"], box["y"] + 0.02 * box["height"])
    corner, image = place(page), pixels(page, ".generated")
    assert corner == pytest.approx([-2.4, 2.4], abs=0.05)
    page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.98 * box["height"])
    assert place(page) == pytest.approx([2.4, -2.4], abs=0.05)
    assert np.abs(pixels(page, ".generated") - image).mean() > 1


def test_a_finger_moves_through_the_plane(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    open_(page, address)
    field = page.locator(".field")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert place(page) == pytest.approx([2, 2], abs=0.05)
    context.close()


def test_arrow_keys_move_through_the_plane(page):
    page.locator(".field").focus()
    before = pixels(page, ".generated")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert place(page) == pytest.approx([0.7, 0.1])
    assert not np.array_equal(pixels(page, ".generated"), before)
    for _ in range(9):
        page.keyboard.press("Shift+ArrowLeft")
    assert place(page) == pytest.approx([-2.5, 0.1])  # no farther than the edge
    page.keyboard.press("Home")
    assert place(page) == [0, 0]


def test_the_image_at_a_training_z_is_its_reconstruction(page, finished):
    arrays = results(finished[0])
    for i in range(3):
        page.locator(".thumb").nth(i).focus()
        page.keyboard.press("Enter")
        assert place(page) == pytest.approx(arrays["z"][i], abs=0.006)
        assert f"<b>{i}.png, 0.00 away" in page.locator(".nearest").inner_text()
        shown, expected = pixels(page, ".generated"), arrays["reconstructions"][i]
        others = np.delete(arrays["reconstructions"], i, 0)
        error = np.abs(shown - expected).mean()
        assert error < 6
        assert error < np.abs(shown - others).mean((1, 2, 3)).min()


def test_the_densities_can_be_shown(page):
    veil = page.locator(".veil.prior")
    assert not veil.is_visible()
    page.get_by_label("prior density").check()
    assert veil.is_visible()


def test_play_walks_and_stops(page):
    play = page.locator(".play")
    play.click()
    assert play.inner_text() == "Pause"
    page.wait_for_timeout(300)
    first = place(page)
    page.wait_for_timeout(300)
    assert place(page) != first
    play.click()
    stopped = place(page)
    page.wait_for_timeout(200)
    assert place(page) == stopped


def test_the_chain_has_a_slider(page, finished):
    film = page.get_by_role("group", name="Steps of the chains")
    slider = film.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert film.locator("output").inner_text() == "step 0 of 3"
    selector = "[aria-label='Steps of the chains'] canvas"
    arrays = results(finished[1])
    for key, name in (("Home", "starts"), ("End", "synthesized")):
        page.keyboard.press(key)
        shown, expected = pixels(page, selector), np.concatenate(list(arrays[name]), 1)
        assert np.abs(shown - np.clip(expected, 0, 255)).mean() < 6
    assert film.locator("output").inner_text() == "step 3 of 3"


def test_learning_has_a_slider(page):
    film = page.get_by_role("group", name="Iterations of learning").first
    film.get_by_role("slider").focus()
    page.keyboard.press("Home")
    label = film.locator("output")
    assert label.inner_text() == "iteration 1"
    page.keyboard.press("ArrowRight")
    assert label.inner_text() == "iteration 10"
    # It is told beside the picture, above it.
    picture = film.locator("canvas").bounding_box()
    assert 0 < picture["y"] - label.bounding_box()["y"] < 40


def test_charts_tell_the_value_under_the_pointer_and_by_keys(page, finished):
    loss = results(finished[0])["loss"]
    chart = page.locator(".chart").first
    drawing = chart.locator(".drawing")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 50)
    value = chart.locator(".value")
    assert value.inner_text() == f"iteration 1: {compact(loss[0])}"
    page.mouse.move(box["x"] + box["width"] - 15, box["y"] + 50)
    assert value.inner_text() == f"iteration 30: {compact(loss[29])}"
    drawing.focus()
    page.keyboard.press("ArrowLeft")
    assert value.inner_text() == f"iteration 29: {compact(loss[28])}"
    assert drawing.get_attribute("aria-valuetext") == value.inner_text()


def compact(value):
    """Four significant digits; thousands as K."""
    return f"{value:.4g}" if value < 1000 else f"{value / 1000:.4g}K"


def test_hostile_names_are_text(page):
    for category in HOSTILE.values():
        assert page.get_by_role("heading", name=category, exact=False).count() == 1
    assert page.locator("[onerror]").count() == 0


def test_ticks_are_three_to_six_however_much_a_range_spans(page):
    rng = np.random.default_rng(0)
    spans = 10 ** rng.uniform(-6, 14, 500)
    starts = 10 ** rng.uniform(-8, 8, 500)
    ranges = [[low, low * (1 + span)] for low, span in zip(starts, spans, strict=True)]
    ranges += [[0.9, 1.1], [1, 10], [1.01, 9.99], [0.11, 89], [1, 1e5]]
    for name in ("linearTicks", "logTicks"):
        told = page.evaluate(
            f"ranges => ranges.map(([low, high]) => {name}(low, high))"
            ".map((ticks) => [ticks, tickLabels(ticks)])",
            ranges,
        )
        for (low, high), (ticks, labels) in zip(ranges, told, strict=True):
            assert 3 <= len(ticks) <= 6, (name, low, high, ticks)
            assert len(set(labels)) == len(labels)
            slack = 1e-8 * (high - low)
            assert low - slack <= ticks[0] < ticks[-1] <= high + slack
    whole = page.evaluate(
        "Array.from({ length: 300 }, (_, i) => linearTicks(1 + i % 7, 3 + i % 7 + i, true))"
    )
    assert all(3 <= len(ticks) <= 6 for ticks in whole)
    assert all(tick == int(tick) for ticks in whole for tick in ticks)
