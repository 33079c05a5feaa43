"""A form for an answer as Anthropic takes it: closed objects, known keywords, the rest where the model reads it."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import transform_schema

from providers.canonical.losses import Losses
from providers.translation.anthropic_schema import closed_schema

CITY = {"type": "object", "properties": {"name": {"type": "string", "title": "Name"}}, "required": ["name"]}


def closed(schema: Any) -> Any:
    losses = Losses()
    written = closed_schema(schema, losses)
    assert losses.all() == []
    return written


def test_every_object_is_closed_wherever_it_stands() -> None:
    schema = {
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/City"},
            "way": {"type": "array", "items": CITY, "minItems": 1},
            "next": {"anyOf": [CITY, {"type": "null"}]},
        },
        "required": ["home"],
        "$defs": {"City": CITY},
    }
    written = closed(schema)
    city = {**CITY, "additionalProperties": False}
    assert written["additionalProperties"] is False
    assert written["$defs"] == {"City": city}
    assert written["properties"]["way"] == {"type": "array", "items": city, "minItems": 1}
    assert written["properties"]["next"] == {"anyOf": [city, {"type": "null"}]}
    assert written == transform_schema(schema), "as the vendor's own SDK writes it"


def test_what_the_vendor_does_not_know_is_said_in_the_description() -> None:
    assert closed({"type": "integer", "minimum": 1, "maximum": 9, "description": "Days."}) == {
        "type": "integer",
        "description": 'Days.\n\n{"minimum":1,"maximum":9}',
    }
    assert closed({"type": "string", "format": "color"}) == {"type": "string", "description": '{"format":"color"}'}
    assert closed({"type": "string", "format": "date"}) == {"type": "string", "format": "date"}
    assert closed({"type": "array", "minItems": 3}) == {"type": "array", "description": '{"minItems":3}'}
    assert closed({"type": "object", "propertyOrdering": ["a"]})["description"] == '{"propertyOrdering":["a"]}'


def test_a_property_may_have_a_keywords_name() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "number"}, "description": {"type": "string"}}}
    assert closed(schema) == {**schema, "additionalProperties": False}


@pytest.mark.parametrize("more", [True, {"type": "integer"}])
def test_an_object_that_is_open_by_its_own_words_is_a_loss(more: Any) -> None:
    losses = Losses()
    closed_schema({"type": "array", "items": {"type": "object", "additionalProperties": more}}, losses)
    assert losses.demands == ["response_format.additionalProperties"]
