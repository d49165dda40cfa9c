"""English tokens as spaCy's rules define them, which datatrove counts as words: classes of characters, special cases.

A token is found by splitting at white space, then cutting prefixes and suffixes (punctuation, units, 's) off each
piece, then splitting what is left at infixes (hyphens, dots between sentences). Contractions, abbreviations and
emoticons are special cases. Punctuation marks are tokens. Our own definition of a word is `pipeline.text.words`; this
one exists so that published filters can be reproduced (`reading: datatrove`). `pipeline.kernels.tokens` applies it.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.text.unicode import CODE_POINTS, KIND, LETTER, MARK, UNIT, UPPER, tables

# flags of a code point
PREFIX = 1  # is cut off the beginning of a piece
SUFFIX = 2  # is cut off its end
ALPHA, LOWER, CAPITAL = 4, 8, 16  # letters; those of scripts without case are of all three classes
QUOTE = 32
BEFORE_STOP = 64  # a full stop after it is cut off
ICON = 128  # symbols, among them emoji
WHITE = 256
HAS_LETTER = 512  # a letter of any script
SYMBOL = 1024  # a token of such characters alone is no word to datatrove's length rules
CURRENCY = 2048
PUNCTUATION = 4096
SENTENCE = 8192  # ends a sentence
TERMINAL = 16384  # ends a line properly (FineWeb)
INFIX = 32768  # may separate tokens within a piece

Flags = npt.NDArray[np.uint16]
PRIME = 0x9E3779B97F4A7C15 | 1  # of the polynomial hash of a token
MOST_POINTS = 12  # the longest special case; also the longest sequence of tokens that is looked up as one
SLOT_BITS = 13
SLOTS = 1 << SLOT_BITS  # mostly empty, so that a word that is no special case is found to be none at once
MIXER = 0xC4CEB9FE1A85EC53  # spreads hashes over the slots
STOP_SLOT_BITS = 8  # no two stop words share a slot
LONGEST_WORD = 16  # letters; a longer word is hashed letter by letter

MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
MONEY = "$£€¥฿₽﷼₴" + "".join(map(chr, range(0x20A0, 0x20C0)))
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa "
    "mbar mb MB kb KB gb GB tb TB T G M K %"
).split()
# datatrove's marks (utils/text.py): those of its list, and control characters
SYMBOLS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
CONTROLS = (range(9), range(11, 31), range(127, 160))
# Unicode's Sentence_Terminal, as in spaCy's sentencizer; `LINE_ENDS` are the others in datatrove's terminal marks
SENTENCE_ENDS = (
    "!.?։؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？𐩖𐩗𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟"
    "𑈸𑈹𑈻𑈼𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑩂𑩃𑪛𑪜𑱁𑱂𖩮𖩯𖫵𖬷𖬸𖭄𛲟𝪈｡。"
)
LINE_ENDS = "".join(
    map(chr, (0x61D, 0x61E, 0x837, 0x839, 0x83D, 0x83E, 0x17D4, 0x17D5, 0x17D6, 0x17D9, 0x17DA, 0x1B7D, 0x1B7E, 0x2E53,
              0x2E54, *range(0x10F55, 0x10F5A), *range(0x10F86, 0x10F8A), 0x11944, 0x11946, 0x11EF7, 0x11EF8, 0x11F43,
              0x11F44, 0x16E98))
)  # fmt: skip

# contractions: a word, and what may follow it with and without an apostrophe
PRONOUNS = {
    "i": "m ma ll ll've d d've ve", "you": "ll ll've d d've ve re", "we": "ll ll've d d've ve re",
    "they": "ll ll've d d've ve re", "he": "ll ll've d d've s", "she": "ll ll've d d've s", "it": "ll ll've d d've s",
    "that": "s ll ll've d d've", "this": "s ll ll've d d've", "these": "ll ll've re ve d d've",
    "those": "ll ll've re ve d d've",
    **dict.fromkeys("who what when where why how there".split(), "s ll ll've re ve d d've"),
}  # fmt: skip
NEGATED = "could do does did had may might must need ought sha should wo would ca".split()
NEGATED_ALONE = "ai are is was were have has dare".split()
PERFECT = "could might must should would".split()
WORDS = "ill its hell shell shed were well whore".split()  # look like contractions, are words
SPLIT = {
    "y'all": "y'|all", "yall": "y|all", "how'd'y": "how|'d|'y", "not've": "not|'ve", "notve": "not|ve",
    "cannot": "can|not", "gonna": "gon|na", "gotta": "got|ta", "let's": "let|'s", "c'mon": "c'm|on",
}  # fmt: skip
CLIPPED = "doin goin nothin nuthin ol somethin lovin havin".split()
WHOLE = (
    "em 'em ll 'll nuff 'nuff 'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am "
    "Ma'am o'clock O'clock Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. "
    "Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. "
    "Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. 'd a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. "
    "E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. "
    "St. vs. v.s. ' '' \\\") <space> C++ \\t \\n — ä. ö. ü."
).split()
EMOTICONS = (
    ":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( "
    ":-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 "
    ":() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< "
    "._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 "
    "(^_^) (-_-) (._.) (>_<) (*_*) (¬_¬)"
).split()


class TokenTables(NamedTuple):
    """Arrays as kernels take them. `keys`: hashes of special cases, 0 in an empty slot; `splits`: the lengths of their
    tokens, four bits each, the first lowest; `first`: where a look-up begins, 2 for a contraction of letters alone, 1
    for another case, 0 for none; `units`: hashes of units; `stop_words`: hashes of Gopher's eight, each in
    its slot, and `stop_bits`: a bit for each of them, 0 in an empty slot; `powers[k]`: the factor of the hash to the
    power of k."""

    flags: Flags
    first: npt.NDArray[np.uint8]
    keys: npt.NDArray[np.uint64]
    splits: npt.NDArray[np.int64]
    units: npt.NDArray[np.uint64]
    stop_words: npt.NDArray[np.uint64]
    stop_bits: npt.NDArray[np.uint8]
    powers: npt.NDArray[np.uint64]


def token_hash(text: str) -> int:
    """The hash of a token: a polynomial over its code points modulo 2^64."""
    value = 0
    for character in text:
        value = (value * PRIME + ord(character)) & (1 << 64) - 1
    return value


def special_cases() -> dict[str, list[int]]:
    """Every special case, and the lengths of the tokens that it becomes."""
    cases: dict[str, str] = {}
    for word, endings in PRONOUNS.items():
        for ending in endings.split():
            parts = _parts(ending)
            cases[word + "'" + ending] = "|".join([word, *("'" + part if part != "a" else part for part in parts)])
            cases[word + ending.replace("'", "")] = "|".join([word, *parts])
    for verb in (*NEGATED, *NEGATED_ALONE):
        cases[verb + "n't"], cases[verb + "nt"] = f"{verb}|n't", f"{verb}|nt"
    for verb in NEGATED:
        cases[verb + "n't've"], cases[verb + "ntve"] = f"{verb}|n't|'ve", f"{verb}|nt|ve"
    for verb in PERFECT:
        cases[verb + "'ve"], cases[verb + "ve"] = f"{verb}|'ve", f"{verb}|ve"
    cases |= SPLIT
    cases |= {word + apostrophe: word + apostrophe for word in CLIPPED for apostrophe in ("", "'")}
    titled = {text[0].upper() + text[1:]: parts[0].upper() + parts[1:] for text, parts in cases.items()}
    del titled["Y'all"], titled["Yall"]
    cases |= titled
    for word in WORDS:
        cases.pop(word, None)
        cases.pop(word.title(), None)
    cases |= {f"{hour}{half}": f"{hour}|{half}" for hour in range(1, 13) for half in ("a.m.", "am", "p.m.", "pm")}
    cases |= {f"°{scale}.": f"°|{scale}|." for scale in "cfkCFK"}
    cases |= {f"{letter}.": f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyz"}
    lengths = {text: [len(part) for part in parts.split("|")] for text, parts in cases.items()}
    lengths |= {text: [len(text)] for text in (*WHOLE, *EMOTICONS)}
    return lengths | {text.replace("'", "’"): parts for text, parts in lengths.items() if "'" in text}


def _parts(ending: str) -> list[str]:
    return ["m", "a"] if ending == "ma" else ending.split("'")


@cache
def token_tables() -> TokenTables:
    """Built once in a process, in about 50 ms."""
    keys, splits, first = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.int64), np.zeros(SLOTS, np.uint8)
    for text, lengths in special_cases().items():
        if len(text) > MOST_POINTS:
            continue
        slot = (token_hash(text) * MIXER & (1 << 64) - 1) >> 64 - SLOT_BITS
        first[slot] = max(first[slot], 2 if len(lengths) > 1 and text.isalpha() and text.isascii() else 1)
        while keys[slot]:
            slot = (slot + 1) % SLOTS
        keys[slot] = token_hash(text)
        splits[slot] = sum(length << 4 * place for place, length in enumerate(lengths))
    from pipeline.text.words import FUNCTION_WORDS

    units = np.sort(np.array([token_hash(unit) for unit in UNITS], np.uint64))
    stop_words, stop_bits = np.zeros(1 << STOP_SLOT_BITS, np.uint64), np.zeros(1 << STOP_SLOT_BITS, np.uint8)
    for number, word in enumerate(FUNCTION_WORDS["en"]):
        slot = (token_hash(word) * MIXER & (1 << 64) - 1) >> 64 - STOP_SLOT_BITS
        assert not stop_words[slot], "another mixer is needed: no two stop words may share a slot"
        stop_words[slot], stop_bits[slot] = token_hash(word), 1 << number
    powers = np.array([pow(PRIME, exponent, 1 << 64) for exponent in range(LONGEST_WORD + 1)], np.uint64)
    return TokenTables(_flags(), first, keys, splits, units, stop_words, stop_bits, powers)


def _flags() -> Flags:
    """The flags of all code points. Categories are those of Unicode 3.2, which every Python has, so that results do not
    depend on its version; letters are those of our tables."""
    flags = np.zeros(CODE_POINTS, np.uint16)
    classes = tables().classes
    kind = classes & KIND
    flags[((kind == LETTER) | (kind == UNIT)) & (classes & MARK == 0)] |= HAS_LETTER | ALPHA
    flags[(kind == UNIT) & (classes & MARK == 0)] |= LOWER | CAPITAL
    capital = (kind == LETTER) & (classes & UPPER > 0) & (classes & MARK == 0)
    flags[capital] |= CAPITAL
    flags[(kind == LETTER) & (classes & (UPPER | MARK) == 0)] |= LOWER
    flags[0x3000:0x3040] |= ALPHA | LOWER | CAPITAL
    flags[0x1F000:0x1F3FB] |= ICON
    flags[0x1F400:0x1FB00] |= ICON
    for point in range(0x10000):
        category = unicodedata.ucd_3_2_0.category(chr(point))
        flags[point] |= ICON * (category == "So" and point not in (0xA7, 0xB6)) | PUNCTUATION * (category[0] == "P")
    _add(flags, MARKS, PREFIX | SUFFIX | BEFORE_STOP)
    _add(flags, QUOTES, PREFIX | SUFFIX | QUOTE | BEFORE_STOP)
    _add(flags, MONEY, PREFIX | CURRENCY)
    _add(flags, "§%=—–", PREFIX)
    _add(flags, "—–", SUFFIX)
    _add(flags, "%²-+|?:0123456789", BEFORE_STOP)
    flags[flags & LOWER > 0] |= BEFORE_STOP
    flags[flags & ICON > 0] |= PREFIX | SUFFIX
    _add(flags, SYMBOLS + "".join(chr(point) for points in CONTROLS for point in points), SYMBOL)
    _add(flags, "….,:<=>/+-*^–—~", INFIX)
    flags[flags & ICON > 0] |= INFIX
    _add(flags, SENTENCE_ENDS, SENTENCE | TERMINAL)
    _add(flags, LINE_ENDS, TERMINAL)
    spaces = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    _add(flags, spaces + "".join(map(chr, range(0x2000, 0x200B))), WHITE)
    flags.flags.writeable = False
    return flags


def _add(flags: Flags, characters: str, added: int) -> None:
    flags[[ord(character) for character in characters]] |= added
