"""A real browser for the tests of the report: headless Chromium.

A test module that imports this is skipped where there is no Chromium (Debian: `apt-get install
chromium`) or no Playwright client, and where CI is set.
"""

import contextlib
import os
import re
import shutil

import numpy as np
import pytest

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


@contextlib.contextmanager
def chromium():
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
    page.locator(".thumb").nth(1).wait_for()


def heed(page, address):
    """A list of what goes wrong on a page: an error, or a request but for the file."""
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
    return troubles


def point(page, box, x, y):
    """Go to a place in a box, given as shares of it: a tap where the screen is touched."""
    place = box["x"] + x * box["width"], box["y"] + y * box["height"]
    if page.viewport_size["width"] < 1000:
        page.touchscreen.tap(*place)
    else:
        page.mouse.move(*place)


def pixels(page, selector, number=0, channels=3):
    """A canvas as an array [H, W, channels]."""
    width, values = page.evaluate(
        """([selector, number]) => {
          const canvas = document.querySelectorAll(selector)[number];
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [canvas.width, Array.from(data)];
        }""",
        [selector, number],
    )
    return np.array(values, float).reshape(-1, width, 4)[..., :channels]


def place(page, number=0):
    """The coordinates that the page shows."""
    text = page.locator(".place").nth(number).inner_text().replace("−", "-")
    return [float(x) for x in re.findall(r"-?\d+\.\d+", text)]
