"""Logs of other programs as a step table: CSV, JSONL or Parquet, one row a step or an attempt.

Only three columns are needed: which episode, which step of it, and whether the answer is right.
The format is described in docs/measure.md.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "attempt": "0, 1, 2, ... where a row is an attempt; the last one of a step is accepted",
    "on_track": "does the run's state agree with the truth after the step; `correct` where missing",
    "key": "is the step one of the few that decide",
    "error_class": "kind of the error",
    "tokens": "spent on the row",
    "seconds": "spent on the row",
    "infrastructure": "1 where the server or a verifier failed: the row is in no rate",
    "logprob": "log Q of the answer under the model, in nats",
    "log_p": "log P of the answer under the true distribution, in nats",
    "entropy": "of the true distribution at this step, in nats",
}
"""Every column that is read, by our name for it; the first three are needed."""

NEEDED = ("episode", "step", "correct")

_YES = {"1", "1.0", "true", "yes", "right", "correct"}
_NO = {"0", "0.0", "false", "no", "wrong", "incorrect"}


def read(
    path: str | Path, columns: Mapping[str, str] | None = None, *, renumber: bool = False
) -> StepTable:
    """The step table of a file; `columns` gives the file's names for ours.

    `renumber` takes the rows of an episode, in their order, as steps 1, 2, 3, ... Raises
    `UsageError` for a file that can't be read, columns that it lacks, values that mean nothing,
    a step that comes twice or one that is missing.
    """
    path = Path(path)
    frame = _frame(path)
    named = _named(frame, columns or {}, path)
    return from_frame(named, str(path), renumber=renumber)


def from_frame(frame: pd.DataFrame, name: str = "table", *, renumber: bool = False) -> StepTable:
    """The step table of a data frame that has our column names."""
    import pandas as pd

    missing = [c for c in NEEDED if c not in frame]
    if missing:
        raise UsageError(f"{name}: no column {missing[0]!r}; it has: {', '.join(map(str, frame))}")
    if not len(frame):
        raise UsageError(f"{name} has no rows")
    for column in ("episode", "arm", "pair", "stratum"):
        if column in frame and frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0]) + 1
            raise UsageError(f"{name}: row {row} has no {column}")
    data: dict[str, Column] = {
        "arm": _text(frame, "arm", "all"), "stratum": _text(frame, "stratum", ""),
        "correct": _truth(frame, "correct", name), "error_class": _text(frame, "error_class", ""),
        "attempt": _number(frame, "attempt", name, 0).astype(int),
        "infrastructure": (_truth(frame, "infrastructure", name, 0) == 1).astype(int),
        "key": _truth(frame, "key", name), "tokens": _number(frame, "tokens", name, 0),
        "seconds": _number(frame, "seconds", name, 0),
        "logprob": _number(frame, "logprob", name, np.nan),
        "log_p": _number(frame, "log_p", name, np.nan),
        "entropy": _number(frame, "entropy", name, np.nan),
    }  # fmt: skip
    data["on_track"] = (
        _truth(frame, "on_track", name) if "on_track" in frame else data["correct"].copy()
    )
    game = pd.factorize(frame["episode"])[0]
    arm_codes, arms = pd.factorize(data["arm"])
    data["pair"] = pd.factorize(frame["pair"])[0] if "pair" in frame else game
    # One game under two arms is two episodes; under two strata as well.
    strata = pd.factorize(data["stratum"])[0]
    keys = np.stack([game, arm_codes, strata], axis=1)
    data["episode"] = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    if "pair" not in frame and len(np.unique(strata)) > 1:
        data["pair"] = np.unique(keys[:, [0, 2]], axis=0, return_inverse=True)[1].reshape(-1)
    step = np.zeros(len(frame)) if renumber else _number(frame, "step", name)
    if not renumber and (np.isnan(step).any() or (step != np.floor(step)).any()):
        row = int(np.flatnonzero(np.isnan(step) | (step != np.floor(step)))[0])
        raise UsageError(f"{name}: row {row + 1} has step {frame['step'].iloc[row]!r}, no number")
    data["step"] = step.astype(int)
    if renumber:
        data["step"] = _in_order(data["episode"], data["attempt"])
    elif data["step"].min() == 0:
        data["step"] = data["step"] + 1
    order = np.lexsort((data["attempt"], data["step"], data["episode"]))
    data = {k: v[order] for k, v in data.items()}
    _whole(data, frame["episode"].to_numpy()[order], name)
    return _table(data, [str(a) for a in arms])


def title(path: Path, table: StepTable, command: list[str]) -> Json:
    """What a report says of a file, in the form of a run directory's header."""
    return {
        "errata": version("errata-agent"),
        "command": ["errata", *command],
        "oracle_verifiers": [],
        "identity": {
            "task": {"name": path.name},
            "model": {"name": "a log"},
            "arms": {arm: {} for arm in table.arms()},
            "seeds": sorted({pair for pairs in table.episodes_of.values() for pair in pairs}),
            "horizon": int(table.step.max()),
        },
    }


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    kind = "".join(path.suffixes[-2:]).removesuffix(".gz").lower()
    kind = "." + kind.rpartition(".")[2]
    try:
        if kind in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if kind == ".tsv" else ",")
        if kind in (".jsonl", ".ndjson"):
            return pd.read_json(path, lines=True)
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except ImportError:
        raise UsageError(
            f"{str(path)!r}: reading Parquet needs pyarrow: pip install 'errata-agent[parquet]'"
        ) from None
    except OSError as error:
        raise UsageError(f"{str(path)!r}: {error.strerror or error}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise UsageError(f"{str(path)!r} can't be read: {str(error).splitlines()[0]}") from None
    raise UsageError(f"{str(path)!r}: {kind!r} is not one of .csv, .tsv, .jsonl, .parquet")


def _named(frame: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """The frame with our names, and nothing else in it."""
    for given in columns.values():
        if given not in frame:
            raise UnknownName(f"column of {path.name}", given, [str(c) for c in frame])
    # What the file calls "step" is not ours when another column was named as the step.
    kept = {ours: columns.get(ours, ours) for ours in COLUMNS if columns.get(ours, ours) in frame}
    for ours in NEEDED:
        if ours not in kept:
            raise UsageError(
                f"{str(path)!r} has no column {ours!r}: say which one it is, --{ours} NAME; "
                f"it has: {', '.join(map(str, frame))}"
            )
    return type(frame)({ours: frame[theirs] for ours, theirs in kept.items()})


def _text(frame: pd.DataFrame, column: str, default: str) -> Column:
    if column not in frame:
        return np.full(len(frame), default)
    return np.array(frame[column].fillna("").astype(str), dtype=str)


def _number(frame: pd.DataFrame, column: str, name: str, default: float | None = None) -> Column:
    import pandas as pd

    if column not in frame:
        return np.full(len(frame), np.nan if default is None else default)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
    bad = np.isnan(values) & frame[column].notna().to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UsageError(
            f"{name}: row {row + 1} has {column} {frame[column].iloc[row]!r}, no number"
        )
    if default is not None and not np.isnan(default):
        values = np.nan_to_num(values, nan=default)
    return values


def _truth(frame: pd.DataFrame, column: str, name: str, default: int = UNKNOWN) -> Column:
    if column not in frame:
        return np.full(len(frame), default)
    # By distinct value: a million rows hold few of them.
    codes, values = frame[column].factorize()
    known = []
    for value in values:
        word = str(value).strip().lower()
        if word in _YES | _NO:
            known.append(int(word in _YES))
        elif word == "":
            known.append(default)
        else:
            row = int(np.flatnonzero(codes == len(known))[0]) + 1
            raise UsageError(f"{name}: row {row} has {column} {value!r}, neither right nor wrong")
    # The last entry is for code -1, a missing value.
    out: Column = np.array([*known, default])[codes]
    return out


def _in_order(episode: Column, attempt: Column) -> Column:
    """1, 2, 3, ... over the rows of each episode; a further attempt is no new step."""
    new = (attempt == 0).astype(int)
    order = np.argsort(episode, kind="stable")
    count = np.cumsum(new[order])
    first = np.unique(episode[order], return_index=True)[1]
    base = np.zeros(len(order), int)
    base[first] = 1
    out = np.empty(len(order), int)
    out[order] = count - (count[first] - 1)[np.cumsum(base) - 1]
    return np.maximum(out, 1)


def _whole(data: Mapping[str, Column], given: Column, name: str) -> None:
    """Refuse what would give a wrong number: a step twice, or one missing."""
    episode, step, attempt = data["episode"], data["step"], data["attempt"]
    same = episode[1:] == episode[:-1]
    twice = same & (step[1:] == step[:-1]) & (attempt[1:] == attempt[:-1])
    if twice.any():
        at = int(np.flatnonzero(twice)[0]) + 1
        arm = f" of arm {data['arm'][at]!r}" if len(np.unique(data["arm"])) > 1 else ""
        raise UsageError(
            f"{name}: episode {given[at]!r}{arm} has step {step[at]}, attempt {attempt[at]} twice; "
            "if several runs share the name of an episode, give --arm or --stratum"
        )
    begins = np.append(True, ~same)
    gap = np.where(begins, step != 1, np.append(False, step[1:] - step[:-1] > 1))
    if gap.any():
        at = int(np.flatnonzero(gap)[0])
        before = "nothing" if begins[at] else f"step {step[at - 1]}"
        raise UsageError(
            f"{name}: episode {given[at]!r} has step {step[at]} after {before}; every step must "
            "be there, or --renumber takes the rows of each episode as steps 1, 2, 3, ..."
        )


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
        "exhausted": np.zeros(len(first), int), "infrastructure": data["infrastructure"][last],
        "tokens": summed("tokens"), "calls": attempts, "seconds": summed("seconds"),
    }  # fmt: skip
    pairs = {a: np.unique(rows["pair"][rows["arm"] == a]).tolist() for a in arms}
    lost = rows["infrastructure"] == 1
    failed = {a: np.unique(rows["pair"][lost & (rows["arm"] == a)]).tolist() for a in arms}
    return StepTable(
        **{c: rows[c] for c in STEP_COLUMNS},
        attempt_rows=AttemptTable(
            step_row=step_row, attempt=number, correct=data["correct"], kept=number,
            repeat=np.zeros(len(new), int), tokens=data["tokens"], logprob=data["logprob"],
            log_p=data["log_p"], entropy=data["entropy"],
        ),
        failed=failed, episodes_of=pairs,
    )  # fmt: skip
