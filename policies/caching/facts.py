"""What two texts must share before their likeness counts: the facts that embeddings blur.

An embedding model puts "do not restart the server" beside "restart the server", and 14 March beside 15 March.
So the semantic layer compares only texts whose facts are equal, in their order: numbers and dates, negations and
opposites, names, code, directions, the language. This loses some true matches and prevents the false ones; each
guard can be switched off (``semantic_cache.guards``).
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from policies.caching.fact_words import FUNCTION_WORDS, NEGATIONS, NUMBER_WORDS, OPPOSITES, TIME_WORDS

Guard = Literal["numbers", "negation", "names", "code", "order", "language", "words"]
GUARDS: frozenset[str] = frozenset(get_args(Guard)) - {"words"}
"""Those that work unless the operator says otherwise. ``words`` (the same content words, but for their order and
endings) leaves little more than rephrased small words, and is for those who cannot bear a wrong answer."""

_LETTERS = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,:/-]\d+)*|[^\s\w]|_")
_IDENTIFIER = re.compile(r"[^\s,;!?()\[\]{}\"'«»“”]+")
_DIRECTION = re.compile(r"([^\W\d_]+) (?:to|into|than|versus|vs|over|from) ([^\W\d_]+)")
_SENTENCE_END = frozenset(".!?:\n")
_MIXED = re.compile(r"[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]|_|[A-Za-z]\.[A-Za-z]|/|\\|--|[=<>|&@#$%^~*+]")
_NEGATIVE_PREFIX = re.compile(
    r"(?:un(?!der|til|i|le)|dis(?![chkpt])|non(?!c|e$)|mis(?![st])|anti|in(?=valid|correct|active|complete|secure|vis|depend"
    r"|ability|capable|effic|suffic|accurate|consist)|im(?=possib|mutab|proper|perfect|mature)|ir(?=regul|relev|revers"
    r"|respons)|il(?=legal|logical))\w{3,}"
)
_SCRIPTS = (
    ("latin", re.compile(r"[A-Za-zÀ-ɏ]")),
    ("cyrillic", re.compile(r"[Ѐ-ӿ]")),
    ("greek", re.compile(r"[Ͱ-Ͽ]")),
    ("hebrew", re.compile(r"[֐-׿]")),
    ("arabic", re.compile(r"[؀-ۿ]")),
    ("devanagari", re.compile(r"[ऀ-ॿ]")),
    ("kana", re.compile(r"[぀-ヿ]")),
    ("hangul", re.compile(r"[가-힯]")),
    ("han", re.compile(r"[一-鿿]")),
)


def facts_of(text: str, guards: frozenset[str] = GUARDS) -> bytes:
    """The facts of ``text`` as bytes that are equal for equal facts."""
    facts: list[str] = []
    if "language" in guards:
        facts.append(f"language {language_of(text)}")
    if "code" in guards:
        facts += [f"code {span}" for span in _CODE.findall(text)]
        rest = _CODE.sub(" ", text)
        facts += [f"code {word}" for raw in _IDENTIFIER.findall(rest) if _MIXED.search(word := raw.rstrip(".:"))]
    if "order" in guards:
        pairs = _DIRECTION.findall(text.casefold())
        facts += [f"from {one} to {other}" for one, other in pairs if not {one, other} & FUNCTION_WORDS["en"]]
    if "words" in guards:
        facts += sorted({f"word {stem}" for stem in map(_stem, _LETTERS.findall(text.casefold())) if stem})
    facts += _words(_CODE.sub(" ", text), guards)
    return "\n".join(facts).encode()


def _words(text: str, guards: frozenset[str]) -> list[str]:
    facts: list[str] = []
    opens_sentence = True
    for match in _TOKEN.finditer(text):
        word = match.group()
        folded = word.casefold().replace("’", "'")
        if word[0].isdigit() or folded in NUMBER_WORDS or folded in TIME_WORDS:
            if "numbers" in guards:
                facts.append(f"number {folded}")
        elif folded in NEGATIONS or folded.endswith("n't"):
            if "negation" in guards:
                facts.append("not")
        elif folded in OPPOSITES or _NEGATIVE_PREFIX.match(folded):
            if "negation" in guards:
                facts.append(f"which {folded}")
        elif "names" in guards and _is_name(word, opens_sentence=opens_sentence):
            facts.append(f"name {word}")
        opens_sentence = word in _SENTENCE_END if not word[0].isalnum() else False
    return facts


def _stem(word: str) -> str:
    """A content word without the commonest endings; nothing for a function word."""
    if any(word in listed for listed in FUNCTION_WORDS.values()):
        return ""
    return re.sub(r"(?:ing|ed|es|s|e)$", "", word) if len(word) > 4 else word


def _is_name(word: str, *, opens_sentence: bool) -> bool:
    """A capitalised word inside a sentence, or one in capitals anywhere. ``I`` is nobody's name."""
    if word == "I" or not word[0].isupper():
        return False
    return (len(word) > 1 and word.isupper()) or not opens_sentence


def language_of(text: str) -> str:
    """The script, and for Latin letters the language whose function words occur most; ``?`` where none leads.
    A guess: it need only be the same guess for two texts of one language."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS}
    script = max(counts, key=lambda name: counts[name])
    if not counts[script]:
        return "none"
    if script != "latin":
        return script
    words = _LETTERS.findall(text.casefold())
    hits = {name: sum(word in listed for word in words) for name, listed in FUNCTION_WORDS.items()}
    ranked = sorted(hits, key=lambda name: -hits[name])
    return ranked[0] if hits[ranked[0]] > hits[ranked[1]] else "?"
