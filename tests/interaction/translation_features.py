"""What must work between a client of any dialect and a vendor of any other: one function a feature, run in every cell
by ``test_translation_matrix.py``; the tables in docs/providers.md are made of the same list. Here: what is said. How it
ends, what it costs and what is refused: ``translation_endings``.

A function proves the feature in one cell. What a cell refuses, leaves out, or has no word for is not its business: the
test compares that with ``tests.support.translation_table``.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.interaction.translation_cell import HELLO, STOPS, Cell, Feature, hi, into
from tests.support.conversations import (
    PDF,
    PNG,
    SCHEMAS,
    SHAPE,
    Answer,
    Ask,
    Call,
    Media,
    Result,
    Results,
    Said,
    Thought,
    User,
)

FEATURES: dict[str, Feature] = {}
feature = into(FEATURES)

ZURICH = Call("look_up", {"city": "Zürich", "days": 2})
SUM = Call("add", {"a": 1.5, "b": -2})
BOTH = ("look_up", "add")
SUNNY = 'Sunny, "18 °C"'
SEAL = "RXJEU2lnbmVkQnlUaGVWZW5kb3IvK2Fi"
THOUGHT = Thought("The user wants the weather; I have a tool for it.", SEAL)


def _same_calls(cell: Cell, said: Said, *calls: Call) -> None:
    assert [(call.name, call.arguments) for call in said.calls] == [(call.name, call.arguments) for call in calls]
    ids = {call.id for call in said.calls}
    if (cell.surface, cell.target) == ("gemini", "gemini"):
        assert ids == {""}, "Gemini gives none, and what it says passes as it is"
    else:
        assert len(ids - {""}) == len(calls)


def _results(cell: Cell) -> list[tuple[Any, ...]]:
    return [said for said in cell.told.heard.said if said[0] == "result"]


@feature("text")
async def text(cell: Cell) -> None:
    said = await cell.ask(hi(), HELLO)
    assert (said.text, said.calls) == (HELLO.text, [])
    assert said.stop == STOPS[cell.surface]["end"]
    assert cell.told.heard.said == [("user", "hi")]


@feature("text, streamed")
async def text_streamed(cell: Cell) -> None:
    said = await cell.ask(hi(), HELLO, stream=True)
    assert (said.text, said.stop) == (HELLO.text, STOPS[cell.surface]["end"])
    assert cell.told.heard.said == [("user", "hi")]


@feature("several turns with a system prompt")
async def turns(cell: Cell) -> None:
    first = await cell.ask(hi(system="Be brief."), HELLO)
    said = await cell.ask(Ask((User("hi"), first, User("And now?")), system="Be brief."), Answer("Bye."))
    assert said.text == "Bye."
    told = cell.told.heard
    assert told.system == "Be brief."
    assert told.said == [("user", "hi"), ("assistant", HELLO.text), ("user", "And now?")]


async def _one_call(cell: Cell, *, stream: bool) -> None:
    question = User("Weather?")
    ask = Ask((question,), tools=("look_up",))
    said = await cell.ask(ask, Answer("Let me look.", calls=(ZURICH,)), stream=stream)
    _same_calls(cell, said, ZURICH)
    assert said.text == "Let me look."
    assert said.stop == STOPS[cell.surface]["calls"]
    assert cell.told.heard.tools == {"look_up": SCHEMAS["look_up"]}
    results = Results((Result("look_up", SUNNY),))
    done = await cell.ask(Ask((question, said, results), tools=("look_up",)), HELLO, stream=stream)
    assert done.text == HELLO.text
    # A vendor that signs every call gets its signature back, too.
    asked, talk, call, result = [one for one in cell.told.heard.said if one[0] != "thought"]
    assert (asked, talk) == (("user", "Weather?"), ("assistant", "Let me look."))
    assert call == ("call", "look_up", ZURICH.arguments)
    assert result[:3] == ("result", "look_up", SUNNY)
    assert not result[3]


@feature("a tool call and its result")
async def one_call(cell: Cell) -> None:
    await _one_call(cell, stream=False)


@feature("a tool call, streamed")
async def one_call_streamed(cell: Cell) -> None:
    await _one_call(cell, stream=True)


async def _two_calls(cell: Cell, *, stream: bool) -> None:
    """The results come in another order than the calls. (Where bodies pass as they are, in the vendor's own.)"""
    ask = Ask((User("Both!"),), tools=BOTH)
    said = await cell.ask(ask, Answer(calls=(ZURICH, SUM)), stream=stream)
    _same_calls(cell, said, ZURICH, SUM)
    results = (Result("add", "-0.5"), Result("look_up", SUNNY))
    if cell.own:
        results = results[::-1]
    await cell.ask(Ask((*ask.turns, said, Results(results)), tools=BOTH), HELLO, stream=stream)
    told = cell.told.heard.said
    calls = [("call", "look_up", ZURICH.arguments), ("call", "add", SUM.arguments)]
    assert [one for one in told if one[0] == "call"] == calls
    assert sorted(one[:3] for one in _results(cell)) == [("result", "add", "-0.5"), ("result", "look_up", SUNNY)]


@feature("parallel tool calls and their results")
async def two_calls(cell: Cell) -> None:
    await _two_calls(cell, stream=False)


@feature("parallel tool calls, streamed")
async def two_calls_streamed(cell: Cell) -> None:
    await _two_calls(cell, stream=True)


@feature("a tool's result with an image")
async def result_with_image(cell: Cell) -> None:
    ask = Ask((User("Show me."),), tools=("look_up",))
    said = await cell.ask(ask, Answer(calls=(ZURICH,)))
    results = Results((Result("look_up", "Here it is.", image=PNG),))
    await cell.ask(Ask((*ask.turns, said, results), tools=("look_up",)), HELLO)
    assert [one[:3] for one in _results(cell)] == [("result", "look_up", "Here it is.")]
    assert [one for one in cell.told.heard.said if one[0] == "image"] == [("image", PNG)]


@feature("a tool's result that is an error")
async def failed_result(cell: Cell) -> None:
    """Where the client can mark it and the vendor has a mark, it bears it; the words always arrive."""
    ask = Ask((User("Weather?"),), tools=("look_up",))
    said = await cell.ask(ask, Answer(calls=(ZURICH,)))
    results = Results((Result("look_up", "Error: no such city", failed=True),))
    await cell.ask(Ask((*ask.turns, said, results), tools=("look_up",)), HELLO)
    ((_, name, words, failed),) = _results(cell)
    assert (name, words) == ("look_up", "Error: no such city")
    if failed is not None:
        assert failed is (cell.surface in ("messages", "gemini"))


@feature("a forced tool")
async def forced(cell: Cell) -> None:
    said = await cell.ask(hi(tools=BOTH, forced="add"), Answer(calls=(SUM,)))
    _same_calls(cell, said, SUM)
    assert cell.told.heard.forced == "add"
    assert set(cell.told.heard.tools) == set(BOTH)


@feature("structured output (JSON schema)")
async def structured(cell: Cell) -> None:
    forecast = {"city": "Zürich", "days": 3}
    said = await cell.ask(hi(shaped=True), Answer(json.dumps(forecast)))
    assert json.loads(said.text) == forecast
    assert cell.told.heard.shape == SHAPE


async def _thoughts(cell: Cell, *, stream: bool) -> None:
    ask = Ask((User("Weather?"),), tools=("look_up",), thinking=True)
    said = await cell.ask(ask, Answer(thought=THOUGHT, calls=(ZURICH,)), stream=stream, model=cell.thinker)
    assert cell.told.heard.thinking
    assert said.thought == THOUGHT.text
    assert len(said.seals) == 1
    back = Ask((*ask.turns, said, Results((Result("look_up", SUNNY),))), tools=("look_up",), thinking=True)
    await cell.ask(back, HELLO, stream=stream, model=cell.thinker)
    assert cell.told.heard.thinking
    assert [one for one in cell.told.heard.said if one[0] == "thought"] == [("thought", THOUGHT.text, SEAL)]


@feature("thoughts, and their signature back to the vendor byte for byte")
async def thoughts(cell: Cell) -> None:
    await _thoughts(cell, stream=False)


@feature("thoughts and their signature, streamed")
async def thoughts_streamed(cell: Cell) -> None:
    await _thoughts(cell, stream=True)


@feature("thoughts that another vendor's model had, when a conversation moves")
async def moved(cell: Cell) -> None:
    """No vendor is sent what another one sealed; in every other way the conversation goes on."""
    ask = Ask((User("Weather?"),), tools=("look_up",), thinking=True)
    said = await cell.ask(ask, Answer(thought=THOUGHT, calls=(ZURICH,)), model=cell.elsewhere)
    cell.lost.clear()
    back = Ask((*ask.turns, said, Results((Result("look_up", SUNNY),))), tools=("look_up",))
    for stream in (False, True):
        done = await cell.ask(back, HELLO, stream=stream)
        assert done.text == HELLO.text
        calls = [one for one in cell.told.heard.said if one[0] in ("call", "result")]
        assert [one[:3] for one in calls] == [("call", "look_up", ZURICH.arguments), ("result", "look_up", SUNNY)]
        body = json.dumps(cell.told.body)
        assert SEAL not in body
        assert base64.b64encode(SEAL.encode()).decode()[:20] not in body
        assert THOUGHT.text not in body


@feature("cache marks")
async def cache_marks(cell: Cell) -> None:
    await cell.ask(hi(system="A long prompt.", mark=True), HELLO)
    told = cell.told.heard
    assert told.system == "A long prompt."
    assert told.marks == (0 if "cache_control" in cell.lost else 1)


@feature("an image")
async def image(cell: Cell) -> None:
    await cell.ask(Ask((User("What is it?", (Media("image", PNG),)),)), HELLO)
    assert sorted(cell.told.heard.said) == [("image", PNG), ("user", "What is it?")]


@feature("a PDF document")
async def document(cell: Cell) -> None:
    await cell.ask(Ask((User("Sum it up.", (Media("document", PDF),)),)), HELLO)
    assert sorted(cell.told.heard.said) == [("document", PDF), ("user", "Sum it up.")]
