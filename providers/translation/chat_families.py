"""How much OpenAI's models can say: they refuse a higher bound, which other vendors' clients set for what theirs can
(https://platform.openai.com/docs/models).

Names of the same models at other vendors (``openai/gpt-4o``) end alike; of any other model nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST_TOKENS: Sequence[tuple[re.Pattern[str], int]] = (
    (re.compile(r"gpt-3\.5|gpt-4-turbo|gpt-4o-2024-05-13"), 4_096),
    (re.compile(r"gpt-4o|chatgpt-4o|gpt-5(\.\d)?-chat"), 16_384),
    (re.compile(r"gpt-4\.1|o1-preview"), 32_768),
    (re.compile(r"o1-mini"), 65_536),
    (re.compile(r"o[134](-|$)"), 100_000),
    (re.compile(r"gpt-5"), 128_000),
)


def most_tokens(model: str) -> int | None:
    """The highest bound that ``model`` takes; ``None``: it is not known."""
    name = model.rpartition("/")[2]
    return next((most for pattern, most in _MOST_TOKENS if pattern.match(name)), None)
