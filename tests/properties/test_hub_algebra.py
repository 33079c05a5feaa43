"""Cursors, states, capabilities, header mirrors and questions: what must hold for any input."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.capabilities import Profile, read_profile
from mcp_hub.cursors import Cursors
from mcp_hub.param_headers import Mirror, disagreement, headers_for, mirrors_of
from mcp_hub.request_state import RequestStates, bound_to
from mcp_hub.seams import Notification, Question, QuestionAnswer
from mcp_hub.upstream.deadline import Deadline, Deadlines
from mcp_hub.upstream.jsonrpc import decode
from mcp_hub.upstream.questions import Questions
from mcp_hub.wire.header_values import decode_header, encode_header
from policies.sealing import Sealer

names = st.text(min_size=1, max_size=12)
secrets = st.binary(min_size=16, max_size=32)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.lists(st.integers(), max_size=3))


@given(secrets, names, st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 400))
def test_a_sealed_token_opens_only_whole_and_only_for_whom_it_was_bound(
    secret: bytes, purpose: str, plain: bytes, bound: bytes, at: int
) -> None:
    sealer = Sealer(secret, purpose)
    token = sealer.seal(plain, bound)
    assert sealer.open(token, bound) == plain
    assert sealer.open(token, bound + b"x") is None
    assert Sealer(secret, purpose + "x").open(token, bound) is None
    position = at % len(token)
    other = "A" if token[position] != "A" else "B"
    changed = token[:position] + other + token[position + 1 :]
    # The last character of base64 may carry bits that mean nothing.
    assert sealer.open(changed, bound) in ((None,) if position < len(token) - 1 else (None, plain))


@given(st.text(max_size=200))
def test_what_was_never_sealed_does_not_open(token: str) -> None:
    assert Sealer(b"s" * 16, "p").open(token, b"") is None


@given(names, names, names, st.integers(0, 1_000), st.binary(max_size=20))
def test_a_cursor_is_valid_only_for_its_list_as_it_was(
    method: str, digest: str, other: str, page: int, bound: bytes
) -> None:
    cursors = Cursors(Sealer(b"s" * 16, "c"))
    cursor = cursors.seal(bound, method, digest, page)
    assert cursors.page(cursor, bound, method, digest) == page
    assert cursors.page(cursor, bound, method, digest + other) is None
    assert cursors.page(cursor, bound, method + other, digest) is None
    assert cursors.page(cursor, bound + b"!", method, digest) is None


@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=4), names, names)
def test_a_state_is_bound_to_its_arguments_whatever_their_order(
    arguments: dict[str, Any], others: dict[str, Any], principal: str, tool: str
) -> None:
    def bound(who: str, given: dict[str, Any], **rounds: Any) -> bytes:
        params = {"name": tool, "arguments": given, **rounds}
        split = msgspec.json.decode(msgspec.json.encode(params), type=dict[str, msgspec.Raw])
        return bound_to(who, None, "tools/call", split)

    turned = dict(reversed(arguments.items()))
    first = bound(principal, arguments)
    assert first == bound(principal, turned, requestState="x", inputResponses={}, _meta={"progressToken": 1})
    assert (first == bound(principal, others)) == (arguments == others and _same_types(arguments, others))
    assert first != bound(principal + "x", arguments)


def _same_types(one: Any, two: Any) -> bool:
    """``True == 1`` in Python, not in JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def test_a_state_ends_in_time_and_counts_once() -> None:
    now = [0]
    states = RequestStates(Sealer(b"s" * 16, "s"), lambda: now[0])
    token = states.relay(b"me", msgspec.Raw(b'"inner"'), {"a": msgspec.Raw(b"{}")}, again=False)
    state = states.open(token, b"me")
    assert state is not None
    assert (state.inner, state.answers) == ('"inner"', {"a": "{}"})
    assert [states.spend(state), states.spend(state)] == [True, False]
    now[0] = 600 * 10**9
    assert states.open(token, b"me") is None


features = st.sampled_from(["form", "url", "sampling", "roots"])


@given(
    st.dictionaries(st.sampled_from(["elicitation", "sampling", "roots", "tasks", "x"]), st.one_of(values, st.just({})))
)
def test_what_is_declared_to_a_member_was_declared_by_the_client(declared: dict[str, Any]) -> None:
    profile = read_profile(msgspec.json.encode(declared))
    passed_on = json.loads(profile.declared)
    assert set(passed_on) <= {name for name, value in declared.items() if isinstance(value, dict)} - {"tasks", "x"}
    assert read_profile(profile.declared) == profile


@given(st.sets(features), st.sets(features))
def test_narrowing_only_takes_away(has: set[Any], without: set[Any]) -> None:
    profile = Profile(frozenset(has))
    narrowed = profile.without(*without)
    assert narrowed.features == profile.features - without
    asked = {
        "form": Question("elicitation/create", {}),
        "url": Question("elicitation/create", {"mode": msgspec.Raw(b'"url"')}),
        "sampling": Question("sampling/createMessage", {}),
        "roots": Question("roots/list", {}),
    }
    assert {name for name, question in asked.items() if narrowed.allows(question)} == set(narrowed.features)
    assert not narrowed.allows(Question("tasks/create", {}))


@given(st.text(max_size=30))
def test_any_text_survives_as_a_header_value(text: str) -> None:
    encoded = encode_header(text)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert decode_header(f"  {encoded}\t") == text


ARGUMENTS = st.fixed_dictionaries(
    {"region": st.one_of(st.none(), st.text(max_size=8)), "deep": st.fixed_dictionaries({"n": st.integers()})}
)
MIRRORS = (Mirror("mcp-param-region", ("region",)), Mirror("mcp-param-n", ("deep", "n")))


@given(ARGUMENTS, ARGUMENTS)
def test_mirrored_headers_agree_with_their_own_arguments_only(mine: dict[str, Any], other: dict[str, Any]) -> None:
    schema = {
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }
    }
    assert mirrors_of(msgspec.Raw(msgspec.json.encode(schema))) == MIRRORS
    raw = msgspec.Raw(msgspec.json.encode(mine))
    headers = dict(headers_for(MIRRORS, raw))
    assert disagreement(MIRRORS, raw, headers) is None
    others = msgspec.Raw(msgspec.json.encode(other))
    same = other["deep"] == mine["deep"] and other["region"] in (None, mine["region"])
    assert (disagreement(MIRRORS, others, headers) is None) == same


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "x-mcp-header": "has space"}}},
        {"properties": {"a": {"type": "array", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}},
        {"properties": {"a": {"items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
    ],
)
def test_a_tool_with_a_broken_annotation_is_unusable(schema: dict[str, Any]) -> None:
    assert mirrors_of(msgspec.Raw(msgspec.json.encode(schema))) is None


class _Caller:
    """Remembers what it was asked."""

    capabilities = b"{}"
    log_level = None
    mirrored = ()
    wants_progress = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def notified(self, notification: Notification) -> None: ...

    async def ask(self, question: Question) -> QuestionAnswer:
        self.asked.append(question.name)
        return msgspec.Raw(b"{}")


steps = st.lists(st.tuples(st.sampled_from(["begin", "answer", "abandon", "ask"]), st.integers(0, 4)), max_size=25)


@given(steps)
def test_a_question_reaches_the_call_that_caused_it_or_nobody(steps: list[tuple[str, int]]) -> None:
    """A member that cannot end a call while its question waits: whatever the order, no question of a call reaches
    another one's caller."""

    async def play() -> None:
        questions = Questions(lambda _: None, declared=True)
        deadlines = Deadlines()
        callers: dict[int, _Caller] = {}
        flying: dict[int, Deadline] = {}
        waiting: dict[int, str] = {}
        for number, (what, call) in enumerate(steps):
            if what == "begin" and call not in callers:
                callers[call], flying[call] = _Caller(), Deadline(deadlines, 60)
                questions.began(call, callers[call], flying[call])
            elif what == "ask" and call in flying and call not in waiting:
                waiting[call] = name = f"by{call}_{number}"
                message = {"jsonrpc": "2.0", "id": name, "method": "elicitation/create", "params": {}}
                found = decode(msgspec.json.encode(message))
                assert found is not None
                questions.received(found)
            elif what == "answer" and call in flying and call not in waiting:
                flying.pop(call).stop()
                questions.ended(call, answered=True)
            elif what == "abandon" and call in flying:
                flying.pop(call).stop()
                waiting.pop(call, None)
                questions.ended(call, answered=False)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for asked, caller in callers.items():
                for name in caller.asked:
                    assert name.startswith(f"by{asked}_")
                    if waiting.get(asked) == name:
                        del waiting[asked]
        questions.close()
        for deadline in flying.values():
            deadline.stop()

    asyncio.run(play())
