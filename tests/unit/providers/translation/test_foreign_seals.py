"""A conversation that moved here from another vendor's model goes on without what that vendor sealed."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from policies.strict_json import strict_object
from providers.canonical.parts import Reasoning
from providers.canonical.seals import carry
from providers.dialects.base import ModelRequest
from providers.services import Service
from providers.translation.base import DEFAULT_TRAITS
from providers.translation.foreign_seals import bears_foreign_seals, without_foreign_seals
from providers.translation.gemini_wire import signature_of

SEAL = "c2VhbGVk"


def chat(seal: str) -> dict[str, Any]:
    details = [{"type": "reasoning.text", "text": "hm", "signature": seal, "index": 0}]
    said = {"role": "assistant", "content": "Hello.", "reasoning_content": "hm", "reasoning_details": details}
    return {"messages": [{"role": "user", "content": "hi"}, said, {"role": "user", "content": "more"}]}


def responses(seal: str) -> dict[str, Any]:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": seal}
    said = {"role": "assistant", "content": "Hello."}
    return {"input": [{"role": "user", "content": "hi"}, thought, said, {"role": "user", "content": "more"}]}


def messages(seal: str) -> dict[str, Any]:
    said = [{"type": "thinking", "thinking": "hm", "signature": seal}, {"type": "text", "text": "Hello."}]
    talk = [("user", "hi"), ("assistant", said), ("user", "more")]
    return {"max_tokens": 9, "messages": [{"role": role, "content": content} for role, content in talk]}


def gemini(seal: str) -> dict[str, Any]:
    said = [{"text": "hm", "thought": True}, {"text": "Hello.", "thoughtSignature": seal}]
    talk = [("user", [{"text": "hi"}]), ("model", said), ("user", [{"text": "more"}])]
    return {"contents": [{"role": role, "parts": parts} for role, parts in talk]}


CASES = [
    ("openai/chat", chat, carry(SEAL, "anthropic", "openai_chat")),
    ("openai/responses", responses, carry(SEAL, "anthropic", "openai")),
    ("anthropic/messages", messages, carry(SEAL, "gemini", "anthropic")),
    ("gemini/generate", gemini, signature_of(Reasoning("", SEAL, "anthropic"))),
    ("gemini/generate", gemini, signature_of(Reasoning("", SEAL, "anthropic", redacted=True))),
]


@pytest.mark.parametrize(("service", "talk", "carried"), CASES)
def test_what_another_vendor_sealed_is_taken_out_and_the_rest_stays(service: Service, talk: Any, carried: str) -> None:
    model = {} if service == "gemini/generate" else {"model": "asked"}
    body = json.dumps({**model, **talk(carried)}).encode()
    assert bears_foreign_seals(service, body)
    asked = ModelRequest(model="asked", body=strict_object(body, frozenset()), stream=False, input_tokens=9)
    written = without_foreign_seals(service, asked, "vendors-name", DEFAULT_TRAITS)
    assert carried not in written.body.decode()
    assert all(word in written.body.decode() for word in ('"hi"', '"Hello."', '"more"'))
    assert written.losses.all() == ["reasoning"]
    assert not bears_foreign_seals(service, written.body)
    assert json.loads(written.body).get("model") == ("vendors-name" if model else None)


@pytest.mark.parametrize(("service", "talk"), {case[0]: case[:2] for case in CASES}.values())
@pytest.mark.parametrize("own", [SEAL, "", "c2lnbmF0dXJl tk1. in the middle"])
def test_a_vendors_own_seals_and_mere_words_let_a_body_pass_as_it_is(service: str, talk: Any, own: str) -> None:
    assert not bears_foreign_seals(cast(Service, service), json.dumps(talk(own)).encode())


@pytest.mark.parametrize(("service", "talk", "carried"), CASES)
@pytest.mark.parametrize("words", ["", "x" * 5_000, '→ "quoted" ' * 900], ids=["short", "long", "long-not-ascii"])
def test_a_seal_is_found_in_every_spelling_of_its_body(service: Service, talk: Any, carried: str, words: str) -> None:
    told = {**talk(carried), "before": words}
    spelled = [
        json.dumps(told),
        json.dumps(told, ensure_ascii=False),
        json.dumps(told, separators=(",", ":")),
        json.dumps(told, indent=2),
        json.dumps(told).replace("/", "\\/"),
        json.dumps({"quoted": json.dumps(told)}),  # a string inside a string begins so, too
        json.dumps({**talk(carried), "after": words}),
    ]
    assert [bears_foreign_seals(service, body.encode()) for body in spelled] == [True] * len(spelled)
    assert not bears_foreign_seals(service, json.dumps({**talk(SEAL), "before": words}).encode())


def test_what_is_no_conversation_passes() -> None:
    assert not bears_foreign_seals("openai/embeddings", b'{"input": "tk1.anthropic.x"}')
