"""The page: whole, inert, small enough, and used in a real browser as a reader would."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.api import arms_for, compare, measure_episodes, measure_run, sketch_of
from agent.experiment import score_trace
from agent.logs import from_frame, title
from agent.measure import compare as measured
from agent.report.drawing import Plot
from agent.report.page import page
from agent.report.plots import plots
from agent.store import Store
from agent.types import Attempt, Message, Question, Score, Step, Trace, Usage, Verdict
from tasks.chess.task import Chess

HOSTILE = "</script><img src=x onerror=alert(1)><!-- \x00 \u2028 {{ 7 * 7 }}"


def header(arms: list[str]) -> dict[str, Any]:
    return {
        "errata": "0", "command": ["errata", "compare"], "oracle_verifiers": [],
        "identity": {"task": {"name": "t"}, "model": {"name": "m"}, "seeds": [1],
                     "arms": {a: {} for a in arms}, "horizon": 3},
    }  # fmt: skip


def built(episodes: list[tuple[Trace, list[list[Score]]]], arms: list[str], **kwargs: Any) -> str:
    head = header(arms)
    table, comparison = measure_episodes(episodes, head)
    return page(head, comparison, plots(table, comparison), table, episodes, **kwargs)


def attempt(text: str, outcome: str = "pass", critique: str = "") -> Attempt:
    verdict = Verdict(verifier="judge", outcome=outcome, critique=critique)  # type: ignore[arg-type]
    return Attempt(text=text, answer=text, verdicts=(verdict,), prompt_hash="h",
                   usage=Usage(prompt_tokens=3, completion_tokens=1, calls=1))  # fmt: skip


def asked(text: str) -> Question:
    return Question(messages=(Message(role="user", content=text),), prefix=text)


def unpacked(html: str, pattern: str) -> list[Any]:
    found = re.findall(rf'<script type="application/octet-stream" {pattern}>([^<]*)</script>', html)
    return [json.loads(gzip.decompress(base64.b64decode(x))) for x in found]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


# -- the file -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("page") / "run"
    task = Chess(style="lan", start="random:30", horizon=14, quality_nodes=0)
    arms = arms_for(task, ["baseline", "resample", "critique"])
    compare(task, "tiny", arms=arms, episodes=4, horizon=14, out=directory)
    return directory


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    store = Store(run)
    table, comparison = measure_run(store)
    figures = plots(table, comparison)
    text = page(store.header, comparison, figures, table, store.episodes(), sketch_of(store.header))
    store.close()
    return text


def test_nothing_is_fetched_and_only_the_page_s_own_script_runs(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    for tag, attributes in tags.seen:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name) or ""
            assert target.startswith(("data:", "#")) or not target, (tag, target)
    scripts = [a for t, a in tags.seen if t == "script" and "type" not in a]
    assert len(scripts) == 1
    assert "default-src 'none'" in html
    assert "@import" not in html and "url(http" not in html


def test_the_primary_sentence_and_t1_stand_before_the_plots(html: str) -> None:
    assert "critique against resample" in html
    order = ["critique against resample", "T1 Error", "P1 ·", "P10 ·", "T3 On"]
    assert sorted(order, key=html.index) == order


def test_each_plot_has_a_caption_and_its_data(html: str, run: Path) -> None:
    links = re.findall(r'<a download="(P\d+)\.csv" href="data:text/csv;base64,([^"]+)"', html)
    assert {name for name, _ in links} >= {"P1", "P2", "P3", "P5", "P6", "P8", "P9"}
    for _, data in links:
        lines = base64.b64decode(data).decode().splitlines()
        assert lines[0].count(",") == lines[1].count(",") > 0
    store = Store(run)
    table, comparison = measure_run(store)
    store.close()
    for plot in plots(table, comparison):
        if isinstance(plot, Plot):
            assert len(plot.caption) > 60
            assert plot.svg.startswith("<svg") and "#010203" not in plot.svg
            assert "mathdefault" not in plot.svg


def test_each_table_says_what_its_figures_are(html: str) -> None:
    tables = html.count('<figure class="sheet">')
    assert tables >= 14
    assert len(re.findall(r"</table>\s*</div>\s*<p class=\"note\">", html)) == tables


def test_the_header_tells_what_a_reader_must_know(html: str) -> None:
    head = html[: html.index('class="primary"')]
    for told in ("temperature=1.0", "seeds (", "horizon 14", "chess-legality 1", "pairs lost none",
                 "start=", "identical in 4 of 4 pairs"):  # fmt: skip
        assert told in head
    assert re.search(r"hash of the first prompts [0-9a-f]{16};", head)


def test_the_same_run_makes_the_same_page(html: str, run: Path) -> None:
    store = Store(run)
    table, comparison = measure_run(store)
    again = page(store.header, comparison, plots(table, comparison), table, store.episodes(),
                 sketch_of(store.header))  # fmt: skip
    store.close()
    assert again == html


def test_ids_are_unique(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    ids = [a["id"] for _, a in tags.seen if "id" in a]
    assert len(ids) == len(set(ids))


def test_what_a_model_wrote_is_data_and_never_markup() -> None:
    step = Step(index=0, question=asked(HOSTILE), attempts=(attempt(HOSTILE, "fail", HOSTILE),),
                accepted=0)  # fmt: skip
    trace = Trace(task="t", arm=HOSTILE, model="m", seed=1, steps=(step,), stop_reason=HOSTILE)
    text = built([(trace, [[Score(correct=False, error_class=HOSTILE)]])], [HOSTILE])
    assert "<img src=x" not in text
    assert "49" not in text.split("</style>")[1].split("<svg")[0]
    [[stored]] = unpacked(text, 'class="detail"')
    assert stored["t"][0]["w"] == HOSTILE
    assert stored["t"][0]["v"] == [["judge", "fail", HOSTILE]]


PROMPTS = ["", "1. e4", "1. e4 e5", "2. e4 e5 Nf3", "2. e4 e5 Nf3", "x", "xx", "\U0001f600 a",
           "\U0001f600 a b", "\U0001f600\U0001f600 a b c", "x \U0001f601 a b c d", "b a"]  # fmt: skip


def asking(texts: list[str]) -> str:
    """The page of one episode that is asked these, answers them, and is told them."""
    steps = tuple(Step(index=i, question=asked(t), attempts=(attempt(t, "pass", t),), accepted=0)
                  for i, t in enumerate(texts))  # fmt: skip
    trace = Trace(task="t", arm="a", model="m", seed=1, steps=steps, stop_reason="horizon")
    return built([(trace, [[Score(correct=True)]] * len(texts))], ["a"])


def test_prompts_come_back_from_their_differences() -> None:
    html = asking(PROMPTS)
    [stored] = unpacked(html, 'class="detail"')
    before, back = "", []
    for step in stored:
        begin, end, middle = step["p"]
        before = before[:begin] + middle + (before[len(before) - end :] if end else "")
        back.append(before)
    assert back == PROMPTS


def long_run(episodes: int, steps: int) -> list[tuple[Trace, list[list[Score]]]]:
    """Games whose prompt is the whole game so far, with a critique at every fifth step."""
    out = []
    for seed in range(episodes):
        rng = random.Random(seed)
        told, made, scores = "", [], []
        for i in range(steps):
            move = f"{rng.choice('NBRQK')}{rng.choice('abcdefgh')}{rng.randint(1, 8)}"
            tries = [attempt(move)]
            if i % 5 == 0:
                why = f"{move} is illegal: there is no white knight on {move[1:]}."
                tries.insert(0, attempt(move[::-1], "fail", why))
            made.append(Step(index=i, question=asked(f"The game so far:\n{told}\nMove."),
                             attempts=tuple(tries), accepted=len(tries) - 1))  # fmt: skip
            scores.append([Score(correct=True) for _ in tries])
            told += f" {move}"
        trace = Trace(task="t", arm="critique", model="m", seed=seed, steps=tuple(made),
                      stop_reason="horizon")  # fmt: skip
        out.append((trace, scores))
    return out


def test_two_hundred_episodes_of_a_hundred_steps_fit_into_three_megabytes() -> None:
    html = built(long_run(200, 100), ["critique"])
    assert len(html.encode()) < 3_000_000
    assert html.count('class="detail"') == 200


def test_what_does_not_fit_is_left_out_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    import agent.report.page

    monkeypatch.setattr(agent.report.page, "ROOM", 4000)
    html = built(long_run(20, 30), ["critique"])
    kept = html.count('class="detail"')
    assert 0 < kept < 20
    assert f"the steps of the first {kept} of 20 episodes" in html
    [strips] = unpacked(html, 'id="strips"')
    assert [s["detail"] for s in strips] == [*range(kept), *[None] * (20 - kept)]


def test_a_log_has_strips_without_steps() -> None:
    import pandas as pd

    frame = pd.DataFrame({
        "episode": np.repeat(np.arange(30), 40), "step": np.tile(np.arange(1, 41), 30),
        "correct": np.random.default_rng(1).random(1200) < 0.8,
    })  # fmt: skip
    table = from_frame(frame)
    comparison = measured(table, 40)
    html = page(
        title(Path("log.csv"), table, ["measure"]), comparison, plots(table, comparison), table
    )
    assert "The steps themselves are not part of these data." in html
    [strips] = unpacked(html, 'id="strips"')
    assert len(strips) == 30
    assert sum(int(n) for s in strips for n in re.findall(r"\d+", s["steps"])) == 1200


def test_more_episodes_than_a_browser_likes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    import agent.report.page

    monkeypatch.setattr(agent.report.page, "MOST_STRIPS", 5)
    html = built(long_run(20, 3), ["critique"])
    [strips] = unpacked(html, 'id="strips"')
    assert len(strips) == html.count('class="detail"') == 5
    assert "the first episodes are drawn, 5 of 20 in all" in html


def test_a_million_steps_have_strips() -> None:
    import pandas as pd

    rng = np.random.default_rng(1)
    frame = pd.DataFrame({
        "episode": np.repeat(np.arange(1000), 1000), "step": np.tile(np.arange(1, 1001), 1000),
        "correct": rng.random(1_000_000) < 0.8,
    })  # fmt: skip
    table = from_frame(frame)
    # The figures are not what is tested: those of a few episodes do.
    comparison = measured(from_frame(frame[frame["episode"] < 3]), 1000)
    html = page(title(Path("log.csv"), table, ["measure"]), comparison, [], table)
    [strips] = unpacked(html, 'id="strips"')
    assert len(strips) == 1000
    wrong = sum(int(n) for s in strips for n in re.findall(r"(\d+)r", s["steps"]))
    assert wrong == (~frame["correct"]).sum()


@pytest.mark.parametrize("missing", ["errata", "command", "oracle_verifiers", "task", "model", "arms",
                                     "seeds", "horizon", "identity"])  # fmt: skip
def test_a_header_may_lack_a_key(missing: str) -> None:
    head = header(["a"])
    table, comparison = measure_episodes(long_run(1, 3), head)
    identity = {k: v for k, v in head["identity"].items() if k != missing}
    given = {k: v for k, v in (head | {"identity": identity}).items() if k != missing}
    assert "T1 Error" in page(given, comparison, [], table)


# -- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(html: str) -> Iterator[Any]:
    # The run comes first: once Playwright's own event loop runs, `asyncio.run` refuses to.
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if found is None:
        pytest.skip("no Chromium is installed: apt install chromium")
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, html: str, tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "report.html"
    file.write_text(html, "utf-8")
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked_for: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked_for.append(request.url))
    tab.goto(file.as_uri())
    tab.wait_for_selector(".strip svg")
    yield tab
    assert said == []
    assert [u for u in asked_for if not u.startswith(("file:", "data:"))] == []
    tab.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_it_is_drawn_in_light_and_dark_and_on_a_phone(
    opened: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    from PIL import Image

    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": width, "height": 900})
    picture = tmp_path / "page.png"
    opened.screenshot(path=picture, full_page=True)
    image = Image.open(picture).convert("RGB")
    paper = image.getpixel((2, 300))
    assert (sum(paper) > 600) == (scheme == "light")
    assert len(set(image.resize((160, 900)).getcolors(1 << 24))) > 200
    # Nothing but tables and wide plots, each in a box of its own, is wider than the window.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def click_first(tab: Any, kind: str) -> int:
    """Click the first cell of a kind where a reader sees it; returns its step."""
    cells = tab.locator(kind).first
    cells.scroll_into_view_if_needed()
    index, x, y = cells.evaluate(
        """cells => {
          const index = Number(cells.getAttribute("d").match(/\\d+/)[0]);
          const at = new DOMPoint(index + 0.5, 13).matrixTransform(cells.getScreenCTM());
          return [index, at.x, at.y];
        }"""
    )
    tab.mouse.click(x, y)
    return int(index) + 1


def first_step(html: str, letter: str) -> int:
    """The first step of a kind, by the data of the page and not by its drawing."""
    [strips] = unpacked(html, 'id="strips"')
    steps = next(s["steps"] for s in strips if letter in s["steps"])
    return 1 + sum(int(n) for n in re.findall(r"\d+", steps.partition(letter)[0])[:-1])


def test_a_corrected_step_is_opened_read_and_left(opened: Any, html: str) -> None:
    tab = opened
    number = click_first(tab, "path.a")
    assert number == first_step(html, "a")
    tab.wait_for_selector("dialog[open]")
    where = tab.locator("#step-title").inner_text()
    assert f"step {number} of 14" in where
    attempts = tab.locator(".attempt")
    assert attempts.count() >= 2
    assert "is illegal" in attempts.first.inner_text() or "not" in attempts.first.inner_text()
    assert "accepted · oracle: right" in tab.locator("#attempts").inner_text()
    # The embedded model continues plain text, so that is what it was asked.
    assert re.search(r"which it continues\s+1\. ", tab.locator("#prompt").inner_text())
    tab.get_by_text("as a chat").click()
    assert "You play chess" in tab.locator("#prompt").inner_text()
    assert tab.locator("#board .move").count() == 1
    assert tab.locator("#board use").count() >= 3
    tab.keyboard.press("ArrowUp")
    assert attempts.nth(attempts.count() - 2).get_attribute("aria-pressed") == "true"
    step = 1 if number < 14 else -1
    tab.keyboard.press("ArrowRight" if step > 0 else "ArrowLeft")
    assert f"step {number + step} of 14" in tab.locator("#step-title").inner_text()
    tab.keyboard.press("ArrowLeft" if step > 0 else "ArrowRight")
    assert tab.locator("#step-title").inner_text() == where
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0


def test_a_strip_is_opened_by_the_keyboard(opened: Any) -> None:
    opened.locator(".strip svg").first.focus()
    opened.keyboard.press("Enter")
    opened.wait_for_selector("dialog[open]")
    assert "step 1 of" in opened.locator("#step-title").inner_text()


def test_prompts_with_any_characters_come_back_in_the_browser(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(asking(PROMPTS), "utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.locator(".strip svg").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog[open]")
    for text in PROMPTS:
        assert tab.locator("#plain").evaluate("node => node.textContent") == text
        assert tab.locator("#chat pre").evaluate("node => node.textContent") == text
        tab.keyboard.press("ArrowRight")
    tab.close()


def test_what_a_model_wrote_is_inert_in_the_browser(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(asking([HOSTILE, HOSTILE * 2]), "utf-8")
    tab = browser.new_page()
    alerts: list[str] = []
    tab.on("dialog", lambda alert: (alerts.append(alert.message), alert.dismiss()))
    tab.goto(file.as_uri())
    tab.locator(".strip svg").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog[open]")
    for place in ("#chat", ".attempt strong", ".critique"):
        assert "<img src=x" in tab.locator(place).inner_text(), place
    assert tab.locator("img").count() == 0
    assert alerts == []
    tab.close()


def test_its_data_can_be_downloaded(opened: Any, tmp_path: Path) -> None:
    with opened.expect_download() as waiting:
        opened.locator('a[download="P1.csv"]').click()
    waiting.value.save_as(tmp_path / "p1.csv")
    assert (tmp_path / "p1.csv").read_text().startswith("arm,step,episodes,A,A_low")


def test_it_prints(opened: Any, tmp_path: Path) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    for chosen in ("", "dark"):
        opened.evaluate("theme => { document.documentElement.dataset.theme = theme }", chosen)
        paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)", "paper is white whatever was chosen for the screen"
    opened.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 30_000


def test_scores_are_the_oracle_s(run: Path) -> None:
    store = Store(run)
    task = Chess(style="lan", start="random:30", horizon=14, quality_nodes=0)
    for trace, scores in store.episodes():
        assert score_trace(task, trace) == scores
    store.close()
