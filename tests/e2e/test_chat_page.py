"""The chat page in Chromium: type, stream, stop, figures, errors, nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Server
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "install Debian's chromium"
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; a fault in its script fails the test."""
    context = browser.new_context()
    one = context.new_page()
    faults: list[str] = []
    one.on("pageerror", lambda fault: faults.append(str(fault)))
    yield one
    context.close()
    assert faults == []


def open_page(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.locator("#model")).to_have_text("tiny")


def say(page: Page, text: str, **settings: str) -> None:
    if settings and page.locator("#details").get_attribute("open") is None:
        page.locator("summary").click()
    for name, value in settings.items():
        page.locator(f"#{name}").fill(value)
    page.locator("#input").fill(text)
    page.locator("#input").press("Enter")


def wait_until_done(page: Page) -> None:
    expect(page.locator("#send")).to_be_visible(timeout=30000)
    expect(page.locator(".busy")).to_have_count(0)


def answers(page: Page) -> list[str]:
    return [text.text_content() or "" for text in page.locator(".assistant .text").all()]


def keep_going(page: Page) -> None:
    """Answers without end token, as long as the context: for tests that stop them."""

    def change(route: Route) -> None:
        body = {**json.loads(route.request.post_data or ""), "logit_bias": {"0": -100}}
        body.pop("max_tokens", None)
        route.continue_(post_data=json.dumps(body))

    page.route("**/v1/chat/completions", change)


def test_chat_streams_an_answer(page: Page, server: Server) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    open_page(page, server)
    say(page, "In the beginning", max_tokens="40", seed="3", temperature="1")
    wait_until_done(page)
    body = {"messages": [{"role": "user", "content": "In the beginning"}], "max_tokens": 40}
    body |= {"model": "tiny", "seed": 3, "temperature": 1, "top_p": 0.95}
    whole = server.post("/v1/chat/completions", body)[1]
    assert answers(page) == [whole["choices"][0]["message"]["content"]]
    count = whole["usage"]["completion_tokens"]
    expect(page.locator(".stats")).to_have_text(re.compile(rf"^{count} tokens · [\d.]+ tokens/s"))
    assert page.locator(".user .text").text_content() == "In the beginning"
    say(page, "and then?")
    wait_until_done(page)
    assert len(answers(page)) == 2
    page.locator("#clear").click()
    assert answers(page) == []
    local = [url for url in urls if url.startswith((server.url, "data:"))]
    assert local == urls


def test_page_names_no_other_host(server: Server) -> None:
    html = server.request("GET", "/")[2].decode()
    assert set(re.findall(r"https?://[^/'\"\s]+", html)) <= {"http://www.w3.org"}  # SVG's name
    policy = server.request("GET", "/")[1]["content-security-policy"]
    assert "default-src 'none'" in policy


def test_continue_mode(page: Page, server: Server) -> None:
    open_page(page, server)
    page.locator("summary").click()
    page.locator("#mode").select_option("continue")
    say(page, "And God said", max_tokens="12", temperature="0")
    wait_until_done(page)
    fields = {"prompt": "And God said", "max_tokens": 12, "temperature": 0, "top_p": 0.95}
    expected = server.complete(**fields)["choices"][0]["text"]
    assert answers(page) == ["And God said" + expected]


@pytest.mark.parametrize("how", ["button", "escape", "new conversation"])
def test_stop_aborts_the_request(page: Page, server: Server, how: str) -> None:
    open_page(page, server)
    keep_going(page)
    say(page, "In the beginning")
    expect(page.locator(".stats")).to_have_text(re.compile(r"^\d{2,} tokens · [\d.]+ tokens/s"))
    assert server.health()["running"] == 1
    if how == "button":
        page.locator("#stop").click()
    elif how == "escape":
        page.keyboard.press("Escape")
    else:
        page.locator("#clear").click()
    wait_until_done(page)
    for _ in range(100):
        if server.health()["running"] == 0:
            break
        page.wait_for_timeout(10)
    assert server.health()["running"] == 0
    if how == "new conversation":
        assert answers(page) == []
    else:
        expect(page.locator(".stats")).to_contain_text("stopped by you")
        assert answers(page)[0]


def test_server_that_dies(page: Page, start_server: Callable[..., Server]) -> None:
    server = start_server()
    open_page(page, server)
    keep_going(page)
    say(page, "In the beginning")
    expect(page.locator(".stats")).to_have_text(re.compile(r"^\d+ tokens"))
    server.process.send_signal(signal.SIGKILL)
    wait_until_done(page)
    expect(page.locator(".problem")).to_contain_text("broke off")
    say(page, "Are you there?")
    wait_until_done(page)
    expect(page.locator(".problem").nth(1)).to_contain_text("does not answer")


def test_server_that_hangs(page: Page) -> None:
    """A server that accepts and says nothing: the page says that it waits, and Stop works."""
    files = Path(__file__).resolve().parents[2] / "needle/serve/http/chat.html"
    page.route(
        "http://needle.test/", lambda r: r.fulfill(body=files.read_text(), content_type="text/html")
    )
    card = {"data": [{"id": "slow", "max_model_len": 100}]}
    page.route("http://needle.test/v1/models", lambda r: r.fulfill(json=card))
    page.route("http://needle.test/v1/chat/completions", lambda _: None)
    page.goto("http://needle.test/")
    expect(page.locator("#model")).to_have_text("slow")
    say(page, "Hello")
    expect(page.locator(".stats")).to_have_text(re.compile(r"waiting for the first token, \d+ s"))
    page.locator("#stop").click()
    wait_until_done(page)
    expect(page.locator(".stats")).to_contain_text("stopped by you")


def test_errors_in_words(page: Page, server: Server) -> None:
    open_page(page, server)
    page.locator("summary").click()
    page.locator("#mode").select_option("continue")
    say(page, "1 " * 9000)
    wait_until_done(page)
    expect(page.locator(".problem")).to_contain_text("takes at most")
    say(page, "In", temperature="3")
    wait_until_done(page)
    expect(page.locator(".problem").nth(1)).to_contain_text("Temperature")
    say(page, "In", temperature="0", max_tokens="1000000")  # shortened to what fits
    expect(page.locator(".stats").nth(2)).to_have_text(re.compile(r"^\d+ token"))
    page.locator("#stop").click()
    wait_until_done(page)
    assert page.locator(".problem").count() == 2


def test_long_chats_drop_their_oldest_messages(page: Page, server: Server) -> None:
    open_page(page, server)
    for text in ("1 " * 6000, "In the beginning"):
        say(page, text, max_tokens="3")
        wait_until_done(page)
    say(page, "1 " * 3000)
    wait_until_done(page)
    assert len(answers(page)) == 3
    expect(page.locator(".stats").nth(2)).to_contain_text("older messages left out")


def test_api_key(page: Page, start_server: Callable[..., Server]) -> None:
    server = start_server("--api-key", "secret")
    page.goto(server.url)
    expect(page.locator("#model")).to_contain_text("key is missing or wrong")
    page.locator("#key").fill("secret")
    page.locator("#input").focus()
    expect(page.locator("#model")).to_have_text("tiny")


def test_text_is_never_markup(page: Page, server: Server) -> None:
    open_page(page, server)
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            content_type="text/event-stream",
            body='data: {"choices":[{"index":0,"delta":{"content":"<b id=x>&amp;"}}]}\n\n'
            "data: [DONE]\n\n",
        ),
    )
    say(page, "<img src=x onerror=alert(1)>")
    wait_until_done(page)
    assert answers(page) == ["<b id=x>&amp;"]
    assert page.locator("#conversation img, #x").count() == 0


def test_narrow_and_dark(browser: Browser, server: Server) -> None:
    context = browser.new_context(
        viewport={"width": 320, "height": 560}, color_scheme="dark", is_mobile=True
    )
    page = context.new_page()
    open_page(page, server)
    say(page, "In the beginning", max_tokens="60")
    wait_until_done(page)
    assert page.evaluate("document.documentElement.scrollWidth <= 320")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", background)[:3]) < 64
    context.close()


def test_every_control_has_a_name(page: Page, server: Server) -> None:
    open_page(page, server)
    page.locator("summary").click()
    for control in page.locator("button:visible, input, textarea, select").all():
        name = control.evaluate("e => (e.labels?.[0] ?? e).textContent.trim()")
        assert name, control.evaluate("e => e.outerHTML")
    assert page.locator("[role=log][aria-live=polite]").count() == 1
    assert page.locator("[role=status]").count() == 1
