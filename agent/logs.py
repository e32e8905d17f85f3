"""Logs of other programs as a step table: CSV, JSONL or Parquet, one row a step or an attempt.

Only three columns are needed: which episode, which step of it, and whether the answer is right.
The format is described in docs/measure.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.errors import UnknownName, UsageError
from agent.measure.table import STEP_COLUMNS, UNKNOWN, AttemptTable, StepTable
from agent.types import Json

if TYPE_CHECKING:
    import pandas as pd

Column = NDArray[Any]

COLUMNS = {
    "episode": "which episode a row belongs to: any text or number",
    "step": "its step, 1 for the first (or 0: then all are raised by one)",
    "correct": "is the answer right: 1/0, true/false; empty where nobody judged",
    "arm": "what the episode was played with; one arm where missing",
    "pair": "what two episodes of different arms have in common; the episode where missing",
    "stratum": "what episodes differ by from the outside: a model, a difficulty",
    "attempt": "0, 1, 2, ... (or from 1) where a row is an attempt; the last one is accepted",
    "on_track": "does the run's state agree with the truth after the step; `correct` where missing",
    "key": "is the step one of the few that decide",
    "error_class": "kind of the error",
    "tokens": "spent on the row",
    "seconds": "spent on the row",
    "infrastructure": "1 where the server or a verifier failed: the row is in no rate",
    "logprob": "log Q of the answer under the model, in nats",
    "log_p": "log P of the answer under the true distribution, in nats; -inf: impossible",
    "entropy": "of the true distribution at this step, in nats",
}
"""Every column that is read, by our name for it; the first three are needed."""

NEEDED = ("episode", "step", "correct")

MOST_ARMS = 50
"""Every two arms are compared; more of them are names of episodes by mistake."""

_YES = {"1", "1.0", "true", "yes", "right", "correct"}
_NO = {"0", "0.0", "false", "no", "wrong", "incorrect"}
_NAMELESS = {"", "nan", "<na>"}
# An arm may well be called "none"; a number, a truth or an episode is not.
_MISSING = _NAMELESS | {"na", "n/a", "null", "none"}
_WHOLE = 2.0**53
"""From here on floats skip whole numbers."""


def read(
    path: str | Path, columns: Mapping[str, str] | None = None, *, renumber: bool = False
) -> StepTable:
    """The step table of a file; `columns` gives the file's names for ours.

    `renumber` takes the rows of an episode, in their order, as steps 1, 2, 3, ...; no step
    column is needed then. Raises `UsageError` for a file that can't be read, columns that it
    lacks, values that mean nothing, a step that comes twice or one that is missing.
    """
    path, columns = Path(path), columns or {}
    named = _named(_frame(path, columns), columns, path, _needed(renumber))
    return from_frame(named, str(path), renumber=renumber)


def from_frame(frame: pd.DataFrame, name: str = "table", *, renumber: bool = False) -> StepTable:
    """The step table of a data frame that has our column names."""
    missing = [c for c in _needed(renumber) if c not in frame]
    if missing:
        raise UsageError(f"{name}: no column {missing[0]!r}; it has: {', '.join(map(str, frame))}")
    if not len(frame):
        raise UsageError(f"{name} has no rows")
    of = _Columns(frame, name)
    game, games = of.names("episode", _MISSING)
    arm, arms = of.names("arm", _NAMELESS, "all")
    stratum, strata = of.names("stratum", _NAMELESS, "")
    if len(arms) > MOST_ARMS:
        raise UsageError(f"{name} has {len(arms):,} arms, {arms[0]!r}, {arms[1]!r}, ...: at most "
                         f"{MOST_ARMS} can be compared; a model or a task may be a stratum")  # fmt: skip
    # One game under two arms is two episodes; under two strata as well.
    group = arm * len(strata) + stratum
    data: dict[str, Column] = {
        "arm": np.array(arms)[arm], "stratum": np.array(strata)[stratum],
        "episode": _ranks(game * (len(arms) * len(strata)) + group),
        "attempt": of.whole("attempt", 0), "infrastructure": of.truth("infrastructure", 0),
        "key": of.truth("key"), "tokens": of.amount("tokens"), "seconds": of.amount("seconds"),
        "logprob": of.number("logprob"), "log_p": of.number("log_p"),
    }  # fmt: skip
    if "pair" in frame:
        data["pair"] = of.names("pair", _MISSING)[0]
    elif len(np.unique(group)) > len(arms):
        data["pair"] = _ranks(game * len(strata) + stratum)
    else:
        data["pair"] = game
    # A server that failed has not answered wrongly, whatever the log says.
    data["correct"] = np.where(data["infrastructure"] == 1, UNKNOWN, of.truth("correct"))
    on_track = of.truth("on_track")
    data["on_track"] = np.where(on_track == UNKNOWN, data["correct"], on_track)
    kind, kinds = of.names("error_class", default="")
    data["error_class"] = np.where(data["correct"] == 0, np.array(kinds, dtype=object)[kind], "")
    # P is not told there; -inf is what says that P does not allow the answer.
    data["entropy"] = np.where(np.isnan(data["log_p"]), np.nan, of.number("entropy"))
    in_order = _in_order(data["episode"], data["attempt"])
    data["step"] = in_order if renumber else of.whole("step")
    order = np.lexsort((data["attempt"], data["step"], data["episode"]))
    data = {k: v[order] for k, v in data.items()}
    _whole(data, np.array(games, dtype=object)[game[order]], name)
    data["step"] += int(data["step"].min() == 0)
    data["attempt"] -= int(data["attempt"].min() == 1)
    return _table(data, arms)


def title(path: Path, table: StepTable, command: list[str]) -> Json:
    """What a report says of a file, in the form of a run directory's header."""
    return {
        "errata": version("errata-agent"),
        "command": ["errata", *command],
        "oracle_verifiers": [],
        "identity": {
            "task": {"name": path.name},
            "model": {"name": ""},
            "arms": {arm: {} for arm in table.arms()},
            "seeds": sorted({pair for pairs in table.episodes_of.values() for pair in pairs}),
            "horizon": int(table.step.max()),
        },
    }


def _needed(renumber: bool) -> list[str]:
    return [c for c in NEEDED if not (renumber and c == "step")]


def _frame(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = plain.suffix.lower()
    try:
        path.stat()  # pandas takes a JSON path that is not there for the JSON itself
        if kind in (".csv", ".tsv"):
            # Names stay text: 007 is not 7, and an arm may be called None. A row longer than the
            # header would shift or lose values.
            text = {columns.get(c, c): str for c in ("episode", "pair", "arm", "stratum")}
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                return pd.read_csv(
                    path, sep="\t" if kind == ".tsv" else ",", dtype=text, index_col=False,
                    keep_default_na=False, na_values=[""], skipinitialspace=True, low_memory=False,
                )  # fmt: skip
        if kind in (".jsonl", ".ndjson"):
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except ImportError:
        raise UsageError(
            f"{str(path)!r}: reading Parquet needs pyarrow: pip install 'errata-agent[parquet]'"
        ) from None
    except OSError as error:
        raise UsageError(f"{str(path)!r}: {error.strerror or _line(error)}") from None
    except Exception as error:  # what the readers of four formats raise has no common base
        raise UsageError(f"{str(path)!r} can't be read: {_line(error)}") from None
    kinds = ".csv, .tsv, .jsonl, .parquet"
    raise UsageError(f"{str(path)!r}: {kind or 'a name without an ending'} is not one of {kinds}")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _named(
    frame: pd.DataFrame, columns: Mapping[str, str], path: Path, needed: list[str]
) -> pd.DataFrame:
    """The frame with our names, and nothing else in it."""
    if not len(frame):
        raise UsageError(f"{str(path)!r} has no rows")
    for given in columns.values():
        if given not in frame:
            raise UnknownName(f"column of {path.name}", given, [str(c) for c in frame])
    # What the file calls "step" is not ours when another column was named as the step.
    kept = {ours: columns.get(ours, ours) for ours in COLUMNS if columns.get(ours, ours) in frame}
    for ours in needed:
        if ours not in kept:
            raise UsageError(
                f"{str(path)!r} has no column {ours!r}: say which one it is, --{ours} NAME; "
                f"it has: {', '.join(map(str, frame))}"
            )
    return type(frame)({ours: frame[theirs] for ours, theirs in kept.items()})


class _Columns:
    """The columns of a frame as numbers, names and truths; a bad value is told with its row."""

    def __init__(self, frame: pd.DataFrame, name: str) -> None:
        self._frame = frame
        self._name = name

    def names(
        self, column: str, refused: set[str] | None = None, default: str | None = None
    ) -> tuple[Column, list[str]]:
        """(number of the name, names in order); rows may be in any order, so arms sort too."""
        if column not in self._frame and default is not None:
            return np.zeros(len(self._frame), int), [default]
        codes, words = self._words(column)
        nameless = [i for i, w in enumerate(words) if w.lower() in (refused or ())]
        bad = np.isin(codes, [-1, *nameless])
        if refused is None:
            return np.where(codes < 0, len(words), codes), [*words, default or ""]
        if bad.any():
            raise UsageError(f"{self._name}: row {_first(bad)} has no {column}")
        return codes, words

    def truth(self, column: str, default: int = UNKNOWN) -> Column:
        """1, 0, or the default where nothing is said."""
        if column not in self._frame:
            return np.full(len(self._frame), default)
        codes, words = self._words(column)
        low = [w.lower() for w in words]
        known = [int(w in _YES) if w in _YES | _NO else default for w in low]
        for i, word in enumerate(low):
            if word not in _YES | _NO | _MISSING:
                raise self._bad(
                    column, codes == i, "neither true nor false (1/0, yes/no, right/wrong)"
                )
        # The last entry is for code -1, a missing value.
        result: Column = np.array([*known, default])[codes]
        return result

    def number(self, column: str) -> Column:
        """As floats, NaN where nothing is said."""
        import pandas as pd

        if column not in self._frame:
            return np.full(len(self._frame), np.nan)
        given = _plain(self._frame[column])
        values: Column = pd.to_numeric(given, errors="coerce").to_numpy(float, na_value=np.nan)
        unread = np.isnan(values)
        unread[unread] = ~given[unread].map(lambda x: str(x).strip().lower() in _MISSING)
        if unread.any():
            raise self._bad(column, unread, "no number")
        return values

    def whole(self, column: str, default: int | None = None) -> Column:
        """As integers."""
        if column not in self._frame and default is not None:
            return np.full(len(self._frame), default)
        values = self.number(column)
        if default is not None:
            values = np.where(np.isnan(values), default, values)
        bad = ~(np.abs(values) < _WHOLE) | (values != np.floor(values))
        if bad.any():
            raise self._bad(column, bad, "no whole number")
        return values.astype(int)

    def amount(self, column: str) -> Column:
        """As floats from 0 on; 0 where nothing is said."""
        values = np.nan_to_num(self.number(column), nan=0.0, posinf=np.inf, neginf=-np.inf)
        bad = (values < 0) | (values >= _WHOLE)
        if bad.any():
            raise self._bad(column, bad, "no amount that can be spent")
        return values

    def _words(self, column: str) -> tuple[Column, list[str]]:
        """By distinct value, since a million rows hold few of them; -1 is a missing one."""
        import pandas as pd

        codes, values = pd.factorize(_plain(self._frame[column]))
        text = np.array([str(v).strip() for v in values], dtype=object)
        place, words = pd.factorize(text, sort=True)
        return np.append(place, -1)[codes], words.tolist()

    def _bad(self, column: str, bad: Column, what: str) -> UsageError:
        value = str(self._frame[column].iloc[_first(bad) - 1])
        value = value if len(value) <= 60 else value[:57] + "..."
        return UsageError(f"{self._name}: row {_first(bad)} has {column} {value!r}, {what}")


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """Objects as text: some, like lists, can't be told apart otherwise."""
    return values.map(str, na_action="ignore") if values.dtype == object else values


def _first(mask: Column) -> int:
    """Number of the first row, 1 for the one below the header."""
    return int(np.flatnonzero(mask)[0]) + 1


def _ranks(values: Column) -> Column:
    result: Column = np.unique(values, return_inverse=True)[1]
    return result


def _in_order(episode: Column, attempt: Column) -> Column:
    """1, 2, 3, ... over the rows of each episode; a further attempt is no new step."""
    order = np.argsort(episode, kind="stable")
    mine, tries = episode[order], attempt[order]
    begins = np.append(True, mine[1:] != mine[:-1])
    count = np.cumsum(begins | np.append(True, tries[1:] <= tries[:-1]))
    step = np.empty_like(count)
    step[order] = count - count[begins][np.cumsum(begins) - 1] + 1
    return step


def _whole(data: Mapping[str, Column], given: Column, name: str) -> None:
    """Refuse what would give a wrong number: a row that comes twice, or one missing."""
    episode, step, attempt = data["episode"], data["step"], data["attempt"]

    def refuse(bad: Column, what: Callable[[int], str], hint: str) -> None:
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            of = [f" of {c} {str(data[c][at])!r}" for c in ("arm", "stratum")
                  if (data[c] != data[c][at]).any()]  # fmt: skip
            raise UsageError(f"{name}: episode {given[at]!r}{''.join(of)} has {what(at)}; {hint}")

    begins = np.append(True, episode[1:] != episode[:-1])
    # Both may be numbered from 0 or from 1, everywhere alike.
    behind = np.where(begins, 0 - int(step.min() == 0), np.append(0, step[:-1]))
    again = ~begins & (step == behind)
    before = np.where(again, np.append(0, attempt[:-1]), int(attempt.min() == 1) - 1)
    refuse(
        again & (attempt == before), lambda i: f"step {step[i]}, attempt {attempt[i]} twice",
        "if several runs share the name of an episode, give --arm or --stratum",
    )  # fmt: skip
    refuse(
        ~again & (step != behind + 1),
        lambda i: f"step {step[i]} after {'nothing' if begins[i] else f'step {behind[i]}'}",
        "every step must be there, or --renumber takes the rows of each episode as steps 1, 2, 3, ...",
    )  # fmt: skip
    refuse(
        attempt != before + 1,
        lambda i: f"attempt {attempt[i]} of step {step[i]} after "
        f"{f'attempt {before[i]}' if again[i] else 'nothing'}",
        "every attempt must be there",
    )  # fmt: skip


def _table(data: Mapping[str, Column], arms: list[str]) -> StepTable:
    """Rows in order of episode, step and attempt; the last attempt of a step is accepted."""
    episode, step = data["episode"], data["step"]
    new = np.append(True, (episode[1:] != episode[:-1]) | (step[1:] != step[:-1]))
    step_row = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(new)) - 1
    attempts = last - first + 1
    number = np.arange(len(new)) - first[step_row]

    def summed(column: str) -> Column:
        return np.bincount(step_row, weights=data[column], minlength=len(first))

    rows = {
        **{c: data[c][last] for c in ("episode", "pair", "arm", "stratum", "step", "key",
                                      "correct", "on_track", "error_class")},
        "prompt": np.full(len(first), ""), "first_correct": data["correct"][first], "attempts": attempts,
        "exhausted": np.full(len(first), UNKNOWN), "infrastructure": data["infrastructure"][last],
        "tokens": summed("tokens"), "calls": attempts, "seconds": summed("seconds"),
    }  # fmt: skip

    def of_episodes(chosen: Column) -> dict[str, list[int]]:
        """Pairs by arm, one for each episode that has a chosen step."""
        at = np.flatnonzero(chosen)
        at = at[np.unique(rows["episode"][at], return_index=True)[1]]
        return {a: rows["pair"][at][rows["arm"][at] == a].tolist() for a in arms}

    return StepTable(
        **{c: rows[c] for c in STEP_COLUMNS},
        attempt_rows=AttemptTable(
            step_row=step_row, attempt=number, correct=data["correct"], kept=number,
            repeat=np.full(len(new), UNKNOWN), tokens=data["tokens"], logprob=data["logprob"],
            log_p=data["log_p"], entropy=data["entropy"],
        ),
        failed=of_episodes(rows["infrastructure"] == 1),
        episodes_of=of_episodes(np.ones(len(first), bool)),
    )  # fmt: skip
