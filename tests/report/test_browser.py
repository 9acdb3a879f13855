"""The page in a real browser: cells open their images, filters filter, keys move, no network is asked."""

import json
import shutil

import numpy as np
import pytest

from cnnfast.image.decode import read_image
from tests.report.networks import HOSTILE, bright, brightest

pytest.importorskip("jinja2")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page about 60 images of three classes, two of them mistakes; a class bears a hostile name."""
    x, y = bright(60)
    y = y.copy()
    y[[0, 3]] = 1  # they look like class 0
    model = brightest()
    model.class_names = [HOSTILE, "cat", "dog"]
    path = tmp_path_factory.mktemp("report") / "report.html"
    model.report((x, y), path, history={"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]})
    return path


@pytest.fixture
def page(browser, report):
    """The page, opened anew; afterwards nothing may have gone wrong and nothing may have been asked for."""
    look(browser, 1100, 900)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(report.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    # The browser's own pages, as it starts, are none of ours.
    asked = [r["request"]["url"] for r in requests if r["documentURL"].startswith(report.as_uri())]
    assert report.as_uri() in asked  # the log works
    assert [url for url in asked if url != report.as_uri() and not url.startswith("data:")] == []


def look(browser, width, height, scheme="light"):
    """Sets the size of the window and the colour scheme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def cell(browser, true, predicted):
    return browser.find_element(By.CSS_SELECTOR, f'.cell[data-true="{true}"][data-predicted="{predicted}"]')


def captions(browser):
    return [e.text.split("\n")[0] for e in browser.find_elements(By.CSS_SELECTOR, "#gallery-cards figcaption")]


def status(browser):
    return browser.find_element(By.ID, "gallery-status").text


def choose(browser, id_, text):
    for option in browser.find_elements(By.CSS_SELECTOR, f"#{id_} option"):
        if option.text == text:
            option.click()
            return
    raise AssertionError(f"no option {text!r} in #{id_}")


def test_a_click_on_a_cell_shows_its_images_with_their_explanations(page):
    cell(page, 1, 0).click()
    assert status(page) == f"2 images: true class cat, predicted {HOSTILE}."
    shown = captions(page)
    assert len(shown) == 2 and all(text.startswith(f"cat taken for {HOSTILE} at ") for text in shown)
    picture = page.find_element(By.CSS_SELECTOR, "#gallery-cards img")
    size = page.execute_script("return [arguments[0].naturalWidth, arguments[0].naturalHeight]", picture)
    assert size == [3 * 8 + 2 * 2, 8]  # image, heat for the predicted class, heat for the true class
    assert "what speaks for" in picture.get_attribute("alt")
    assert cell(page, 1, 0).get_attribute("aria-selected") == "true"


def test_filters_choose_classes_and_mistakes(page):
    assert status(page) == "60 images."
    assert len(captions(page)) == 24
    page.find_element(By.ID, "gallery-more").click()
    assert len(captions(page)) == 48
    choose(page, "filter-kind", "wrong")
    assert status(page) == "2 images: wrong." and len(captions(page)) == 2
    choose(page, "filter-true", "dog")
    assert status(page) == "0 images: true class dog, wrong." and captions(page) == []
    page.find_element(By.ID, "filter-reset").click()
    assert status(page) == "60 images."
    choose(page, "filter-predicted", "dog")
    assert status(page) == "20 images: predicted dog."


def test_the_matrix_is_walked_with_the_arrow_keys_and_opened_with_enter(page):
    page.execute_script("arguments[0].focus()", cell(page, 0, 0))
    for key in (Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_DOWN):
        page.switch_to.active_element.send_keys(key)
    focused = page.switch_to.active_element
    assert (focused.get_attribute("data-true"), focused.get_attribute("data-predicted")) == ("1", "0")
    assert len(page.find_elements(By.CSS_SELECTOR, '.cell[tabindex="0"]')) == 1
    focused.send_keys(Keys.ENTER)
    assert status(page).startswith("2 images")
    assert page.switch_to.active_element.get_attribute("id") == "gallery-status"


def test_counts_become_shares_of_the_true_class_and_dark_is_many(page):
    assert cell(page, 1, 0).text == "2"
    page.find_element(By.CSS_SELECTOR, 'input[value="share"]').click()
    assert cell(page, 1, 0).text == "0.09" and cell(page, 0, 0).text == "1.00"
    lightness = "return getComputedStyle(arguments[0]).backgroundColor.match(/\\d+/g).reduce((a, b) => +a + +b)"
    most, few, none = (int(page.execute_script(lightness, cell(page, *c))) for c in ((0, 0), (1, 0), (0, 1)))
    assert most < few < none


def test_layers_are_stepped_through_by_button_and_by_key(page):
    def title():
        shown = page.find_elements(By.CSS_SELECTOR, ".example:not([hidden]) .step:not([hidden]) h4")
        assert len(shown) == 1
        return shown[0].text

    assert title().startswith("1 of 6: image")
    page.find_element(By.CSS_SELECTOR, ".example:not([hidden]) .next").click()
    assert title().startswith("2 of 6: conv")
    page.find_element(By.CSS_SELECTOR, ".example:not([hidden]) .slider").send_keys(Keys.ARROW_RIGHT)
    assert title().startswith("3 of 6: pool")
    page.find_elements(By.CSS_SELECTOR, "#examples-choice button")[1].click()
    assert title().startswith("3 of 6: pool")  # the layer stays when another image is chosen
    page.find_element(By.CSS_SELECTOR, ".example:not([hidden]) .slider").send_keys(Keys.END)
    assert title().startswith("6 of 6: scores")
    bars = page.find_elements(By.CSS_SELECTOR, ".example:not([hidden]) .step:not([hidden]) .bars tr")
    assert len(bars) == 3


def test_a_hostile_name_is_text(page):
    assert page.find_element(By.CSS_SELECTOR, ".matrix tbody th").text == HOSTILE
    assert len(page.find_elements(By.CSS_SELECTOR, "script")) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_fits_the_window_and_follows_the_colour_scheme(page, tmp_path, width, scheme):
    look(page, width, 1200, scheme)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.save_screenshot(str(tmp_path / "page.png"))
    picture = np.asarray(read_image(tmp_path / "page.png"))
    assert picture.shape[:2] == (1200, width)
    brightness = np.median(picture)
    assert brightness > 240 if scheme == "light" else brightness < 40
    assert picture.std() > 10  # something is on it


def test_every_picture_has_a_description_and_every_control_a_name(page):
    unnamed = page.execute_script(
        'return [...document.querySelectorAll(\'img:not([alt]), img[alt=""], svg:not([aria-label]):not([aria-hidden]),'
        " button, select, input')].filter(e => e.matches('img, svg') ||"
        " !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_without_scripts_the_errors_and_all_layers_are_there(browser, report):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(report.as_uri())
        shown = [e for e in browser.find_elements(By.CSS_SELECTOR, "#errors .card") if e.is_displayed()]
        assert len(shown) == 2
        assert all(e.is_displayed() for e in browser.find_elements(By.CSS_SELECTOR, ".step"))
        assert not any(e.is_displayed() for e in browser.find_elements(By.CSS_SELECTOR, ".needs-js"))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
