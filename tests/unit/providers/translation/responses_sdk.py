"""What OpenAI's own SDK reads of a response or of its stream, strictly: no field that its types do not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai import BaseModel, omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

_RESPONSE: TypeAdapter[Response] = TypeAdapter(Response)
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_UNTYPED = frozenset({"store"})
"""Documented, and missing from the SDK's type."""

Event = dict[str, Any]


def parsed_response(body: bytes) -> Response:
    response = _RESPONSE.validate_json(body, strict=True)
    assert list(unknown_fields(response)) == []
    return response


def events_of(stream: bytes) -> list[Event]:
    """Events as dictionaries, after the SDK has read each strictly and gathered them all."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    found: list[Event] = []
    assert not stream or stream.endswith(b"\n\n")
    for raw in stream.decode().split("\n\n")[:-1]:
        name, data = raw.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        typed = _EVENT.validate_json(data.removeprefix("data: "), strict=True)
        assert typed.type == event["type"]
        assert list(unknown_fields(typed)) == []
        state.handle_event(typed)
        found.append(event)
    return found


def unknown_fields(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            if name not in _UNTYPED:
                yield f"{type(value).__name__}.{name}"
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            yield from unknown_fields(one)


def without_ids(response: Event) -> Event:
    """A response with the ids that are new each time left out, and the clock."""
    output = [{name: value for name, value in item.items() if name != "id"} for item in response["output"]]
    return {**response, "output": output, "created_at": 0}
