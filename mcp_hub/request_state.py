"""What a modern client carries between the rounds of one call (``requestState``): sealed, bound, short-lived.

Bound to the principal, the endpoint, the method, the target and the arguments: another key, another tool or
other arguments cannot use it. It counts once: the round that continues a call is not a call of its own, so a
state that comes a second time is counted like a new call.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from mcp_hub.seams import RawObject
from policies.sealing import Sealer

STATE_S = 600
MOST_SPENT = 100_000
MAX_STATE_BYTES = 256 * 1024
ROUND_FIELDS = frozenset({"inputResponses", "requestState"})
NS = 1_000_000_000


class CallState(msgspec.Struct, frozen=True, kw_only=True):
    """``relay``: the member's own state, and answers that the gate gave itself; ``again``: the member is simply
    called once more; ``park``: a call that waits."""

    kind: Literal["relay", "again", "park"]
    expires_ns: int
    nonce: str
    park: str = ""
    inner: str | None = None
    """The member's state, raw JSON."""
    answers: dict[str, str] = {}
    """The gate's own answers, raw JSON, by the member's names."""


_decode = msgspec.json.Decoder(CallState).decode


class RequestStates:
    """Seals and opens the states of one installation; remembers which were used."""

    def __init__(self, sealer: Sealer, clock: Callable[[], int]) -> None:
        self._sealer = sealer
        self._clock = clock
        self._spent: OrderedDict[str, int] = OrderedDict()

    def park(self, bound: bytes, park: str) -> str:
        """The state of a call that waits here."""
        return self._seal(CallState(kind="park", expires_ns=self._expiry(), nonce=_nonce(), park=park), bound)

    def relay(self, bound: bytes, inner: msgspec.Raw | None, answers: Mapping[str, msgspec.Raw], *, again: bool) -> str:
        """The state of a call whose member wants to be called again."""
        state = CallState(
            kind="again" if again else "relay",
            expires_ns=self._expiry(),
            nonce=_nonce(),
            inner=bytes(inner).decode() if inner is not None else None,
            answers={name: bytes(raw).decode() for name, raw in answers.items()},
        )
        return self._seal(state, bound)

    def open(self, token: str, bound: bytes) -> CallState | None:
        """``None`` for what is forged, expired, or bound to something else: one answer for all."""
        plain = self._sealer.open(token, bound) if len(token) <= MAX_STATE_BYTES else None
        if plain is None:
            return None
        state = _decode(plain)
        return state if state.expires_ns > self._clock() else None

    def spend(self, state: CallState) -> bool:
        """Whether this is the first use of ``state``."""
        now = self._clock()
        while self._spent:
            nonce, expires = next(iter(self._spent.items()))
            if expires > now and len(self._spent) < MOST_SPENT:
                break
            del self._spent[nonce]
        if state.nonce in self._spent:
            return False
        self._spent[state.nonce] = state.expires_ns
        return True

    def _seal(self, state: CallState, bound: bytes) -> str:
        return self._sealer.seal(msgspec.json.encode(state), bound)

    def _expiry(self) -> int:
        return self._clock() + STATE_S * NS


def bound_to(principal: str, server: str | None, method: str, params: RawObject) -> bytes:
    """What the state of this call is bound to: who, where, what, with which arguments."""
    digest = hashlib.sha256()
    for part in (principal, server or "", method):
        digest.update(part.encode() + b"\0")
    call = {n: raw for n, raw in params.items() if n not in ROUND_FIELDS and n != "_meta"}
    digest.update(_canonical(msgspec.json.encode(call)))
    return digest.digest()


def _canonical(call: bytes) -> bytes:
    """Decoded and sorted, since a client may write the same arguments differently the second time. What is nested
    too deep for that must come again as it was."""
    try:
        return msgspec.json.encode(msgspec.json.decode(call), order="sorted")
    except RecursionError:
        return call


def _nonce() -> str:
    return secrets.token_urlsafe(12)
