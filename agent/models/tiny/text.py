"""Plain text <-> token ids of the skills file: characters, and some words as single tokens.

Digits stand alone or with the space before them, so that numbers are read digit by digit, but
for the discs of a tower: there ` 17` is the name of a thing. A lone letter takes the space before
it along (` A`, a square of a board drawn in text).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from string import ascii_letters

PAD, UNK = "<pad>", "<unk>"

#: Words that are one token together with the space before them. A change here makes the shipped
#: weights useless.
WORDS = """
above but absolute add again all an and another answer any are arithmetic ascending at attacked be
been before below besides between bishop black blocked board by can can't cannot capture captures
castle castles castling chain characters check chess count default descending diagonally digits
disc distinct divide divided does down drawn each eight element elements else empty error even
every file five followed following followed first for four from game give go got greater had has
have how if impossible in index into is it its itself keep king kingside knight land largest last
leave leaves left length less lie line list listed longest lower makes match maximum mean minimum
minus modulo more move moves multiple multiples multiply must negate negative never next no none
not number numbers occurs odd of ok on one only onto operation or order other out own pass path
pawn peg piece pieces place plus position promote put queen queenside raises rank reach reached
remainder remove repeat replace result return reverse right rook rounded rounding same say seven
sequence shortest should side six skip smallest smaller solution sort sorted space spaces square
squares stand stands start starting starts state step still string sum take test text than that the
them then there this three through times to top total try turn twice two unique upper value values
vowels want was way when where whether which white with without word words would wrong xs you zero
len max min str int set True False None reverse=True abs Return With Try That The
"""

#: Words that are one token without a space: at the start of a line or after a mark.
BARE = """
After Black Rank What Where White abs all any black capitalize count dict def default else empty
endswith find for hanoi in int join key len lower max min move
proofread replace return reverse set sorted split startswith str strip sum title upper verdict white
xs step Return With from The The chain impossible sequence what
That arithmetic board chess error answer True False None ValueError TypeError IndexError NameError
ZeroDivisionError
"""

#: Keys of the running sum, without the space: the same token wherever they stand.
NOUNS = """
amber anchor apple arrow autumn basket beach berry bottle branch bread bridge bronze
butter button cactus candle canyon carbon castle cedar cherry circle clover cloud
copper coral cotton crystal desert dragon eagle earth ember engine falcon feather fern
field flame flower forest fossil garden ginger glacier grape gravel hammer harbor hazel
honey island ivory jacket jasmine jungle kettle ladder lantern lemon lily marble
meadow melon mirror mountain nickel oak ocean olive orchid otter paper pebble pepper
pine planet plum pocket prairie quartz rabbit rain raven ribbon river rocket rose
saddle salmon sand shadow silver snow spider spring stone sugar summer thunder tiger
tulip turtle valley velvet violet walnut water willow window winter wolf
"""

MARKS = ["    ", " (0.", "),", ", ", " ->", " -", " =", " ==", " !=", " >", " <", " >=",
         " <=", " *", " +", " //", " /", " %", " **", " #", " [", " (", "):\n", "()", "[:", "[::",
         "[-", ":]", "# ", "==", '("', '")', '"', "aeiou", "[x", "(x", "\nA:", "\nB:", "\nC:"]  # fmt: skip


SQUARES = [f + r for f in "abcdefgh" for r in "12345678"]
# Not in the board of a FEN, where b5 is a bishop and five empty squares.
_SQUARE = r"(?<=[KQRBN])[a-h][1-8](?=[-x])|(?<![A-Za-wyz0-9/])[a-h][1-8](?![A-Za-wyz0-9/])"

#: Two-digit names, which stand after a peg, another disc or a colon, and before a space or the end.
DISCS = [f" {n}" for n in range(10, 21)]
_DISC = r"(?<=[ABC:\d]) (?:1\d|20)(?=[ \n])"


def _vocabulary() -> list[str]:
    names = [PAD, UNK, "\n", *map(chr, range(32, 127))]
    names += [f" {c}" for c in "0123456789.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    names += DISCS + SQUARES
    names += [f" {w}" for w in dict.fromkeys(WORDS.split())]
    names += BARE.split() + NOUNS.split() + MARKS
    names = list(dict.fromkeys(names))
    return names + [f"<spare{i}>" for i in range(-len(names) % 64)]


VOCABULARY = _vocabulary()
ID = {name: i for i, name in enumerate(VOCABULARY)}
_LONE = r" [A-Za-z](?![A-Za-z1-8])"
# A word takes its space along, so a comma before one does not.
_COMMA = ", (?![A-Za-z])"
_ELSEWHERE = {PAD, UNK, ", ", *DISCS, *SQUARES, *(f" {c}" for c in ascii_letters)}
_PLAIN = sorted(
    (n for n in VOCABULARY if len(n) > 1 and n not in _ELSEWHERE), key=len, reverse=True
)
_SCAN = re.compile(
    "|".join(
        [
            _DISC,
            _SQUARE,
            _COMMA,
            # A word ends where letters end: "island" is not " is" and "land".
            *(re.escape(n) + (r"(?![A-Za-z])" if n[-1].isalpha() else "") for n in _PLAIN),
            _LONE,
            r"[\x00-\U0010ffff]",
        ]
    )
)


def encode(text: str) -> list[int]:
    """Token ids of `text`; never fails: a character it doesn't know becomes `<unk>`."""
    unknown = ID[UNK]
    return [ID.get(t, unknown) for t in _SCAN.findall(text)]


def decode(ids: Sequence[int]) -> str:
    """The text of these tokens."""
    return "".join(VOCABULARY[i] for i in ids)


def fingerprint() -> str:
    """Of the vocabulary: weights made for another one must not be loaded."""
    return hashlib.sha256("\0".join(VOCABULARY).encode()).hexdigest()[:16]
