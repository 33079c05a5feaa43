"""Whatever a client asks and a vendor answers, the other side hears the same: for every pair of dialects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.strict_json import strict_object
from providers.canonical.names import PLAIN_64, ToolNames
from providers.canonical.parts import Media, Reasoning, Text, ToolCall, ToolResult
from providers.canonical.request import Dialect, Request
from providers.canonical.seals import restore
from providers.translation.anthropic import ANTHROPIC_BACK, ANTHROPIC_FACE
from providers.translation.base import DEFAULT_TRAITS, Back, Face
from providers.translation.chat import CHAT_BACK, CHAT_FACE
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE
from providers.translation.responses import RESPONSES_BACK, RESPONSES_FACE
from providers.translation.translated import TranslatedStream, Translation
from tests.support.canonical import answers, chunks, requests, streams, told


@dataclass(frozen=True)
class Spoken:
    """One dialect, as clients and as providers speak it. ``model`` is one that has all of its features."""

    dialect: Dialect
    face: Face
    back: Back
    model: str
    seals: tuple[str, ...]
    """Whose seals a vendor of this dialect gives. OpenAI's chat completions have none."""


SPOKEN = (
    Spoken("openai_chat", CHAT_FACE, CHAT_BACK, "gpt-4o", ()),
    Spoken("openai_responses", RESPONSES_FACE, RESPONSES_BACK, "gpt-4o", ("openai",)),
    Spoken("anthropic", ANTHROPIC_FACE, ANTHROPIC_BACK, "claude-sonnet-4-6", ("anthropic",)),
    Spoken("gemini", GEMINI_FACE, GEMINI_BACK, "gemini-2.5-pro", ("gemini",)),
)
PAIRS = [pytest.param(a, b, id=f"{a.dialect}-to-{b.dialect}") for a, b in product(SPOKEN, SPOKEN)]


def asked(request: Request, spoken: Spoken) -> Request:
    """``request`` as ``spoken``'s vendor reads what ``spoken``'s writer writes."""
    written = spoken.back.write(request, spoken.model, DEFAULT_TRAITS)
    assert written.losses.demands == []
    body = strict_object(written.body, frozenset())
    return spoken.face.read(body, request.model, stream=request.stream)


def meant(request: Request) -> dict[str, Any]:
    """What a request asks, without what dialects may spell in their own ways: ids, turns of one side in a row, where
    in a turn results stand, and the flag of an error, which some dialects tell in words."""
    order: dict[str, str] = {}
    turns: list[tuple[str, list[Any]]] = []
    for turn in request.turns:
        parts = [_meant_part(part, order) for part in turn.parts]
        if turns and turns[-1][0] == turn.role:
            turns[-1][1].extend(parts)
        else:
            turns.append((turn.role, parts))
    settings = request.settings
    return {
        "turns": [(role, sorted(parts, key=lambda part: part[0] != "result")) for role, parts in turns],
        "tools": [(tool.name, tool.description, tool.schema) for tool in request.tools],
        "choice": None if request.choice is None or request.choice.mode == "auto" else request.choice,
        "settings": (settings.max_tokens, settings.temperature, settings.stop),
        "stream": request.stream,
    }


def _meant_part(part: Any, order: dict[str, str]) -> tuple[Any, ...]:
    if isinstance(part, Text):
        return "text", part.text
    if isinstance(part, Media):
        return "media", part.kind, part.mime, part.data
    if isinstance(part, ToolCall):
        named = order.setdefault(part.id, f"#{len(order)}")
        return "call", named, part.name, json.loads(part.arguments)
    assert isinstance(part, ToolResult)
    said = "".join(item.text for item in part.content if isinstance(item, Text))
    return "result", order.get(part.call_id), said.removeprefix("Error: ")


@pytest.mark.parametrize(("client", "vendor"), PAIRS)
@given(data=st.data())
def test_a_vendor_is_asked_what_the_client_asked(client: Spoken, vendor: Spoken, data: st.DataObject) -> None:
    request = data.draw(requests(client.dialect))
    if "responses" in client.dialect + vendor.dialect:
        # The responses API has no stop sequences.
        request = msgspec.structs.replace(request, settings=msgspec.structs.replace(request.settings, stop=()))
    read = asked(request, client)
    assert meant(read) == meant(request)
    assert meant(asked(read, vendor)) == meant(request)


@pytest.mark.parametrize(("client", "vendor"), PAIRS)
@given(data=st.data())
def test_a_client_hears_what_the_vendor_streams_however_it_is_cut(
    client: Spoken, vendor: Spoken, data: st.DataObject
) -> None:
    answer = data.draw(answers(vendor.seals))
    said = vendor.face.encoder(Request(dialect=vendor.dialect, model="m")).encode(data.draw(streams(answer)))
    reader = TranslatedStream(
        vendor.back.decoder(),
        client.face.encoder(Request(dialect=client.dialect, model="m")),
        ToolNames((), PLAIN_64),
    )
    heard = b"".join(reader.feed(chunk) for chunk in data.draw(chunks(said))) + reader.finish()
    assert reader.ended
    decoder = client.back.decoder()
    parts, end = told([*decoder.feed(heard), *decoder.finish()])
    assert spoken_parts(parts) == spoken_parts(answer.parts)
    assert end is not None
    assert end.stop == answer.stop


@pytest.mark.parametrize(("client", "vendor"), PAIRS)
@given(data=st.data())
def test_a_client_hears_the_vendors_whole_answer(client: Spoken, vendor: Spoken, data: st.DataObject) -> None:
    answer = data.draw(answers(vendor.seals))
    said = vendor.face.write(answer, Request(dialect=vendor.dialect, model="m"))
    translation = Translation(
        client.face, vendor.back, Request(dialect=client.dialect, model="m"), ToolNames((), PLAIN_64)
    )
    found = translation.whole(said)
    assert found is not None
    heard = client.back.read(found[0], "m")
    assert spoken_parts(heard.parts) == spoken_parts(answer.parts)
    assert heard.stop == answer.stop


@pytest.mark.parametrize("client", SPOKEN, ids=lambda spoken: spoken.dialect)
@given(data=st.data())
def test_any_vendors_seal_comes_back_through_any_client(client: Spoken, data: st.DataObject) -> None:
    """What a client was told it sends again, as it was told: each seal is found byte for byte, and whose it is."""
    answer = data.draw(answers())
    told_body = json.loads(client.face.write(answer, Request(dialect=client.dialect, model="m")))
    body = {"max_tokens": 9, "model": "m", **_HISTORIES[client.dialect](told_body)}
    read = client.face.read(strict_object(json.dumps(body).encode(), frozenset()), "m", stream=False)
    sent = [part for turn in read.turns if turn.role == "assistant" for part in turn.parts]
    assert spoken_parts(sent) == spoken_parts(answer.parts)


_RESULTS: dict[str, Any] = {
    "openai_chat": lambda call: {"role": "tool", "tool_call_id": call["id"], "content": "r"},
    "openai_responses": lambda call: {"type": "function_call_output", "call_id": call["call_id"], "output": "r"},
    "anthropic": lambda call: {"type": "tool_result", "tool_use_id": call["id"], "content": "r"},
    "gemini": lambda call: {"functionResponse": {**_without(call, "args"), "response": {"output": "r"}}},
}


def _without(call: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in call.items() if key != name}


def _chat_history(body: dict[str, Any]) -> dict[str, Any]:
    message = body["choices"][0]["message"]
    results = [_RESULTS["openai_chat"](call) for call in message.get("tool_calls") or ()]
    return {"messages": [{"role": "user", "content": "q"}, message, *results]}


def _responses_history(body: dict[str, Any]) -> dict[str, Any]:
    calls = [item for item in body["output"] if item["type"] == "function_call"]
    results = [_RESULTS["openai_responses"](call) for call in calls]
    return {"input": [{"role": "user", "content": "q"}, *body["output"], *results], "max_output_tokens": 99}


def _messages_history(body: dict[str, Any]) -> dict[str, Any]:
    results = [_RESULTS["anthropic"](block) for block in body["content"] if block["type"] == "tool_use"]
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": body["content"]}]
    return {"messages": [*turns, {"role": "user", "content": results}] if results else turns}


def _gemini_history(body: dict[str, Any]) -> dict[str, Any]:
    content = body["candidates"][0]["content"]
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    turns = [{"role": "user", "parts": [{"text": "q"}]}, content]
    results = [_RESULTS["gemini"](call) for call in calls]
    return {"contents": [*turns, {"role": "user", "parts": results}] if results else turns}


_HISTORIES: dict[str, Any] = {
    "openai_chat": _chat_history,
    "openai_responses": _responses_history,
    "anthropic": _messages_history,
    "gemini": _gemini_history,
}


def spoken_parts(parts: Any) -> list[Any]:
    """The parts of an answer, calls by their order, arguments as values."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, ToolCall):
            found.append(("call", part.name, json.loads(part.arguments)))
        elif isinstance(part, Reasoning):
            # A vendor's reader knows its own seals only; what was carried through its dialect says itself whose it is.
            found.append(("reasoning", part.text, *restore(part.seal, part.dialect)))
        else:
            found.append(("text", part.text))
    return found
