"""The report of many runs on each screen: narrow and wide, light and dark, by hand and by keys."""

import json
import re
import shutil

import numpy as np
import pytest
from browsing import heed, open_, pixels, place, point
from conftest import ROOT, results

import generator_pictures
import report

AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = [(width, scheme) for width in (390, 1400) for scheme in ("light", "dark")]


class Painter:
    """A model whose image of z is a flat colour that tells the first three z, from -6 to 6."""

    def generate(self, z):
        colours = np.full((len(z), 3), 127.5)
        colours[:, : z.shape[1]] += z[:, :3] * 127.5 / 6
        return np.broadcast_to(colours[:, None, None], (len(z), 16, 16, 3))


def painted(run, folder, z):
    """A copy of a run whose three z [3, d] are others, and whose planes are painted."""
    shutil.copytree(run, folder)
    z = np.array(z, np.float32)
    np.savez(folder / "results.npz", **{**results(run), "z": z, "walk": z})
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, picture in generator_pictures.moving_pictures(Painter(), z, z).items():
        manifest["pictures"][name] = picture.about
        with (folder / name).open("wb") as file:
            picture.write(file)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def many_runs(finished, tmp_path_factory):
    """The address of a page of runs whose z has 2, 3 and 1 dimensions, and one of DesNet."""
    root = tmp_path_factory.mktemp("painted")
    folders = [
        painted(finished[0], root / "GenNet" / "two", [[1, 1], [-1, 0.5], [3.5, -1]]),
        painted(finished[0], root / "GenNet" / "three", [[1, 1, 1], [-1, 0, 2], [0, -1, 0]]),
        painted(finished[0], root / "GenNet" / "one", [[1], [-1], [0.2]]),
        finished[1],
    ]
    header, *rows = (folders[1] / "history.csv").read_text().splitlines()
    column = header.split(",").index("loss")
    rows = [row.split(",") for row in rows[:20]]  # it ended early, at a higher loss
    for i, row in enumerate(rows):
        row[column] = str(1e6 + i)
    lines = [header, *map(",".join, rows)]
    (folders[1] / "history.csv").write_text("\n".join(lines) + "\n")
    page = root / "report.html"
    report.main([*map(str, folders), f"--output={page}"])
    return page.as_uri()


@pytest.fixture(scope="module", params=SCREENS, ids=str)
def screen(request, browser, many_runs):
    """The report of many runs on each screen, shared by the tests; touched on the narrow ones."""
    width, scheme = request.param
    viewport = {"width": width, "height": 844}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=width < 1000)
    page = context.new_page()
    troubles = heed(page, many_runs)
    open_(page, many_runs)
    page.locator(".plane").nth(2).locator(".thumb").nth(2).wait_for()
    yield page
    assert troubles == []
    context.close()


def test_the_plane_is_searched_as_far_as_6(screen):
    plane = screen.locator(".plane").first
    field, zoom = plane.locator(".field"), plane.locator(".zoom output")
    out, closer = (plane.get_by_label(f"Zoom {way}", exact=True) for way in ("out", "in"))
    assert zoom.inner_text() == "to ±2.5"
    assert not plane.locator(".thumb").nth(2).is_visible()  # at 3.5
    for key, reach in (("Enter", 4), ("Space", 6)):
        out.focus()
        screen.keyboard.press(key)
        assert zoom.inner_text() == f"to ±{reach}"
    assert out.get_attribute("aria-disabled") == "true"
    assert plane.locator(".thumb").nth(2).is_visible()
    field.scroll_into_view_if_needed()
    for x, y in ((0.05, 0.1), (0.55, 0.5), (0.95, 0.7)):
        point(screen, field.bounding_box(), x, y)
        z = place(screen)
        assert z == pytest.approx([12 * x - 6, 6 - 12 * y], abs=0.05)
        assert drawn(screen)[:2] == pytest.approx(z, abs=0.15)
    field.focus()
    for _ in range(2):
        screen.keyboard.press("+")
    assert zoom.inner_text() == "to ±2.5"
    assert closer.get_attribute("aria-disabled") == "true"
    assert place(screen) == pytest.approx([2.5, -2.4], abs=0.05)  # inside what is seen


def drawn(page, number=0):
    """The z that a painted image tells."""
    image = pixels(page, ".generated", number)
    assert np.ptp(image, axis=(0, 1)).max() < 8
    return ((image.mean((0, 1)) - 127.5) * 6 / 127.5).tolist()


def test_sliders_choose_the_axes_of_the_plane(screen):
    plane = screen.locator(".plane").nth(1)
    across, up = plane.locator("[data-axis='0']"), plane.locator("[data-axis='1']")
    assert "z is 0 along all others" in plane.locator("figcaption").inner_text()
    shown = plane.locator(".place")
    field = plane.locator(".field")
    chosen = [
        ("Home", "(z₁, z₂)", 0, 1),
        ("End", "(z₃, z₂)", 2, 1),
        ("ArrowLeft", "(z₂, z₃)", 1, 2),
    ]
    for key, names, first, second in chosen:
        across.focus()
        screen.keyboard.press(key)
        assert shown.inner_text().startswith(names)
        assert up.get_attribute("aria-valuetext") == names[5:7]
        field.scroll_into_view_if_needed()
        point(screen, field.bounding_box(), 0.9, 0.3)
        expected = [0.0, 0.0, 0.0]
        expected[first], expected[second] = 2, 1
        assert drawn(screen, 1) == pytest.approx(expected, abs=0.15)
    across.focus()
    screen.keyboard.press("Home")
    up.focus()
    screen.keyboard.press("Home")  # the axis that the other has: they change places
    assert across.get_attribute("aria-valuetext") != up.get_attribute("aria-valuetext") == "z₁"
    # Training images lie at their projection, and are as far as they are.
    up.focus()
    screen.keyboard.press("ArrowRight")
    across.focus()
    screen.keyboard.press("Home")
    plane.locator(".thumb").nth(1).focus()
    screen.keyboard.press("Enter")
    assert place(screen, 1) == [-1, 0]
    assert "1.41 away" in plane.locator(".nearest").inner_text()


def test_a_z_of_one_dimension_is_a_line(screen):
    plane = screen.locator(".plane").nth(2)
    field = plane.locator(".field")
    field.scroll_into_view_if_needed()
    point(screen, field.bounding_box(), 0.9, 0.2)
    assert place(screen, 2) == pytest.approx([2], abs=0.05)
    assert drawn(screen, 2)[0] == pytest.approx(2, abs=0.15)
    field.focus()
    screen.keyboard.press("ArrowUp")
    screen.keyboard.press("Shift+ArrowLeft")
    assert place(screen, 2) == pytest.approx([1.5], abs=0.05)


def test_thumbnails_are_one_stop_of_the_tab_key(screen):
    stops = screen.evaluate(
        """() => [...document.querySelectorAll(".plane")].map((plane) =>
          [...plane.querySelectorAll(".thumb:not([hidden])")]
            .filter((thumb) => thumb.tabIndex === 0).length)"""
    )
    assert stops == [1, 1, 1]
    plane = screen.locator(".plane").first
    plane.locator(".field").focus()
    focused = "document.activeElement.ariaLabel"
    screen.keyboard.press("Tab")
    assert "z = (1.00, 1.00)" in screen.evaluate(focused)
    screen.keyboard.press("ArrowLeft")
    assert "z = (−1.00, 0.50)" in screen.evaluate(focused)
    screen.keyboard.press("Enter")
    assert place(screen) == [-1, 0.5]
    screen.keyboard.press("ArrowLeft")  # there is none
    assert "z = (−1.00, 0.50)" in screen.evaluate(focused)
    assert place(screen) == [-1, 0.5]
    screen.keyboard.press("Tab")
    assert screen.evaluate("document.activeElement.className") == "play"
    screen.keyboard.press("Shift+Tab")
    assert "z = (−1.00, 0.50)" in screen.evaluate(focused)
    screen.keyboard.press("ArrowRight")
    assert "z = (1.00, 1.00)" in screen.evaluate(focused)


def test_curves_of_several_runs_lie_over_each_other(screen):
    section = screen.locator(".curves")
    drawing = section.locator(".drawing")
    entries = section.locator("fieldset label:visible")
    section.get_by_label("number").select_option(index=0)
    assert entries.count() == 3  # the loss of DesNet is another number
    assert drawing.locator("path").count() == 3
    looks = [
        [node.get_attribute("stroke-dasharray"), node.get_attribute("style")]
        for node in drawing.locator("path").all()
    ]
    samples = entries.locator("path").all()
    assert looks == [
        [node.get_attribute("stroke-dasharray"), node.get_attribute("style")] for node in samples
    ]
    assert all(len(set(column)) == 3 for column in zip(*looks, strict=True))
    drawing.scroll_into_view_if_needed()
    point(screen, drawing.bounding_box(), 0.99, 0.5)
    assert section.locator(".value").inner_text() == "iteration 30"
    assert entries.nth(1).locator("output").inner_text() == "–"  # it ended at 20
    drawing.focus()
    for _ in range(10):
        screen.keyboard.press("ArrowLeft")
    assert section.locator(".value").inner_text() == "iteration 20"
    values = [node.inner_text() for node in entries.locator("output").all()]
    assert values[1] == "1M"
    assert values[0] == values[2] != "1M"
    assert f"three {values[1]}" in drawing.get_attribute("aria-valuetext")
    assert drawing.get_attribute("aria-valuemax") == "30"
    for i in (0, 2):
        entries.nth(i).locator("input").uncheck()
    assert drawing.locator("path").count() == 1
    assert drawing.get_attribute("aria-valuemax") == "20"  # the axis is of those ticked
    labels = drawing.locator("text.up").all_text_contents()
    assert len(set(labels)) == len(labels)  # from 1 000 000 to 1 000 019
    entries.nth(1).locator("input").uncheck()
    assert "No run is ticked" in drawing.inner_text()
    for i in range(3):
        entries.nth(i).locator("input").check()


def test_values_are_readable_where_one_taps(screen):
    chart = screen.locator(".chart").first
    drawing, value = chart.locator(".drawing"), chart.locator(".value")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    point(screen, box, 0.5, 0.5)
    assert 12 <= int(re.match(r"iteration (\d+)", value.inner_text())[1]) <= 19
    told = value.bounding_box()
    assert told["y"] + told["height"] <= box["y"]  # above a finger
    assert told["y"] >= 0
    assert value.evaluate("node => node.scrollWidth <= node.clientWidth")
    film = screen.get_by_role("group", name="Iterations of learning").first
    slider = film.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    bar = slider.bounding_box()
    if screen.viewport_size["width"] < 1000:
        screen.touchscreen.tap(bar["x"] + 3, bar["y"] + bar["height"] / 2)
        assert film.locator("output").inner_text() == "iteration 1"
    plane = screen.locator(".plane").first
    assert plane.locator(".generated").bounding_box()["width"] >= 240
    field, told = (plane.locator(s).bounding_box() for s in (".field", ".readout"))
    assert told["y"] + told["height"] <= field["y"] or told["x"] >= field["x"] + field["width"]
    # What is told and where one taps are seen at once.
    bottom = max(field["y"] + field["height"], told["y"] + told["height"])
    assert bottom - plane.locator(".generated").bounding_box()["y"] <= 844


def test_every_axis_has_three_to_six_numbers_and_a_unit(screen):
    scales = screen.evaluate(
        """() => [...document.querySelectorAll(".drawing svg, .scale")].map((svg) => {
          const box = svg.getBoundingClientRect();
          const inside = (text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return left >= box.left - 1 && right <= box.right + 1
              && top >= box.top - 1 && bottom <= box.bottom + 1;
          };
          const texts = (name) => [...svg.querySelectorAll(`text.${name}`)];
          const line = svg.closest(".line") !== null;
          return {
            across: texts("across").length, up: line ? 3 : texts("up").length,
            units: texts("unit").map((text) => text.textContent).concat(line ? "z₂" : []),
            outside: [...svg.querySelectorAll("text")].filter((text) => !inside(text))
              .map((text) => text.textContent),
          };
        })"""
    )
    assert len(scales) > 10
    for scale in scales:
        assert 3 <= scale["across"] <= 6, scale
        assert 3 <= scale["up"] <= 6, scale
        assert len(scale["units"]) == 2
        assert all(scale["units"])
        assert scale["outside"] == []


def test_gaps_between_images_show_the_page(screen, finished):
    """No white paper glares in the dark, and no image is changed."""
    selector = "[aria-label='Iterations of learning'] canvas"
    film = pixels(screen, selector, channels=4)
    assert film.shape == (2 * 16 + 1, 3 * 16 + 2, 4)
    assert film[16, :, 3].max() == 0
    assert film[:, 16, 3].max() == 0
    images = results(finished[0])["images"]
    assert film[:16, :16, 3].min() == 255
    assert np.abs(film[:16, 17:33, :3] - images[1]).mean() < 12


def test_nothing_overflows_or_is_too_faint(screen, tmp_path):
    width = screen.viewport_size["width"]
    page = screen
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
        """() => [...document.querySelectorAll("canvas, img:not([hidden], .veil, .picture)")]
          .filter((node) => getComputedStyle(node).imageRendering !== "pixelated")
          .map((node) => node.outerHTML.slice(0, 80))"""
    )
    assert blurred == []
    picture = tmp_path / "page.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 10_000


@pytest.mark.skipif(not AXE.is_file(), reason="there is no axe-core: npm ci --prefix tests")
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing(browser, many_runs, width, scheme):
    # The page's policy, which forbids other scripts, is set aside for this one.
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    open_(page, many_runs)
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then((found) => found.violations)")
    context.close()
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
