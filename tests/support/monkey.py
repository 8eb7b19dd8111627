"""Random events of a user on an explorer page: keys, mouse, sizes of the window, addresses."""

from __future__ import annotations

import random
from typing import Final

from playwright.sync_api import Page

KEYS: Final = (
    *["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowLeft"] * 3,
    *["[", "]", "p"] * 3,
    *["Tab", "Shift+Tab", "Enter", "Space", "Escape", "Home", "End", "PageDown", "b", "<", "0"],
)  # fmt: skip
SIZES: Final = ((1280, 800), (800, 700), (390, 800), (1000, 500))
ADDRESSES: Final = (
    "", "#", "#model=1&pin=0", "#metric=loss&y=",
    "#model=x&x=7&y=7&metric=none&at.9=4&frame=-3&theme=<b>", "#frame=2&theme=dark", "#%",
    "#filter=loss<1%20best&sort=-loss", "#feature=99", "#table-card", "#x=0&y=NaN",
    "#run=intro&model=2", "#run=codes&frame=1&pin=0", "#run=nobody",
)  # fmt: skip


class Monkey:
    """The same events for the same seed, each sent without waiting for what the one before it
    draws.
    """

    def __init__(self, page: Page, seed: int) -> None:
        self.page = page
        self._random = random.Random(seed)
        self._acts = (
            [self._key] * 6
            + [self._click] * 3
            + [self._press_button, self._move, self._drag, self._choose]
        )
        self._acts += [self._focus_map] * 2 + [self._wheel, self._resize, self._address]

    def play(self, events: int) -> None:
        """Send so many events."""
        for _ in range(events):
            self._random.choice(self._acts)()
        self.page.mouse.up()

    def _place(self) -> tuple[float, float]:
        size = self.page.viewport_size
        assert size is not None
        return self._random.uniform(0, size["width"]), self._random.uniform(0, size["height"])

    def _key(self) -> None:
        for _ in range(self._random.choice((1, 1, 2, 5))):
            self.page.keyboard.press(self._random.choice(KEYS))

    def _focus_map(self) -> None:
        self.page.evaluate("document.getElementById('map').focus({preventScroll: true})")

    def _click(self) -> None:
        self.page.mouse.click(*self._place(), click_count=self._random.choice((1, 1, 1, 2)))

    def _press_button(self) -> None:
        """A button, wherever it is; copies and downloads leave the page, and are left out."""
        self.page.evaluate(
            """share => {
                const leaves = ({textContent,
                    ariaLabel}) => /Save|Copy|Download/.test(textContent + ariaLabel);
                const all = [...document.querySelectorAll("button")];
                const buttons = all.filter((button) => !leaves(button));
                buttons[Math.floor(share * buttons.length)].click();
            }""",
            self._random.random(),
        )

    def _move(self) -> None:
        self.page.mouse.move(*self._place())

    def _drag(self) -> None:
        self.page.mouse.move(*self._place())
        self.page.mouse.down()
        for _ in range(3):
            self.page.mouse.move(*self._place())
        self.page.mouse.up()

    def _wheel(self) -> None:
        self.page.mouse.wheel(0, self._random.choice((-600, -100, 100, 600)))

    def _choose(self) -> None:
        """Another value of a list or a slider."""
        self.page.evaluate(
            """([which, share]) => {
                const filters = ["best", "loss<1", "x<<", "geometry~digon", ""];
                const all = [...document.querySelectorAll("select, input")];
                const one = all[Math.floor(which * all.length)];
                if (one.tagName === "SELECT") one.selectedIndex = Math.floor(share * one.length);
                else if (one.type === "range")
                    one.value = Math.floor(share * (Number(one.max) + 1));
                else if (one.type === "search")
                    one.value = filters[Math.floor(share * filters.length)];
                else one.click();
                for (const name of ["input", "change"]) one.dispatchEvent(new Event(name,
                    {bubbles: true}));
            }""",
            [self._random.random(), self._random.random()],
        )

    def _resize(self) -> None:
        width, height = self._random.choice(SIZES)
        self.page.set_viewport_size({"width": width, "height": height})

    def _address(self) -> None:
        self.page.evaluate("hash => location.hash = hash", self._random.choice(ADDRESSES))
