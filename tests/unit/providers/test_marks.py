"""The search for marks finds what CPython's own finds, wherever it stands and whatever stands beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import anthropic, gemini, marks, openai
from providers.dialects.base import estimate_tokens
from providers.dialects.marks import bears
from providers.translation import foreign_seals

SETS = (
    openai.CHAT_MEDIA,
    openai.RESPONSES_MEDIA,
    anthropic._MEDIA_MARKS,
    gemini._MEDIA_MARKS,
    foreign_seals._OPENINGS,
    foreign_seals._GEMINI_OPENINGS,
)
EVERY = tuple(mark for found in SETS for mark in found)
LONG = 4_000
"""More bytes than are left to CPython's own search."""


def broken(mark: bytes) -> bytes:
    """All but its last byte: what must not be taken for it."""
    return mark[:-1] + b"_"


@given(st.lists(st.sampled_from([*EVERY, *map(broken, EVERY), b'"', b"\\", "→".encode(), b"x" * 61]), max_size=60))
def test_a_mark_is_found_exactly_where_it_stands_among_what_resembles_it(pieces: list[bytes]) -> None:
    for padding in (b"", b"y" * LONG):
        for body in (padding + b"".join(pieces), b"".join(pieces) + padding):
            for found in SETS:
                assert bears(body, found) == any(mark in body for mark in found)


@pytest.mark.parametrize("mark", EVERY)
def test_a_mark_is_found_at_every_distance_from_either_end(mark: bytes) -> None:
    for distance in range(130):
        assert bears(b"x" * (LONG + distance) + mark, (mark,))
        assert bears(b"x" * distance + mark + b"x" * LONG, (mark,))
        assert not bears(b"x" * distance + broken(mark) + b"x" * LONG, (mark,))


def test_without_the_fast_search_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_search", None)
    for mark in EVERY:
        assert bears(b"x" * LONG + mark, (b"absent", mark))
        assert not bears(b"x" * LONG + broken(mark), (b"absent", mark))


def test_a_python_without_ctypes_can_do_without() -> None:
    """Some are built without libffi."""
    program = (
        "import sys; sys.modules['_ctypes'] = None\n"
        "from providers.dialects.marks import bears\n"
        f"print(bears(b'x' * {LONG} + b'mark', (b'mark',)), bears(b'x' * {LONG}, (b'mark',)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "True False\n"


MESSAGES = st.lists(
    st.sampled_from(["x" * 900, 'he said "image_url"', "→" * 300, '{"tk1.": "input_audio"}']), max_size=8
)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000}}


@given(MESSAGES, st.booleans(), st.booleans())
def test_a_prompt_is_a_quarter_of_its_bytes_unless_it_holds_media_whatever_its_text_says(
    texts: list[str], media: bool, escaped: bool
) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": text} for text in texts]
    if media:
        messages.append({"role": "user", "content": [IMAGE]})
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=escaped).encode()
    estimated, most = estimate_tokens(body, openai.CHAT_MEDIA)
    if media:
        assert 1_600 < estimated < 1_600 + len(body) - 3_000
    else:
        assert (estimated, most) == (len(body) // 4 + 1, len(body) + 1)
