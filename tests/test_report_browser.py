"""The report in a real browser: headless Chromium, opened from the file.

Skipped where there is no Chromium (Debian: `apt-get install chromium`) or no Playwright client, and
where CI is set.
"""

import os
import re
import shutil

import numpy as np
import pytest
from conftest import HOSTILE, results

import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
if os.environ.get("CI"):
    pytest.skip("CI is set: no browser tests there", allow_module_level=True)
if CHROMIUM is None:
    pytest.skip("there is no Chromium here", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="there is no Playwright client here")

OPTIONS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SCREENS = [(width, scheme) for width in (390, 1400) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def address(finished, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "report.html"
    report.main([*map(str, finished), f"--output={page}"])
    return page.as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Root has no sandbox to run Chromium in.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=OPTIONS, chromium_sandbox=os.geteuid() != 0
        )
        yield browser
        browser.close()


def open_(page, address):
    """Open the report and wait until its plane has come to life."""
    page.set_default_timeout(120_000)  # a busy machine is slow, not wrong
    page.goto(address)
    # A locator, for the page's policy forbids to evaluate an expression again and again.
    page.locator(".thumb").nth(2).wait_for()


@pytest.fixture
def page(browser, address):
    """The report on a desktop; an error, or a request but for the file, is a failure."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    troubles = []
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append("a dialog"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url == address or request.url.startswith("data:")
            else troubles.append(request.url)
        ),
    )
    open_(page, address)
    yield page
    assert troubles == []
    context.close()


def pixels(page, selector):
    """A canvas as an array [H, W, 3]."""
    width, values = page.evaluate(
        """selector => {
          const canvas = document.querySelector(selector);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [canvas.width, Array.from(data)];
        }""",
        selector,
    )
    return np.array(values, float).reshape(-1, width, 4)[..., :3]


def place(page):
    """The coordinates that the page shows."""
    text = page.locator(".place").inner_text().replace("−", "-")
    return [float(x) for x in re.findall(r"-?\d+\.\d+", text)]


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
    assert film.locator("output").inner_text() == "iteration 10"
    page.keyboard.press("ArrowRight")
    assert film.locator("output").inner_text() == "iteration 20"


def test_charts_tell_the_value_under_the_pointer_and_by_keys(page, finished):
    loss = results(finished[0])["loss"]
    chart = page.locator(".chart").first
    drawing = chart.locator(".drawing")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + 62, box["y"] + 50)
    value = chart.locator(".value")
    assert value.inner_text() == f"iteration 1: {compact(loss[0])}"
    page.mouse.move(box["x"] + box["width"] - 9, box["y"] + 50)
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


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_nothing_overflows_or_is_too_faint(browser, address, width, scheme, tmp_path):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    open_(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Text on its background, by the formula of WCAG 2.
    faint = page.evaluate(
        """() => {
          const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
          const light = (colour) => numbers(colour).slice(0, 3).map((x) => x / 255)
            .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
            .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (node) => {
            const colour = getComputedStyle(node).backgroundColor;
            return numbers(colour)[3] === 0 ? behind(node.parentElement) : colour;
          };
          return [...document.querySelectorAll("body *")].filter((node) =>
            node.checkVisibility() && [...node.childNodes].some((child) =>
              child.nodeType === Node.TEXT_NODE && child.textContent.trim())
          ).filter((node) => {
            const style = getComputedStyle(node);
            const ink = node instanceof SVGElement ? style.fill : style.color;
            const [a, b] = [light(ink), light(behind(node))].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05) < 4.5;
          }).map((node) => node.outerHTML);
        }"""
    )
    assert faint == []
    blurred = page.evaluate(
        """() => [...document.querySelectorAll("canvas, img:not([hidden]):not(.veil)")]
          .filter((node) => !node.matches(".picture"))
          .filter((node) => getComputedStyle(node).imageRendering !== "pixelated")
          .map((node) => node.outerHTML.slice(0, 80))"""
    )
    assert blurred == []
    picture = tmp_path / "page.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 10_000
    context.close()
