"""What an upstream's error body says, whoever's it is."""

from __future__ import annotations

import pytest

from providers.failures import failure_class, message_of


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "bad temperature", "code": null}}', "bad temperature"),
        (b'{"error": "bad temperature"}', "bad temperature"),
        (b'{"message": "Malformed input request"}', "Malformed input request"),
        (b'{"Message": "User is not authorized"}', "User is not authorized"),
        (b'{"detail": "nothing of this"}', ""),
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
    ],
)
def test_a_vendors_words_are_found_in_its_own_envelope(body: bytes, message: str) -> None:
    assert message_of(body) == message


def test_bedrocks_words_for_a_prompt_that_is_too_long_are_known() -> None:
    body = b'{"message": "Input is too long for requested model."}'
    assert failure_class(400, body, own_key=True) == "context"
