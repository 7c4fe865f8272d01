"""A headless Chromium that is driven as people do: by pointer, touch, keys and files."""

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
AXE = Path(os.environ.get("AXE_CORE") or Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")

Point = tuple[float, float]


class Browser:
    """One Chromium, and what it logged."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light", media: str = "screen"
    ) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)
        phone = width < 500
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.driver.get(url)

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any, seconds: float = 60) -> Any:
        """What the script returns, once that is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, 0.02).until(lambda _: self.run(script, *arguments))

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Until something outside the page is so, such as a file that it saves."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, seconds, 0.02).until(lambda _: condition())

    def text(self, selector: str) -> str:
        found: str = self.run("return document.querySelector(arguments[0]).innerText", selector)
        return found

    def messages(self) -> list[str]:
        """What was written to the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:"))]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        found = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in the window, scrolled into it."""
        script = (
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
        )
        left, top, width, height = self.run(script, selector)
        return left, top, width, height

    def draw(self, strokes: Sequence[Sequence[Point]], *, how: str = "mouse", force: float = 0.5) -> None:
        """Draw strokes (points x, y in [0, 1] of the canvas) with ``mouse``, ``pen`` or ``touch``."""
        left, top, width, height = self.box("#draw")
        for stroke in strokes:
            points = [(left + x * width, top + y * height) for x, y in stroke]
            if how == "touch":
                self._touch(points)
            else:
                self._point(points, how, force)

    def _point(self, points: Sequence[Point], how: str, force: float) -> None:
        def send(kind: str, point: Point, buttons: int) -> None:
            event = {"type": kind, "x": point[0], "y": point[1], "buttons": buttons, "pointerType": how}
            self.command("Input.dispatchMouseEvent", button="left", clickCount=1, force=force, **event)

        send("mousePressed", points[0], 1)
        for point in points[1:]:
            send("mouseMoved", point, 1)
        send("mouseReleased", points[-1], 0)

    def _touch(self, points: Sequence[Point]) -> None:
        def send(kind: str, *touched: Point) -> None:
            self.command("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in touched])

        send("touchStart", points[0])
        for point in points[1:]:
            send("touchMove", point)
        send("touchEnd")

    def axe(self) -> list[dict[str, Any]]:
        """Findings of axe-core that are serious or critical."""
        self.run(AXE.read_text())
        script = "const done = arguments[0]; axe.run().then(found => done(found.violations))"
        found = self.driver.execute_async_script(script)
        return [one for one in found if one["impact"] in {"serious", "critical"}]


@contextmanager
def chromium() -> Iterator[Browser]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    # The pages are our own; the sandbox needs rights that containers do not give.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
