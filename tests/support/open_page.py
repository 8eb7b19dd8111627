"""How long a page takes to open: `python tests/support/open_page.py FILE.html [PICTURE.png]`.

Five times, each in a tab of its own: milliseconds from the navigation to the page's ready signal,
and of these the time of the processor that the page's thread had, which other programs on the
machine change less. With a second argument it takes a picture instead, such as that of
docs/explorer.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from browser import DESKTOP, running_browser
from playwright.sync_api import Browser

TIMES = 5
READY = "document.documentElement.dataset.ready === 'true'"
AT_REST = "document.documentElement.dataset.busy === 'false'"
PICTURE = (1440, 1000)


def opened(browser: Browser, page: Path) -> tuple[float, float]:
    """Milliseconds to the ready signal: by the clock, and of the processor."""
    context = browser.new_context(
        viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, offline=True
    )
    tab = context.new_page()
    browser.start_tracing(page=tab, categories=["blink.user_timing"])
    tab.goto(page.absolute().as_uri())
    tab.wait_for_function(READY)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    by_clock = tab.evaluate("performance.getEntriesByName('ready')[0].startTime")
    context.close()
    [ready] = [event for event in events if event["name"] == "ready"]
    return by_clock, ready["tts"] / 1000


def take_picture(page: Path, to: Path) -> None:
    """The first screen once everything in it is drawn."""
    with running_browser() as browser:
        tab = browser.new_page(viewport={"width": PICTURE[0], "height": PICTURE[1]})
        tab.goto(page.absolute().as_uri())
        tab.wait_for_function(f"{READY} && {AT_REST}")
        tab.screenshot(path=to)


def main(page: Path) -> None:
    """Write the medians."""
    with running_browser() as browser:
        times = [opened(browser, page) for _ in range(TIMES)]
    clock, processor = (median(column) for column in zip(*times, strict=True))
    sys.stdout.write(
        f"{clock:.0f} ms to open, {processor:.0f} ms of the processor: medians of {TIMES}\n"
    )


if __name__ == "__main__":
    pages = [Path(argument) for argument in sys.argv[1:]]
    (main if len(pages) == 1 else take_picture)(*pages)
