"""Logs of other programs: every format, every rule of docs/measure.md, and everything bad."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent import logs
from agent.cli import app
from agent.errors import UsageError
from agent.measure import compare
from agent.measure.compare import Comparison
from agent.measure.table import STEP_COLUMNS, UNKNOWN, StepTable, from_traces
from agent.report.summary import summarise
from agent.report.terminal import tables
from agent.types import Attempt, Question, Score, Step, Trace, Usage

NAN = float("nan")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "measure.md"


def frame(*rows: tuple[Any, ...], columns: str = "episode step correct") -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def played(episodes: int = 40, steps: int = 12, seed: int = 0) -> pd.DataFrame:
    """Two arms that share their episodes, of two strata; names and rows as a log has them."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"g{i:02}", t, int(rng.random() > (0.3 if arm == "plain" else 0.1)), arm,
         ("small", "large")[i % 2], int(rng.integers(5, 50)))
        for arm in ("plain", "tuned") for i in range(episodes) for t in range(1, steps + 1)
    ]  # fmt: skip
    return frame(*rows, columns="episode step correct arm stratum tokens")


def measured(table: StepTable) -> Comparison:
    return compare(table, int(table.step.max()))


def same(a: StepTable, b: StepTable) -> None:
    for name in STEP_COLUMNS:
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name
    assert (a.episodes_of, a.failed) == (b.episodes_of, b.failed)


def shown(comparison: Comparison, table: StepTable) -> str:
    """What a report would say; the summary must be JSON without NaN."""
    title = logs.title(Path("log.csv"), table, ["measure", "log.csv"])
    json.dumps(summarise(title, comparison), allow_nan=False)
    page = io.StringIO()
    Console(file=page, width=150).print(tables(comparison))
    return page.getvalue()


# -- formats --------------------------------------------------------------------------------------

WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "log.csv": lambda f, p: f.to_csv(p, index=False),
    "log.tsv": lambda f, p: f.to_csv(p, index=False, sep="\t"),
    "log.csv.gz": lambda f, p: f.to_csv(p, index=False),
    "LOG.CSV.GZ": lambda f, p: p.write_bytes(gzip.compress(f.to_csv(index=False).encode())),
    "bom.csv": lambda f, p: f.to_csv(p, index=False, encoding="utf-8-sig"),
    "log.jsonl": lambda f, p: f.to_json(p, orient="records", lines=True),
    "log.jsonl.gz": lambda f, p: f.to_json(p, orient="records", lines=True),
    "log.parquet": lambda f, p: f.to_parquet(p),
    "v1.2.parquet": lambda f, p: f.convert_dtypes().to_parquet(p),
    "categories.parquet": lambda f, p: f.astype({"arm": "category", "error_class": "category"})
    .to_parquet(p),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_table(name: str, tmp_path: Path) -> None:
    log = played(6, 4)
    log["correct"] = log["correct"].astype(float)
    log.loc[3, "correct"] = NAN
    log["error_class"] = [None if c else "bad" for c in log["correct"].fillna(1)]
    WRITERS[name](log, tmp_path / name)
    table = logs.read(tmp_path / name)
    same(table, logs.from_frame(log))
    assert table.correct[3] == UNKNOWN
    assert set(table.error_class[table.correct == 0]) == {"bad"}


def test_names_are_text_in_every_format(tmp_path: Path) -> None:
    log = frame(("007", 1, 1, "None"), ("7", 1, 0, "NA"), columns="episode step correct arm")
    for name in ("log.csv", "log.jsonl", "log.parquet"):
        WRITERS[name](log, tmp_path / name)
        table = logs.read(tmp_path / name)
        assert table.arms() == ["NA", "None"]
        assert sorted(table.episode.tolist()) == [0, 1]


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    log = played(6, 4)
    other = {"episode": "game", "step": "turn", "correct": "legal", "arm": "mode"}
    log.rename(columns=other).to_csv(tmp_path / "log.csv", index=False)
    same(logs.read(tmp_path / "log.csv", other), logs.from_frame(log))


def test_a_named_column_wins_over_one_that_bears_our_name(tmp_path: Path) -> None:
    log = frame((1, 1, 0, 1), (1, 2, 0, 1), columns="episode step correct legal")
    log.to_csv(tmp_path / "log.csv", index=False)
    assert logs.read(tmp_path / "log.csv", {"correct": "legal"}).correct.tolist() == [1, 1]


# -- rules ----------------------------------------------------------------------------------------


def test_the_order_of_rows_does_not_matter() -> None:
    log = played()
    shuffled = log.sample(frac=1, random_state=1)
    same(logs.from_frame(shuffled), logs.from_frame(log))
    assert measured(logs.from_frame(shuffled)) == measured(logs.from_frame(log))


@pytest.mark.parametrize("first", [0, 1])
def test_a_row_may_be_an_attempt(first: int) -> None:
    rows = [("g", 1, 0, 0, 10, 1.0), ("g", 1, 1, 0, 20, 1.0), ("g", 1, 2, 1, 30, 2.5),
            ("g", 2, 0, 1, 5, 0.5)]  # fmt: skip
    log = frame(*rows, columns="episode step attempt correct tokens seconds")
    log["attempt"] += first
    table = logs.from_frame(log)
    assert table.first_correct.tolist() == [0, 1]
    assert table.correct.tolist() == [1, 1]
    assert table.attempts.tolist() == [3, 1]
    assert table.tokens.tolist() == [60, 5]
    assert table.seconds.tolist() == [4.5, 0.5]
    assert table.attempt_rows.attempt.tolist() == [0, 1, 2, 0]
    assert table.attempt_rows.step_row.tolist() == [0, 0, 0, 1]
    arm = measured(table).arms["all"]
    assert arm.attempts.first_attempt_error.value == 0.5
    assert {k: e.value for k, e in arm.attempts.recovery.items()} == {2: 0, 3: 1}


def test_arms_that_share_the_name_of_an_episode_are_a_pair() -> None:
    table = logs.from_frame(played(6, 4))
    assert len(set(table.episode)) == 12
    assert table.episodes_of == {"plain": [*range(6)], "tuned": [*range(6)]}
    contrast = measured(table).differences["tuned-plain"]
    assert (contrast.error_rate.n, contrast.pairs_lost) == (6, 0)


def test_a_pair_column_pairs_episodes_of_other_names() -> None:
    log = frame(("x", 1, 1, "a", 7), ("y", 1, 0, "b", 7), ("z", 1, 0, "b", 8),
                columns="episode step correct arm pair")  # fmt: skip
    contrast = measured(logs.from_frame(log)).differences["b-a"]
    assert (contrast.error_rate.n, contrast.error_rate.value, contrast.pairs_lost) == (1, 1, 1)


def test_several_episodes_of_an_arm_may_share_a_pair_and_are_counted_one_by_one() -> None:
    log = frame(("x", 1, 1, "a", 7), ("y", 1, 0, "a", 7), columns="episode step correct arm pair")
    arm = measured(logs.from_frame(log)).arms["a"]
    assert (arm.episodes, arm.error_rate.value) == (2, 0.5)


def test_strata_keep_episodes_of_one_name_apart() -> None:
    log = frame(*[(1, t, 1, arm, model) for arm in "ab" for model in ("m", "n") for t in (1, 2)],
                columns="episode step correct arm stratum")  # fmt: skip
    table = logs.from_frame(log)
    assert len(set(table.episode)) == 4
    assert measured(table).differences["b-a"].error_rate.n == 2


def test_a_stratum_that_is_the_arm_leaves_the_pairs_whole(tmp_path: Path) -> None:
    log = frame(
        *[(g, 1, 1, m) for m in "mn" for g in range(3)], columns="episode step correct model"
    )
    log.to_csv(tmp_path / "log.csv", index=False)
    table = logs.read(tmp_path / "log.csv", {"arm": "model", "stratum": "model"})
    assert measured(table).differences["n-m"].error_rate.n == 3


def test_truths_may_be_words() -> None:
    words = ["1", "1.0", " True", "YES", "right", "Correct", "0", "0.0", "false", "no", "Wrong",
             "incorrect", "", "NA", "null", None, NAN]  # fmt: skip
    table = logs.from_frame(frame(*[("g", t, w) for t, w in enumerate(words, 1)]))
    assert table.correct.tolist() == [1] * 6 + [0] * 6 + [UNKNOWN] * 5


def test_steps_may_begin_at_0() -> None:
    from_0 = played(6, 4)
    from_0["step"] -= 1
    same(logs.from_frame(from_0), logs.from_frame(played(6, 4)))


def test_what_nobody_judged_is_in_no_rate() -> None:
    log = frame(("g", 1, 1), ("g", 2, None), ("g", 3, 0), ("h", 1, 1))
    arm = measured(logs.from_frame(log)).arms["all"]
    assert (arm.steps, arm.unjudged_steps, arm.error_rate.value) == (3, 1, pytest.approx(1 / 3))


def test_a_failed_server_is_never_a_wrong_answer() -> None:
    log = frame(("g", 1, 1, 0), ("g", 2, 0, 1), ("h", 1, 0, 0), ("i", 1, 1, None),
                columns="episode step correct infrastructure")  # fmt: skip
    arm = measured(logs.from_frame(log)).arms["all"]
    assert (arm.steps, arm.unjudged_steps, arm.infrastructure_errors) == (3, 1, 1)
    assert arm.error_rate.value == pytest.approx(1 / 3)


def test_on_track_is_correct_where_it_is_not_told() -> None:
    log = frame(("g", 1, 0, None), ("g", 2, 1, None), ("g", 3, 1, 0),
                columns="episode step correct on_track")  # fmt: skip
    assert logs.from_frame(log).on_track.tolist() == [0, 1, 0]


def test_a_right_answer_has_no_error_class() -> None:
    log = frame(("g", 1, 1, "none"), ("g", 2, 0, "bad"), columns="episode step correct error_class")
    assert measured(logs.from_frame(log)).arms["all"].error_classes == {"bad": 1}


def test_renumbering_takes_the_rows_of_an_episode_in_their_order() -> None:
    log = frame(("g", 5, 1), ("h", 2, 0), ("g", 9, 0), ("h", 3, 1))
    table = logs.from_frame(log, renumber=True)
    assert table.step.tolist() == [1, 2, 1, 2]
    assert table.correct.tolist() == [1, 0, 0, 1]
    same(logs.from_frame(log.drop(columns="step"), renumber=True), table)


@pytest.mark.parametrize("first", [0, 1])
def test_renumbering_keeps_the_attempts_of_a_step_together(first: int) -> None:
    log = frame(*[("g", k + first, 1) for k in (0, 1, 2, 0, 0, 1)],
                columns="episode attempt correct")  # fmt: skip
    table = logs.from_frame(log, renumber=True)
    assert (table.step.tolist(), table.attempts.tolist()) == ([1, 2, 3], [3, 1, 2])


def test_an_early_end_is_censoring() -> None:
    log = frame(("g", 1, 1), ("h", 1, 1), ("h", 2, 1), ("h", 3, 0))
    at = measured(logs.from_frame(log)).arms["all"].survival.at
    assert (at[3].value, at[3].n) == (0, 1)
    both = measured(logs.from_frame(log[:-1])).arms["all"]
    assert both.survival.median.value is None and both.error_rate.value == 0


def test_log_probabilities_give_drift_only_where_p_is_told() -> None:
    rows = [("g", t, 1, -1.0, p, 1.5) for t, p in enumerate([-1.5, -0.5, "-inf", None], 1)]
    log = frame(*rows, columns="episode step correct logprob log_p entropy")
    drift = measured(logs.from_frame(log)).arms["all"].drift
    assert drift is not None
    assert (drift.kl.value, drift.kl.n) == (0, 2)
    assert (drift.impossible.value, drift.impossible.n) == (pytest.approx(1 / 3), 3)
    assert measured(logs.from_frame(log.drop(columns="log_p"))).arms["all"].drift is None


def test_our_own_run_exported_measures_to_the_same_figures() -> None:
    rng = np.random.default_rng(3)

    def episode(arm: str, seed: int) -> tuple[Trace, list[list[Score]]]:
        steps, scores = [], []
        for i in range(15):
            truths = [bool(rng.random() > 0.3) for _ in range(int(rng.integers(1, 4)))]
            tries = tuple(
                Attempt(text="x", answer=k, prompt_hash="h", verdicts=(), seconds=0.5,
                        usage=Usage(prompt_tokens=9, completion_tokens=1, calls=1))
                for k in range(len(truths))
            )  # fmt: skip
            steps.append(Step(index=i, question=Question(messages=(), prefix="?"), attempts=tries,
                              accepted=len(tries) - 1, exhausted=False))  # fmt: skip
            scores.append([Score(correct=t, on_track=bool(rng.random() > 0.2)) for t in truths])
        return Trace(task="t", arm=arm, model="m", seed=seed, steps=tuple(steps),
                     stop_reason="horizon"), scores  # fmt: skip

    own = from_traces([episode(arm, seed) for arm in ("a", "b") for seed in range(35)], ["a", "b"])
    tries = own.attempt_rows
    at = tries.step_row
    exported = pd.DataFrame({
        "episode": [f"{i:03}" for i in own.pair[at]], "arm": own.arm[at],
        "step": own.step[at], "attempt": tries.attempt, "correct": tries.correct,
        "on_track": own.on_track[at], "tokens": tries.tokens, "seconds": 0.5,
    })  # fmt: skip
    ours, theirs = measured(own), measured(logs.from_frame(exported))
    for arm in ("a", "b"):
        for figure in ("error_rate", "survival", "transitions", "growth", "models", "correction",
                       "tokens_per_step", "claim", "error_classes"):  # fmt: skip
            assert getattr(theirs.arms[arm], figure) == getattr(ours.arms[arm], figure), figure
    # Not at equal tokens: which of several rejected answers is best, a log does not say.
    for figure in ("error_rate", "tokens", "pairs_lost"):
        a, b = ours.differences["b-a"], theirs.differences["b-a"]
        assert getattr(a, figure) == getattr(b, figure), figure


def test_what_a_log_does_not_tell_is_no_zero() -> None:
    rows = [(e, t, k, (e + t + k) % 2, arm) for arm in "ab" for e in range(4) for t in (1, 2)
            for k in range(2)]  # fmt: skip
    table = logs.from_frame(frame(*rows, columns="episode step attempt correct arm"))
    found = measured(table)
    tries, [contrast] = found.arms["a"].attempts, found.differences.values()
    assert (tries.repeats.value, tries.exhausted) == (None, None)
    assert (contrast.equal_tokens.tokens, contrast.equal_tokens.reason) == (
        None, "no tokens were counted",
    )  # fmt: skip
    text = plainly(shown(found, table))
    assert "equal tokens (0" not in text
    assert "T9 cost, neither tokens nor time are told" in text


# -- what can't be read -----------------------------------------------------------------------------

BAD_ROWS: dict[str, tuple[pd.DataFrame, str]] = {
    "a column is missing": (
        frame(("g", 1, 1), columns="game step correct"),
        "no column 'episode': say which one it is, --episode NAME; it has: game, step, correct"),
    "a step twice": (frame(("g", 1, 1), ("g", 1, 0)), "'g' has step 1, attempt 0 twice; if several"),
    "a step twice in one of two arms": (
        frame((3, 1, 1, "a"), (3, 1, 1, "b"), (3, 1, 0, "b"), columns="episode step correct arm"),
        "episode '3' of arm 'b' has step 1, attempt 0 twice"),
    "a gap": (frame(("g", 1, 1), ("g", 3, 1)), "'g' has step 3 after step 1; every step must be there, or --renumber"),
    "no beginning": (frame(("g", 1, 1), ("h", 2, 1)), "'h' has step 2 after nothing"),
    "steps from 0 and from 1": (frame(("g", 0, 1), ("h", 1, 1)), "'h' has step 1 after nothing"),
    "a negative step": (frame(("g", -1, 1), ("g", 0, 1)), "'g' has step -1 after nothing"),
    "a step in words": (frame(("g", 1, 1), ("g", "two", 1)), "row 2 has step 'two', no number"),
    "half a step": (frame(("g", 1, 1), ("g", 1.5, 1)), "row 2 has step '1.5', no whole number"),
    "no step": (frame(("g", 1, 1), ("g", None, 1)), "row 2 has step 'nan', no whole number"),
    "an endless step": (frame(("g", 1, 1), ("g", float("inf"), 1)), "row 2 has step 'inf', no whole number"),
    "no episode": (frame(("g", 1, 1), (None, 1, 1)), "row 2 has no episode"),
    "an episode of spaces": (frame(("g", 1, 1), ("  ", 1, 1)), "row 2 has no episode"),
    "an episode called NA": (frame(("g", 1, 1), ("NA", 1, 1)), "row 2 has no episode"),
    "no arm": (frame(("g", 1, 1, "a"), ("g", 2, 1, None), columns="episode step correct arm"), "row 2 has no arm"),
    "a truth that is none": (frame(("g", 1, 1), ("g", 2, "maybe")), "row 2 has correct 'maybe', neither true nor false"),
    "a probability for a truth": (frame(("g", 1, 0.73)), "row 1 has correct '0.73', neither true nor false"),
    "a truth that is a list": (frame(("g", 1, [1])), "row 1 has correct '[1]', neither true nor false"),
    "tokens in words": (frame(("g", 1, 1, "many"), columns="episode step correct tokens"), "row 1 has tokens 'many', no number"),
    "negative tokens": (frame(("g", 1, 1, -4), columns="episode step correct tokens"), "row 1 has tokens '-4', no amount"),
    "endless tokens": (frame(("g", 1, 1, float("inf")), columns="episode step correct tokens"), "row 1 has tokens 'inf', no amount"),
    "tokens beyond counting": (frame(("g", 1, 1, 1e300), columns="episode step correct tokens"), "row 1 has tokens '1e+300', no amount"),
    "a missing attempt": (
        frame(("g", 1, 1, 0), ("g", 2, 1, 0), ("g", 2, 1, 2), columns="episode step correct attempt"),
        "attempt 2 of step 2 after attempt 0; every attempt must be there"),
    "an attempt that counts attempts": (
        frame(("g", 1, 1, 1), ("g", 2, 1, 3), columns="episode step correct attempt"),
        "attempt 3 of step 2 after nothing"),
    "episodes for arms": (
        frame(*[("g", 1, 1, i) for i in range(60)], columns="episode step correct arm"),
        "has 60 arms, '0', '1', ...: at most 50 can be compared"),
    "a changing stratum": (
        frame(("g", 1, 1, "early"), ("g", 2, 1, "late"), columns="episode step correct stratum"),
        "episode 'g' of stratum 'late' has step 2 after nothing"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_mean_nothing_are_refused_in_a_line(case: str, name: str, tmp_path: Path) -> None:
    log, told = BAD_ROWS[case]
    if name == "log.jsonl" and "inf" in told:
        pytest.skip("JSON has no infinity")
    if name == "log.parquet":  # which knows one type a column
        log = log.apply(lambda c: c.map(str, na_action="ignore") if c.dtype == object else c)
    WRITERS[name](log, tmp_path / name)
    with pytest.raises(UsageError) as error:
        logs.read(tmp_path / name)
    # A whole number beside a missing one is 1.0 or 1, null is None or nan.
    assert plainly(told) in plainly(str(error.value))
    assert len(str(error.value).splitlines()) == 1


def plainly(message: str) -> str:
    return re.sub(r"'(None|nan|)'", "''", message).replace(".0'", "'")


BAD_FILES: dict[str, tuple[bytes | None, str]] = {
    "empty.csv": (b"", "can't be read: No columns to parse from file"),
    "header.csv": (b"episode,step,correct\n", "has no rows"),
    "empty.jsonl": (b"", "has no rows"),
    "empty.parquet": (b"", "empty.parquet'"),
    "image.csv": (b"\x89PNG\r\n\x1a\n\xff\x00\x01", "can't be read"),
    "image.parquet": (b"\x89PNG\r\n\x1a\n", "image.parquet'"),
    "prose.jsonl": (b"Once upon a time\n", "can't be read"),
    "list.jsonl": (b'[{"episode": 1}]\n', "has no column 'episode'"),
    "cut.csv.gz": (gzip.compress(b"episode,step,correct\n" * 99)[:-12], "can't be read"),
    "not.csv.gz": (b"episode,step,correct\n1,1,1\n", "not.csv.gz'"),
    "longer.csv": (b"episode,step,correct\n1,1,1\n1,2,1,0\n", "can't be read"),
    "all-longer.csv": (b"episode,step,correct\n9,1,1,0\n9,1,2,1\n", "can't be read"),
    "semicolons.csv": (b"episode;step;correct\n1;1;1\n", "it has: episode;step;correct"),
    "log.xlsx": (b"PK", ".xlsx is not one of .csv, .tsv, .jsonl, .parquet"),
    "log": (b"episode,step,correct\n1,1,1\n", "a name without an ending is not one of"),
    "gone.csv": (None, "No such file"),
    "gone.jsonl": (None, "gone.jsonl'"),
    "gone.parquet": (None, "No such file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_log_is_one_line_and_exit_2(name: str, tmp_path: Path) -> None:
    content, told = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["measure", str(tmp_path / name)])
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        logs.read(tmp_path / "log.csv")


def test_a_misspelt_column_is_told_the_nearest(tmp_path: Path) -> None:
    played(2, 2).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(
        UsageError, match=r"unknown column of log.csv 'corect': did you mean correct"
    ):
        logs.read(tmp_path / "log.csv", {"correct": "corect"})


def test_a_gap_is_mended_by_renumbering(tmp_path: Path) -> None:
    BAD_ROWS["a gap"][0].to_csv(tmp_path / "log.csv", index=False)
    assert logs.read(tmp_path / "log.csv", renumber=True).step.tolist() == [1, 2]
    result = CliRunner().invoke(app, ["measure", str(tmp_path / "log.csv"), "--renumber"])
    assert result.exit_code == 0, result.output


# -- ugly, but a log ----------------------------------------------------------------------------------


def constant(correct: Any, arms: str = "ab", episodes: int = 40, steps: int = 3) -> pd.DataFrame:
    return frame(*[(g, t, correct, arm) for arm in arms for g in range(episodes)
                   for t in range(1, steps + 1)], columns="episode step correct arm")  # fmt: skip


def only(log: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return log.assign(**columns)


UGLY = {
    "one step": frame(("g", 1, 1)),
    "one wrong step": frame(("g", 1, 0)),
    "one episode": frame(*[("g", t, t % 3 > 0) for t in range(1, 30)]),
    "one episode of each arm": constant(0, episodes=1),
    "all right": constant(1),
    "all wrong": constant(0),
    "one arm right, one wrong": only(constant(1), correct=[1] * 120 + [0] * 120),
    "one arm": constant(1, "a").assign(correct=lambda f: f.episode % 3 > 0),
    "nothing judged": constant(None),
    "nothing judged in one arm": only(constant(1), correct=[None] * 120 + [1, 0, 1] * 40),
    "all broken": constant(1).assign(infrastructure=1),
    "arms without a pair in common": only(constant(1), episode=range(240), step=1),
    "unequal ends": frame(*[(g, t, (g + t) % 5 > 0) for g in range(40) for t in range(1, g + 2)]),
    "no tokens": constant(1).assign(tokens=0, seconds=0),
    "many tokens": constant(1).assign(tokens=9e15, seconds=1e12),
    "tokens in one arm alone": only(played(), tokens=lambda f: np.where(f.arm == "plain", 0, 9)),
    "empty cells": played().assign(tokens=NAN, seconds=NAN, logprob=NAN, log_p=NAN, entropy=NAN,
                                   key=NAN, on_track=NAN, error_class=None, infrastructure=NAN),
    "impossible by P": played().assign(logprob=-1, log_p="-inf", entropy=1),
    "endless log-probabilities": played().assign(logprob="-inf", log_p="inf", entropy="inf"),
    "every step a key": played().assign(key=1),
    "attempts none of which is judged": frame(
        *[(g, 1, k, None) for g in range(3) for k in range(3)], columns="episode step attempt correct"),
    "first attempts not judged": frame(
        *[(g, 1, k, k or None) for g in range(40) for k in range(2)],
        columns="episode step attempt correct"),
    "a stratum each": played().assign(stratum=lambda f: f.episode),
}  # fmt: skip


@pytest.mark.parametrize("case", UGLY)
def test_an_ugly_log_makes_a_report_without_nan(case: str) -> None:
    table = logs.from_frame(UGLY[case])
    told = shown(measured(table), table)
    assert all(f"T{n} " in told for n in (1, 2, 3, 4, 5, 9))
    assert not re.search(r"\b(nan|inf)\b", told, re.IGNORECASE)


def test_names_are_no_markup() -> None:
    log = played(4, 3).assign(arm=lambda f: "[red]" + f.arm, error_class="[/x]")
    table = logs.from_frame(log)
    told = shown(measured(table), table)
    assert "[red]plain" in told and "[/x]" in told


def test_a_single_episode_has_a_value_and_no_interval() -> None:
    rate = measured(logs.from_frame(UGLY["one episode"])).arms["all"].error_rate
    assert (rate.value, rate.low, rate.high) == (pytest.approx(9 / 29), None, None)


def test_nothing_but_errors_or_none_has_an_exact_bound() -> None:
    right, wrong = (
        measured(logs.from_frame(UGLY[f"all {w}"])).arms["a"] for w in ("right", "wrong")
    )
    assert (right.error_rate.value, wrong.error_rate.value) == (0, 1)
    assert 0 < right.error_rate.high < 0.05 and 0.95 < wrong.error_rate.low < 1
    assert right.transitions.r.value is None and wrong.transitions.r.value == 0


# -- pooling ------------------------------------------------------------------------------------------


def test_mixed_models_fall_when_pooled_and_rise_within_their_strata() -> None:
    """As public games of language models do: weak models err early and leave the pool."""
    rng = np.random.default_rng(5)
    rows = []
    for model, start, games in (("weak", 0.3, 300), ("middle", 0.03, 150), ("strong", 0.002, 150)):
        for game in range(games):
            for turn in range(1, 61):
                hazard = min(0.9, start * 10 ** min(1, turn / 20))
                legal = rng.random() >= hazard
                rows.append((game, turn, int(legal), model))
                if not legal:
                    break
    table = logs.from_frame(frame(*rows, columns="episode step correct stratum"))
    growth = measured(table).arms["all"].growth
    hazard = [b.hazard.value for b in growth.blocks]
    assert hazard[-1] < max(hazard[:3]) / 5
    assert growth.word == "rising"


# -- the document -------------------------------------------------------------------------------------


def test_every_column_is_documented_and_can_be_named() -> None:
    page = PAGE.read_text()
    told = CliRunner().invoke(app, ["measure", "--help"], env={"COLUMNS": "200"}).output
    for column in logs.COLUMNS:
        assert f"| `{column}` |" in page, column
        assert f"--{column.replace('_', '-')}" in told, column
    assert len(page.splitlines()) < 100


def test_the_example_of_the_document_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text()
    [table] = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    [command] = re.findall(r"^    errata (measure games\.csv .*)$", page, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("games.csv").write_text(table)
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert Path("report/summary.json").exists() and Path("report/report.html").exists()
