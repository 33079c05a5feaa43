"""Any change that can change the answer changes the key; any change that cannot does not."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from policies.admission import Grants
from policies.caching.canonical import NotCanonical, canonical, read_strictly
from policies.caching.keys import digest
from policies.caching.policy import CachePolicy
from policies.caching.vocabulary import NO_WISH, Asked, Bypass, Query, Wish
from policies.identity import VirtualKey
from policies.strict_json import BodyError
from policies.types import Principal
from providers.caching.model_calls import answerable
from providers.dialects.anthropic import AnthropicMessages
from providers.dialects.base import Dialect
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_embeddings import OpenAIEmbeddings
from providers.dialects.openai_responses import OpenAIResponses

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), TEXT
)
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
KEY = VirtualKey(Principal("k", "t", "c"), Grants(), ())
POLICY = CachePolicy(enabled=True, always=True)

CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ],
    "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "n": 1,
}
MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 10,
    "system": [{"type": "text", "text": "be kind"}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}
RESPONSES: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": "hi"}], "instructions": "be kind"}
EMBEDDINGS: dict[str, Any] = {"model": "m", "input": ["hi"], "dimensions": 3}
CASES: list[tuple[Dialect, dict[str, Any]]] = [
    (OpenAIChat(), CHAT),
    (AnthropicMessages(), MESSAGES),
    (OpenAIResponses(), RESPONSES),
    (OpenAIEmbeddings(), EMBEDDINGS),
]
CASE = st.sampled_from(CASES)
SILENT = {
    "openai_chat": ["user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier", "stream_options"],
    "anthropic": ["metadata", "service_tier"],
    "openai_responses": ["user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier"],
    "openai_embeddings": ["user"],
}


def plan(
    dialect: Dialect,
    body: Any,
    headers: dict[str, str] | None = None,
    query: str = "",
    wish: Wish = NO_WISH,
    key: VirtualKey = KEY,
) -> Query | Bypass:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = dialect.parse(raw)
    asked = Asked("model", request.model)
    return POLICY.plan(key, asked, lambda: answerable(dialect, request, headers or {}, query, []), wish, 0)


def key_of(dialect: Dialect, body: Any, **more: Any) -> bytes:
    found = plan(dialect, body, **more)
    assert isinstance(found, Query), found
    return found.id


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all leaves and containers below ``value``."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for name, child in children:
        found += places(child, (*path, name))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(CASE, st.data(), JSON)
def test_another_value_anywhere_in_the_body_is_another_key(case: Any, data: st.DataObject, new: Any) -> None:
    dialect, body = case
    path = data.draw(st.sampled_from([p for p in places(body) if p != ("model",)]))
    changed = replaced(body, path, new)
    assume(json.dumps(changed, sort_keys=True) != json.dumps(body, sort_keys=True))
    try:
        other = plan(dialect, changed)
    except BodyError:
        return  # a body that is refused has no key at all
    assert isinstance(other, Bypass) or other.id != key_of(dialect, body)


@given(CASE, TEXT.filter(lambda t: t.casefold() not in {n.casefold() for n in ("model", "stream")}), JSON)
def test_a_field_more_is_another_key_unless_it_only_names_the_caller(case: Any, name: str, value: Any) -> None:
    dialect, body = case
    assume(name not in body)
    try:
        other = plan(dialect, {**body, name: value})
    except BodyError:
        return
    silent = name in SILENT[dialect.surface]
    assert isinstance(other, Bypass) or (other.id == key_of(dialect, body)) == silent


@given(CASE, st.data(), st.dictionaries(TEXT, TEXT, max_size=2))
def test_what_only_names_the_caller_or_the_form_is_no_other_key(case: Any, data: st.DataObject, value: Any) -> None:
    dialect, body = case
    name = data.draw(st.sampled_from(SILENT[dialect.surface]))
    given_value: Any = {"include_usage": True} if name == "stream_options" else value
    changed = {**body, name: given_value}
    if dialect.surface != "openai_embeddings":
        changed["stream"] = data.draw(st.booleans())
    assert key_of(dialect, changed) == key_of(dialect, body)


@given(CASE, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_keys_spacing_and_escapes_are_no_other_key(
    case: Any, dice: random.Random, ascii_only: bool
) -> None:
    dialect, body = case
    turned = json.dumps(shuffled(body, dice), indent=dice.choice([None, 1, 4]), ensure_ascii=ascii_only)
    assert key_of(dialect, turned.encode()) == key_of(dialect, body)


def shuffled(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        dice.shuffle(names)
        return {name: shuffled(value[name], dice) for name in names}
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value


@given(JSON, JSON)
def test_canonical_bytes_are_equal_for_equal_values_only(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    first, second = (canonical(read_strictly(json.dumps(value).encode())) for value in (one, other))
    assert (first == second) == same
    assert json.loads(first) == one


@given(st.dictionaries(TEXT, LEAF, min_size=1, max_size=3), st.data())
def test_an_object_that_repeats_a_key_has_no_canonical_form(value: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    doubled = json.dumps(value)[:-1] + "," + json.dumps(name) + ":" + json.dumps(data.draw(LEAF)) + "}"
    for body in (doubled, f'[{{"deep": {doubled}}}]'):
        try:
            read_strictly(body.encode())
        except NotCanonical:
            continue
        raise AssertionError(body)


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_lists_of_parts_never_run_together(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(one) == digest(other)) == (one == other)


PRINCIPAL = st.builds(Principal, TEXT.filter(bool), st.none() | TEXT.filter(bool), st.none() | TEXT.filter(bool))


@given(
    PRINCIPAL,
    PRINCIPAL,
    st.none() | TEXT.filter(bool),
    st.none() | TEXT.filter(bool),
    st.sampled_from(["key", "team", "customer"]),
)
def test_keys_meet_only_where_the_scope_joins_them(a: Principal, b: Principal, x: Any, y: Any, scope: Any) -> None:
    policy = CachePolicy(enabled=True, always=True, scope=scope)

    def of(principal: Principal, cache_key: str | None) -> Query:
        request = OpenAIChat().parse(json.dumps(CHAT).encode())
        found = policy.plan(
            VirtualKey(principal, Grants(), ()), Asked("model", "m"),
            lambda: answerable(OpenAIChat(), request, {}, "", []), Wish(cache_key=cache_key), 0,
        )  # fmt: skip
        assert isinstance(found, Query)
        return found

    joined = getattr(a, scope) is not None and getattr(a, scope) == getattr(b, scope)
    alone = a.key == b.key and (scope == "key" or (getattr(a, scope) is None and getattr(b, scope) is None))
    assert (of(a, x).id == of(b, y).id) == ((joined or alone) and x == y)


def test_headers_and_the_query_that_can_change_the_answer_count() -> None:
    chat, messages = OpenAIChat(), AnthropicMessages()
    assert key_of(messages, MESSAGES, headers={"anthropic-beta": "x"}) != key_of(messages, MESSAGES)
    assert key_of(chat, CHAT, headers={"openai-beta": "x"}) != key_of(chat, CHAT)
    assert key_of(chat, CHAT, headers={"user-agent": "x", "x-request-id": "1"}) == key_of(chat, CHAT)
    assert key_of(chat, CHAT, query="beta=true") != key_of(chat, CHAT)
    assert key_of(OpenAIResponses(), {**RESPONSES, "messages": []}) != key_of(chat, {**CHAT, "input": []})
