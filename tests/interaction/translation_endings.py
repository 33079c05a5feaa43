"""How an answer ends, what it costs, what a vendor's errors become, and what not every vendor can be asked for: the
features beside ``translation_features``."""

from __future__ import annotations

from typing import Any

from tests.interaction.translation_cell import HELLO, STOPS, Cell, Feature, hi, into
from tests.interaction.translation_features import FEATURES as SAID
from tests.support.conversations import Answer, Failure, Refused, Tokens

FEATURES: dict[str, Feature] = dict(SAID)
"""All of them."""
feature = into(FEATURES)


@feature("stopped by the bound of tokens")
async def length(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.ask(hi(), Answer("Once upon", stop="length"), stream=stream)
        assert (said.text, said.stop) == ("Once upon", STOPS[cell.surface]["length"])


@feature("stopped by a stop sequence")
async def stop_sequence(cell: Cell) -> None:
    answer = Answer("One, two", stop="stop_sequence", stop_sequence="ENOUGH")
    # These two do not tell a stop sequence from any other end.
    silent = cell.surface == "messages" and cell.target in ("openai", "gemini")
    for stream in (False, True):
        said = await cell.ask(hi(stop=("ENOUGH",)), answer, stream=stream)
        assert cell.told.heard.stop == ["ENOUGH"]
        assert (said.text, said.stop) == (answer.text, STOPS[cell.surface]["end" if silent else "sequence"])


@feature("stopped by a refusal")
async def refusal(cell: Cell) -> None:
    wanted = STOPS[cell.surface]["refusal"]
    if cell.own:
        wanted = {"chat": "stop", "responses": "refusal"}.get(cell.surface, wanted)
    for stream in (False, True):
        said = await cell.ask(hi(), Answer("I cannot help with that.", stop="refusal"), stream=stream)
        assert (said.text, said.stop) == ("I cannot help with that.", wanted)


@feature("usage with cached and reasoning tokens, the client's as the ledger's")
async def usage(cell: Cell) -> None:
    """Bedrock counts thoughts as output and does not say how many."""
    reasoning = 0 if cell.target == "bedrock" else 10
    tokens = Tokens(input=100, cached=40, output=30, reasoning=reasoning)
    cell.gate.mark()
    for stream in (False, True):
        said = await cell.ask(hi(), Answer("Counted.", tokens=tokens), stream=stream)
        assert said.usage == tokens
    rows = await cell.gate.rows()
    names = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "basis")
    assert [tuple(row[name] for name in names) for row in rows] == [(100, 40, 30, reasoning, "measured")] * 2


async def _refusal(cell: Cell, failure: Failure, *, stream: bool) -> Refused:
    try:
        await cell.ask(hi(), failure, stream=stream)
    except Refused as refused:
        return refused
    raise AssertionError("no error")


@feature("the vendor's errors: 400, 429, 500, overloaded")
async def errors(cell: Cell) -> None:
    overloaded = 529 if cell.target == "anthropic" else 503
    for status in (400, 429, 500, overloaded):
        for stream in (False, True):
            told = await _refusal(cell, Failure(status, f"The vendor's words for {status}."), stream=stream)
            assert told.status == status
            assert f"The vendor's words for {status}." in told.message


TOO_LONG = {
    "openai": "This model's maximum context length is 128000 tokens, but you asked for 130000.",
    "openai responses": "Your input exceeds the context window of this model. Please adjust your input.",
    "anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
    "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "bedrock": "Input is too long for requested model.",
}
"""What vendors say of it."""


@feature("a prompt that is too long, in words at which agents shorten it")
async def context(cell: Cell) -> None:
    words = TOO_LONG[cell.target]
    for stream in (False, True):
        told = await _refusal(cell, Failure(400, words, context=True), stream=stream)
        assert told.status == 400
        assert words in told.message
        if not cell.own:
            assert told.message.startswith("prompt is too long")
            assert told.code == "context_length_exceeded"


async def _setting(cell: Cell, name: str, value: Any) -> None:
    """Told, or left out and named."""
    said = await cell.ask(hi(**{name: value}), HELLO)
    assert said.text == HELLO.text
    assert (name in cell.told.heard.settings) is not bool(cell.lost)
    assert cell.lost or cell.told.heard.settings[name] == value


@feature("`top_k`")
async def top_k(cell: Cell) -> None:
    await _setting(cell, "top_k", 5)


@feature("`seed`")
async def seed(cell: Cell) -> None:
    await _setting(cell, "seed", 7)


@feature("log probabilities")
async def logprobs(cell: Cell) -> None:
    await _setting(cell, "logprobs", True)
