"""What a client can be asked, as it declared it, narrowed by policy: never invented, never widened.

A modern client declares its capabilities with every request, an older one once, at ``initialize``. What goes
on to a member is the part that the gate relays: elicitation by form and by URL, sampling, roots, and MCP
Apps. Everything else (tasks, experimental ones) is left out, because nothing would come back.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Literal

import msgspec

from mcp_hub.seams import Question

Feature = Literal["form", "url", "sampling", "roots"]

ELICIT = "elicitation/create"
SAMPLE = "sampling/createMessage"
ROOTS = "roots/list"
QUESTIONS = frozenset({ELICIT, SAMPLE, ROOTS})

_APPS = "io.modelcontextprotocol/ui"
MAX_DECLARED_BYTES = 16 * 1024


class Profile(msgspec.Struct, frozen=True, cache_hash=True):
    """What may be asked. ``declared`` is what a member is told; equal profiles may share a session. It is part of
    the keys of sessions and views, so that its hash is kept."""

    features: frozenset[Feature] = frozenset()
    sampling: str = "{}"
    """The client's own sampling capability (tools, context), canonical JSON."""
    apps: str | None = None
    """The client's settings for MCP Apps, canonical JSON."""

    @property
    def declared(self) -> bytes:
        return _declared(self)

    @property
    def digest(self) -> str:
        """Names the profile in session keys; empty when nothing may be asked."""
        return _digest(self)

    @property
    def interactive(self) -> bool:
        return bool(self.features)

    def allows(self, question: Question) -> bool:
        """Whether the client said that it can be asked this."""
        if question.method == ELICIT:
            return mode_of(question) in self.features
        if question.method == SAMPLE:
            return "sampling" in self.features
        return question.method == ROOTS and "roots" in self.features

    def without(self, *features: Feature) -> Profile:
        if self.features.isdisjoint(features):
            return self
        return msgspec.structs.replace(self, features=self.features.difference(features))

    def with_sampling(self) -> Profile:
        """For a gate that answers sampling requests itself."""
        return msgspec.structs.replace(self, features=self.features | {"sampling"}, sampling="{}")


NOTHING = Profile()


def mode_of(question: Question) -> Feature:
    """``url`` or ``form``, which is meant when nothing is said."""
    return "url" if bytes(question.params.get("mode", b"")) == b'"url"' else "form"


def required(method: str) -> dict[str, dict[str, Any]]:
    """The capability that a client must declare to be asked ``method``."""
    return {method.partition("/")[0]: {}}


def read_profile(declared: bytes | None) -> Profile:
    """The profile of a client's ``capabilities`` object; of something else, nothing."""
    if not declared or declared == b"{}" or len(declared) > MAX_DECLARED_BYTES:
        return NOTHING
    return _read(declared)


@lru_cache(maxsize=1_024)
def _read(declared: bytes) -> Profile:
    try:
        fields = msgspec.json.decode(declared, type=dict[str, Any])
    except msgspec.MsgspecError:
        return NOTHING
    features: set[Feature] = set()
    elicitation = fields.get("elicitation")
    if isinstance(elicitation, dict):
        # Before the modes had names, a client that could elicit could do it by form.
        if "form" in elicitation or "url" not in elicitation:
            features.add("form")
        if "url" in elicitation:
            features.add("url")
    sampling = fields.get("sampling")
    if isinstance(sampling, dict):
        features.add("sampling")
    if isinstance(fields.get("roots"), dict):
        features.add("roots")
    extensions = fields.get("extensions")
    apps = extensions.get(_APPS) if isinstance(extensions, dict) else None
    return Profile(
        frozenset(features),
        _canonical(sampling) if isinstance(sampling, dict) else "{}",
        _canonical(apps) if isinstance(apps, dict) else None,
    )


@lru_cache(maxsize=1_024)
def _declared(profile: Profile) -> bytes:
    said: dict[str, Any] = {}
    modes: dict[str, dict[str, Any]] = {mode: {} for mode in ("form", "url") if mode in profile.features}
    if modes:
        said["elicitation"] = modes
    if "sampling" in profile.features:
        said["sampling"] = msgspec.Raw(profile.sampling.encode())
    if "roots" in profile.features:
        said["roots"] = {}
    if profile.apps is not None:
        said["extensions"] = {_APPS: msgspec.Raw(profile.apps.encode())}
    return msgspec.json.encode(said)


@lru_cache(maxsize=1_024)
def _digest(profile: Profile) -> str:
    return "" if profile == NOTHING else hashlib.sha256(_declared(profile)).hexdigest()[:16]


def _canonical(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
