"""A real headless Chromium (Debian's) for the page: tests, and the README's picture."""

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

# No first-run page, no calls home; loopback is all that it needs.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # CI's containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--window-size=1280,900",
)
WAIT_SECONDS = 20


@contextmanager
def chromium():
    """Give a driver of a Chromium with a new, empty profile."""
    with tempfile.TemporaryDirectory(prefix="negation-api-chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        service = webdriver.ChromeService("/usr/bin/chromedriver")
        driver = webdriver.Chrome(options, service)
        try:
            yield driver
        finally:
            driver.quit()


def find(driver, css: str):
    return driver.find_element(By.CSS_SELECTOR, css)


def find_all(driver, css: str):
    return driver.find_elements(By.CSS_SELECTOR, css)


def wait(driver, condition):
    """Wait until *condition*() holds; give what it gave."""
    return WebDriverWait(driver, WAIT_SECONDS, 0.05).until(lambda _: condition())


def set_scheme(driver, scheme: str) -> None:
    """Prefer ``light`` or ``dark``."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def set_size(driver, width: int, height: int) -> None:
    """Set the viewport, in CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def is_answered(driver) -> bool:
    """Tell whether every finding of the page has its status."""
    rows = find_all(driver, "#findings > li")
    return bool(rows) and all("%" in row.text for row in rows)


def main() -> None:
    """Write the README's picture of the page: ``python tests/browser.py FILE.png``."""
    from server import Server

    with Server(env={"WEB_CONCURRENCY": "1"}) as server, chromium() as driver:
        set_size(driver, 1180, 860)
        driver.get(server.url)
        wait(driver, lambda: is_answered(driver))
        # What is a relative's; without scrolling, as a real click would.
        opened = find(driver, "#findings > li.unheld > .finding")
        driver.execute_script("arguments[0].click()", opened)
        Path(sys.argv[1]).write_bytes(driver.get_screenshot_as_png())


if __name__ == "__main__":
    main()
