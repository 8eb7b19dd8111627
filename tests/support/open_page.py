"""How long an explorer page takes to open: `python tests/support/open_page.py FILE.html`.

Five times, each in a tab of its own: milliseconds from the navigation to the page's ready signal,
and of these the time of the processor that the page's thread had, which other programs on the
machine change less.
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


def main(page: Path) -> None:
    """Write the medians."""
    with running_browser() as browser:
        times = [opened(browser, page) for _ in range(TIMES)]
    clock, processor = (median(column) for column in zip(*times, strict=True))
    sys.stdout.write(
        f"{clock:.0f} ms to open, {processor:.0f} ms of the processor: medians of {TIMES}\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
