"""The page at /: what is served, and what a visitor does with it in a real Chromium."""

import contextlib
import hashlib
import io
import re
import shlex
import threading
from functools import partial

import pytest

from fork_server import Server
from negation_api import create_app
from negation_api.settings import Settings
from server import wait_until

KEY = "a-key"
BEYOND_BMP = "\N{SNEEZING FACE}"


# --- what is served -------------------------------------------------------------


def test_the_page_and_all_that_it_loads_are_served_and_ours(client):
    page = client.get("/")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="(playground/[^"]+)"', page.text)
    loaded = [f"/{link}" for link in links]
    assert len(loaded) == 3
    while loaded:
        with client.get(loaded.pop()) as asset:
            assert asset.status_code == 200
            modules = re.findall(r'from "\./(\w+\.js)"', asset.text)
            loaded += [f"/playground/{name}" for name in modules]
    assert "://" not in page.text


def test_no_script_or_style_is_inline(client):
    page = client.get("/")
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.text)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy and "*" not in policy


def test_off_leaves_nothing_of_it(classifier):
    settings = Settings.from_env({"PLAYGROUND": "off", "INFERENCE_THREADS": "1"})
    client = create_app(settings, classifier).test_client()
    for path in ("/", "/playground/playground.js"):
        assert client.get(path).status_code == 404
    assert client.get("/docs").status_code == 200


# --- in Chromium ----------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


SELECT_AND_LEAVE = """
    const note = document.getElementById("note"), at = note.value.indexOf(arguments[0]);
    note.focus();
    note.setSelectionRange(at, at + arguments[0].length);
    document.getElementById("mark").focus();
"""


@pytest.mark.system
def test_the_button_knows_a_selection_that_was_left_at_once(driver, server):
    """The browser tells of a selection later than of the focus."""
    visitor = Visitor(driver, server.url)
    visitor.load("Chest pain")
    for words in ("shortness of", "on"):
        driver.execute_script(SELECT_AND_LEAVE, words)
        visitor.wait(lambda: visitor.see("#mark") == f"Mark “{words}”")  # noqa: B023


@pytest.fixture(scope="module")
def guarded(toy_model):
    """One that asks for a key, answers one request at a time and fails at "chills"."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    env = {
        "API_KEYS_SHA256": digest,
        "AXES": "off",
        "MAX_ACTIVE_REQUESTS": "1",
        "MAX_ENTITY_CHARS": "20",
        "INFERENCE_THREADS": "1",
        "WEB_CONCURRENCY": "1",
    }
    args = ("--pythonpath", "tests")
    with Server(model=toy_model, app="faulty:app", env=env, args=args) as server:
        yield server


@pytest.fixture(scope="module")
def with_axes():
    """One whose classifier answers whose and when, by words."""
    env = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}
    args = ("--pythonpath", "tests")
    with Server(app="keywords:app", env=env, args=args) as server:
        yield server


@pytest.fixture(scope="module")
def driver():
    from browser import chromium

    with chromium() as driver:
        yield driver


class Visitor:
    """Someone before the page, with a mouse and a keyboard."""

    def __init__(self, driver, url):
        import browser
        from selenium.webdriver import ActionChains, Keys

        self.driver, self.browser, self.keys = driver, browser, Keys
        self._chain = lambda: ActionChains(driver, duration=20)
        driver.get_log("browser")  # what other pages left
        driver.get(url)

    def see(self, css: str) -> str:
        return self.browser.find(self.driver, css).text

    def wait(self, condition):
        return self.browser.wait(self.driver, condition)

    def wait_for_answers(self):
        self.wait(lambda: self.browser.is_answered(self.driver))

    def findings(self) -> list[list[str]]:
        """Give sign, entity and status of each."""
        rows = self.browser.find_all(self.driver, "#findings .finding")
        return [row.text.split("\n") for row in rows]

    def opened(self) -> str:
        return self.see("#findings li:has([aria-expanded=true])")

    def cues(self) -> dict[str, list[str]]:
        """Give what is underlined in the note, by question."""
        found = {}
        for cue in self.browser.find_all(self.driver, "#mirror .cue"):
            question = cue.get_attribute("class").split()[1]
            words = cue.get_property("textContent")
            found.setdefault(question, []).append(words)
        return found

    def answer(self) -> str:
        """Give the line under the note, as one line."""
        return " ".join(self.see("#answer").split())

    def rest_on(self, words: str):
        """Rest the mouse on *words* of the note."""
        x, y = self.edge(words)
        self.point((x + 5, y))

    def click(self, css: str):
        self.browser.find(self.driver, css).click()

    def load(self, name: str):
        """Click the sample called *name*."""
        self.driver.find_element(
            self.browser.By.XPATH, f'//*[@id="samples"]/button[.="{name}"]'
        ).click()
        self.wait_for_answers()

    def edge(self, words: str, at_end=False) -> tuple[int, int]:
        """Find where *words* begin (or end) in the note, in pixels of the viewport."""
        script = """
            const walker = document.createTreeWalker(
              document.getElementById("mirror"), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
              const at = walker.currentNode.data.indexOf(arguments[0]);
              if (at < 0) continue;
              const range = document.createRange();
              range.setStart(walker.currentNode, at);
              range.setEnd(walker.currentNode, at + arguments[0].length);
              const box = range.getBoundingClientRect();
              return [arguments[1] ? box.right : box.left, box.top + box.height / 2];
            }"""
        x, y = self.driver.execute_script(script, words, at_end)
        return round(x), round(y)

    def point(self, *steps):
        """Move the mouse: to an (x, y), or ``down`` or ``up``."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.driver, duration=20)
        for step in steps:
            if isinstance(step, tuple):
                actions.pointer_action.move_to_location(*step)
            elif step == "down":
                actions.pointer_action.pointer_down()
            else:
                actions.pointer_action.pointer_up()
        actions.perform()

    def press(self, *keys, hold=None):
        chain = self._chain()
        if hold:
            chain.key_down(hold)
        chain.send_keys(*keys)
        if hold:
            chain.key_up(hold)
        chain.perform()

    def type(self, text: str):
        """Type as an input method does: send_keys knows no emoji."""
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def tab_to(self, css: str):
        """Press Tab until the focus is on *css*."""
        for _ in range(40):
            self.press(self.keys.TAB)
            script = "return document.activeElement.matches(arguments[0])"
            if self.driver.execute_script(script, css):
                return
        raise AssertionError(f"the keyboard does not reach {css}")

    def give_key(self, key: str):
        """Type the API key that the page asks for."""
        self.wait(lambda: self.see("#problem-title") == "An API key is needed.")
        self.click("#key")
        self.type(key)
        self.press(self.keys.ENTER)

    def mark_all(self, text: str):
        """Write a note and mark the whole of it, by keyboard."""
        self.click("#blank")
        self.type(text)
        self.press("a", hold=self.keys.CONTROL)
        self.press(self.keys.ENTER, hold=self.keys.CONTROL)

    def violations(self) -> list[str]:
        log = [entry["message"] for entry in self.driver.get_log("browser")]
        return [line for line in log if "Failed to load resource" not in line]


@pytest.mark.system
def test_by_mouse(driver, server):
    visitor = Visitor(driver, server.url)
    visitor.load("Chest pain")
    assert ["?", "Pericarditis", "Possible"] in [
        [*row[:2], row[2].split()[0]] for row in visitor.findings()
    ]
    visitor.load("Portal message")
    before = len(visitor.findings())

    # A click on a marked word opens what the model read.
    x, y = visitor.edge("asthma")
    visitor.point((x + 5, y), "down", "up")
    visitor.wait(lambda: "Could this be [entity] asthma [entity]" in visitor.opened())
    bars = re.findall(r"(Present|Absent|Possible)\n(\d+\.\d) %", visitor.opened())
    assert [name for name, _ in bars] == ["Present", "Absent", "Possible"]
    assert sum(float(p) for _, p in bars) == pytest.approx(100, abs=0.2)

    # A phrase is dragged over and marked where it is. It stands behind two emoji.
    start, end = visitor.edge("comfortable on"), visitor.edge("the phone", at_end=True)
    visitor.point(start, "down", end, "up")
    visitor.click("#bubble")
    visitor.wait_for_answers()
    marked = {row[1]: row[2] for row in visitor.findings()}
    assert len(marked) == before + 1
    assert "comfortable on the phone" in marked

    visitor.click("#findings li:has([aria-expanded=true]) .remove")
    assert len(visitor.findings()) == before
    assert visitor.violations() == []


HOLDS = {  # words of the first note -> the line under it, and what is underlined
    "palpitations": (
        "Yes Status Present 96 % Whose Patient 96 % When Current 96 %",
        {},
    ),
    "syncope": (
        "No, absent Status Absent 96 % Whose Patient 96 % When Current 96 %",
        {"label": ["Denies"]},
    ),
    "hyperthyroidism": (
        "No, only possible Status Possible 96 % Whose Patient 96 % When Current 96 %",
        {"label": ["Possible"]},
    ),
    "appendectomy": (
        "Yes, in the past Status Present 96 % Whose Patient 96 % When Past 98 %",
        {"temporality": ["Status", "PAST"]},
    ),
    "chest pain": (
        "No, hypothetical"
        " Status Present 96 % Whose Patient 96 % When Hypothetical 98 %",
        {"temporality": ["if", "should"]},
    ),
}


@pytest.mark.system
def test_what_the_mouse_rests_on_is_answered_and_its_cues_underlined(driver, with_axes):
    visitor = Visitor(driver, with_axes.url)
    visitor.wait_for_answers()
    for words, (line, cues) in HOLDS.items():
        visitor.rest_on(words)
        visitor.wait(lambda: visitor.answer() == f"{words}: {line}")  # noqa: B023
        found = visitor.cues()
        assert {q: sorted(c) for q, c in found.items()} == {
            q: sorted(c) for q, c in cues.items()
        }
    # Nothing under it any more: the one that is open.
    visitor.rest_on("Plan:")
    visitor.wait(lambda: visitor.answer().startswith("palpitations: Yes"))
    assert visitor.violations() == []


@pytest.mark.system
def test_only_what_holds_has_a_plus(driver, with_axes):
    visitor = Visitor(driver, with_axes.url)
    visitor.wait_for_answers()
    rows = {row[1]: (row[0], row[-1]) for row in visitor.findings()}
    assert rows["palpitations"][0] == rows["appendectomy"][0] == "+"
    assert rows["appendectomy"][1] == "Yes, in the past"
    assert rows["breast cancer"] == ("≠", "No, not the patient's: family")
    assert rows["chest pain"] == ("≠", "No, hypothetical")
    assert rows["syncope"][0] == "−"
    assert "3 hold" in visitor.see("#count")


@pytest.mark.system
def test_whose_and_when_by_keyboard_and_voice(driver, with_axes):
    visitor = Visitor(driver, with_axes.url)
    visitor.wait_for_answers()
    visitor.tab_to("li:nth-child(6) > .finding")  # the focus alone
    visitor.wait(lambda: visitor.answer().startswith("breast cancer: No, not the"))
    assert {"Mother"} <= set(visitor.cues()["experiencer"])
    visitor.press(visitor.keys.ENTER)
    opened = visitor.opened()
    assert "The model read, under “FAMILY HISTORY”" in opened
    assert re.search(r"Whose because of .*“Mother”", opened)
    assert re.search(r"Patient\n1.0 %\nFamily\n98.0 %\nOther\n1.0 %", opened)

    visitor.mark_all("Mother has gout")
    visitor.wait_for_answers()
    said = "return document.getElementById('live').textContent"
    heard = "present, 96 %, No, not the patient's: family"
    visitor.wait(lambda: heard in driver.execute_script(said))


@pytest.mark.system
def test_without_axes_there_is_the_label_alone(driver, guarded):
    visitor = Visitor(driver, guarded.url)
    visitor.mark_all("pain")
    visitor.give_key(KEY)
    visitor.wait_for_answers()
    assert re.fullmatch(r"pain Status \w+ \d+ %", visitor.answer())
    assert "hold" not in visitor.see("#count")
    assert "Whose" not in visitor.opened()


@pytest.mark.system
def test_cues_are_gone_while_the_text_is_another(driver, with_axes):
    visitor = Visitor(driver, with_axes.url)
    visitor.wait_for_answers()
    visitor.tab_to("li:nth-child(2) > .finding")
    visitor.press(visitor.keys.ENTER)
    assert visitor.cues() == {"label": ["Denies"]}
    # Before the service is asked again, 0.35 s later.
    script = """
        const note = document.getElementById("note");
        note.value = `Today. ${note.value}`;
        note.dispatchEvent(new Event("input"));
        return document.querySelectorAll("#mirror .cue").length;"""
    assert driver.execute_script(script) == 0
    visitor.wait(lambda: visitor.cues() == {"label": ["Denies"]})


@pytest.mark.system
def test_by_keyboard_alone(driver, server):
    visitor = Visitor(driver, server.url)
    keys = visitor.keys
    visitor.wait_for_answers()
    visitor.tab_to("#blank")
    visitor.press(keys.ENTER)  # the focus goes to the empty note
    visitor.type(f"{BEYOND_BMP} Denies night sweats but has a cough.")
    visitor.press(keys.ARROW_LEFT)
    visitor.wait(lambda: visitor.see("#mark") == "Mark “cough”")
    visitor.press(keys.ENTER, hold=keys.CONTROL)  # the word at the caret
    visitor.wait_for_answers()
    visitor.press(keys.HOME, *[keys.ARROW_RIGHT] * 9)
    visitor.press(*[keys.ARROW_RIGHT] * 12, hold=keys.SHIFT)
    visitor.tab_to("#mark")
    visitor.wait(lambda: visitor.see("#mark") == "Mark “night sweats”")
    visitor.press(keys.ENTER)
    visitor.wait_for_answers()
    rows = [[*row[:2], row[2].split()[0]] for row in visitor.findings()]
    assert rows == [["−", "night sweats", "Absent"], ["+", "cough", "Present"]]
    said = "return document.getElementById('live').textContent"
    assert re.match(r"night sweats: absent, \d+ %", driver.execute_script(said))

    # Edits move the marks along.
    visitor.press(keys.HOME)
    visitor.type("Today: ")
    visitor.wait(lambda: "Today: " in visitor.see("#code"))
    assert [row[1] for row in visitor.findings()] == ["night sweats", "cough"]

    visitor.tab_to("li:last-child > .finding")
    visitor.press(keys.ENTER)
    assert "has a [entity] cough [entity]." in visitor.opened()
    visitor.press(keys.DELETE)
    assert [row[1] for row in visitor.findings()] == ["night sweats"]

    visitor.tab_to("[role=tab]")
    visitor.press(keys.ARROW_RIGHT)
    assert visitor.see("[role=tab][aria-selected=true]") == "Python"
    visitor.tab_to("#copy")
    visitor.press(keys.ENTER)
    visitor.wait(lambda: visitor.see("#copy") == "Copied")
    read = {"permissions": ["clipboardReadWrite"], "origin": server.url}
    driver.execute_cdp_cmd("Browser.grantPermissions", read)
    paste = "navigator.clipboard.readText().then(arguments[0])"
    assert driver.execute_async_script(paste).startswith("import json\n")
    assert visitor.violations() == []


@pytest.mark.system
def test_the_copied_requests_give_what_the_page_shows(driver, server):
    visitor = Visitor(driver, server.url)
    visitor.load("Portal message")
    driver.execute_script("document.getElementById('code').focus()")
    code = {}
    for language in ("curl", "python", "javascript"):
        visitor.click(f"#tab-{language}")
        text = "return document.getElementById('code').textContent"
        code[language] = driver.execute_script(text)
    shown = [
        f"{row[1]} {row[2].split()[0].upper()}" for row in visitor.findings()
    ]  # fmt: skip

    words = shlex.split(code["curl"].replace("\\\n", ""))
    assert words[:2] == ["curl", f"{server.url}/predict"]
    reply = server.post(words[-1].encode()).json["predictions"]
    assert [p["label"] for p in reply] == [line.split()[-1] for line in shown]

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code["python"], {})
    printed = [line.rpartition(" ")[0] for line in out.getvalue().splitlines()]
    assert printed == shown

    collect = f"""
        const done = arguments[0], lines = [];
        const console = {{ log: (...w) => lines.push(w.slice(0, 2).join(" ")) }};
        (async () => {{ {code["javascript"]} }})().then(() => done(lines), done);"""
    assert driver.execute_async_script(collect) == shown


@pytest.mark.system
def test_what_goes_wrong_is_told_where_it_is(driver, guarded):
    visitor = Visitor(driver, guarded.url)
    keys = visitor.keys
    visitor.click("#blank")
    visitor.type("inferior myocardial infarction and fever")
    visitor.press(keys.ENTER, hold=keys.CONTROL)  # fever
    visitor.press(keys.HOME)
    visitor.press(*[keys.ARROW_RIGHT] * 30, hold=keys.SHIFT)
    visitor.press(keys.ENTER, hold=keys.CONTROL)
    visitor.give_key(KEY)
    visitor.wait(lambda: "cannot be answered" in visitor.see("#problem"))
    assert visitor.see("#problem-title") == "1 of 2 marks cannot be answered."
    assert "At most 20 characters in an entity; given 30." in visitor.opened()
    # The other one is.
    visitor.wait(lambda: "%" in visitor.findings()[1][2])
    assert visitor.findings()[0][2] == "Not answered"
    code = visitor.see("#code")
    assert "$NEGATION_API_KEY" in code and KEY not in code

    visitor.mark_all("chills")
    visitor.wait(lambda: "Internal Server Error" in visitor.see("#problem"))
    assert re.search(r"request [0-9a-f]{32}\.", visitor.see("#problem-id"))
    assert visitor.violations() == []


@pytest.mark.system
def test_a_busy_service_is_asked_again(driver, guarded):
    visitor = Visitor(driver, guarded.url)
    visitor.mark_all("fever")
    visitor.give_key(KEY)
    visitor.wait_for_answers()
    # "history" takes 0.2 s a batch here.
    slow = {"documents": [{"sentence": f"history {'a ' * i}"} for i in range(1, 100)]}
    ask = partial(guarded.post, **{"X-API-Key": KEY})
    # Again when the question below, whether it is busy, took the only place.
    keep_busy = partial(wait_until, lambda: ask(slow).status == 200, 20, "it has room")
    other = threading.Thread(target=keep_busy)
    other.start()
    wait_until(lambda: ask({"sentence": "a"}).status == 429, 20, "it is busy")
    visitor.mark_all("pain")
    visitor.wait(lambda: "Asking again in" in visitor.see("#problem"))
    other.join()
    visitor.wait_for_answers()
    assert not visitor.see("#problem")


@pytest.mark.system
@pytest.mark.parametrize("path", ["/", "/docs"])
@pytest.mark.parametrize("scheme, width", [("light", 360), ("dark", 1280)])
def test_it_is_accessible_and_fits(driver, with_axes, path, scheme, width):
    """By axe-core's rules: names, roles, contrast, order."""
    from axe_core_python.selenium import Axe

    visitor = Visitor(driver, with_axes.url + path)
    visitor.browser.set_scheme(driver, scheme)
    visitor.browser.set_size(driver, width, 900)
    if path == "/":
        visitor.wait_for_answers()
    assert visitor.violations() == []
    found = Axe().run(driver)
    assert len(found["passes"]) > 10
    assert [
        (v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]
    ] == []
    widest = "return document.documentElement.scrollWidth"
    assert driver.execute_script(widest) <= width


@pytest.mark.system
def test_the_log_would_show_what_the_policy_refuses(driver, server):
    visitor = Visitor(driver, server.url)
    visitor.wait_for_answers()
    driver.execute_script("document.body.setAttribute('style', 'color: red')")
    (message,) = visitor.violations()
    assert "Content Security Policy" in message


@pytest.mark.system
def test_a_pasted_note_has_its_common_findings_marked(driver, with_axes):
    visitor = Visitor(driver, with_axes.url)
    visitor.click("#blank")
    visitor.type(f"{BEYOND_BMP} Denies chest\npain. Mother had shingles.")
    visitor.press("ax", hold=visitor.keys.CONTROL)  # into the clipboard
    visitor.wait(lambda: visitor.see("#empty"))
    assert visitor.findings() == []
    visitor.press("v", hold=visitor.keys.CONTROL)
    visitor.wait(lambda: len(visitor.findings()) == 2)
    words = [row[1] for row in visitor.findings()]
    assert words == ["chest pain", "shingles"]
    assert visitor.see("#problem-title") == ""

    # What is pasted later is looked through alone; what was unmarked stays so.
    visitor.click("#findings .finding")
    visitor.click("#findings .remove")
    visitor.wait(lambda: len(visitor.findings()) == 1)
    visitor.click("#note")
    visitor.press(visitor.keys.END, hold=visitor.keys.CONTROL)
    visitor.press("v", hold=visitor.keys.CONTROL)
    visitor.wait(lambda: len(visitor.findings()) == 3)
    visitor.wait_for_answers()
    assert not visitor.violations()
