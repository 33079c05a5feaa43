"""Scalar types of the vocabulary: dollars, durations, names, patterns, secrets.

The loader hands every scalar over as the text that stands in the file, so that dollars are read
exactly and the schema, not YAML's guessing, decides what a text means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

from policies.egress import EgressGuard

MAX_DOLLARS = Decimal(1_000_000_000)
"""A larger amount is taken for a typing error."""
_NANO_DOLLAR = Decimal("1e-9")
_DURATION = re.compile(r"([1-9][0-9]{0,3})([mhdwMY])")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KEY_SECRET = re.compile(r"[\x21-\x7e]+")
_KEY_HASH = re.compile(r"sha256:[0-9a-f]{64}")

DurationUnit = Literal["m", "h", "d", "w", "M", "Y"]


def ordered_fields(section: type[BaseModel]) -> list[str]:
    """A block's keys as people write them: its own (the name first), then those it shares with others."""
    own = [name for name in section.model_fields if name in section.__annotations__]
    return own + [name for name in section.model_fields if name not in own]


def _order_properties(schema: dict[str, Any], section: type[BaseModel]) -> None:
    properties = schema.get("properties", {})
    schema["properties"] = {name: properties[name] for name in ordered_fields(section)}


class Section(BaseModel):
    """Base of every block: frozen, and an unknown key is an error. Messages never quote the input."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        json_schema_extra=_order_properties,
    )


@dataclass(frozen=True, slots=True)
class Duration:
    """The window of a limit: ``count`` times minutes, hours, days, weeks, months (``M``) or years.

    ``m`` and ``h`` roll; ``d w M Y`` follow the UTC calendar.
    """

    count: int
    unit: DurationUnit

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``1m 1h 1d 1w 1M 1Y`` and multiples up to 9999. Raises ``ValueError``."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError("must be a duration: a number and one of m h d w M Y, such as 1h, 1d or 1M")
        unit = next(known for known in get_args(DurationUnit) if known == match[2])
        return cls(int(match[1]), unit)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


def parse_dollars(value: object) -> Decimal:
    """An exact amount of dollars from text, an integer or a ``Decimal``; never from a float.

    Raises ``ValueError`` for what is not a number, negative, above 10^9, or finer than a nano-dollar
    (the unit that money is counted in).
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("must be a number of dollars")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError("must be a number of dollars, such as 100 or 0.15") from None
    if not amount.is_finite():
        raise ValueError("must be a finite number of dollars")
    if amount < 0:
        raise ValueError("must not be negative")
    if amount > MAX_DOLLARS:
        raise ValueError(f"must be at most {MAX_DOLLARS:,} dollars")
    if amount % _NANO_DOLLAR:
        raise ValueError("must not be finer than a nano-dollar (9 decimal places)")
    return amount


def _parse_duration(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 1h, 1d or 1M")
    return Duration.parse(value)


def _check_server_name(name: str) -> str:
    if not _SERVER_NAME.fullmatch(name) or "__" in name or name.endswith("_"):
        raise ValueError(
            "must be 1 to 32 of a-z 0-9 _ -, begin with a letter or digit, not end in _, and not contain __ "
            "(which separates server and tool in exposed names)"
        )
    return name


def _check_key_secret(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not _KEY_SECRET.fullmatch(value):
        raise ValueError("must be printable ASCII without spaces, because it travels in an HTTP header")
    if value.startswith("sha256:") and not _KEY_HASH.fullmatch(value):
        raise ValueError("a hashed key is sha256: and 64 lower-case hexadecimal digits")
    return secret


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be a URL that begins with http:// or https://")
    try:
        parts = urlsplit(url)
        valid = parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("is not a valid URL")
    reason = EgressGuard().judge_url(url, "operator")
    if reason is not None:
        raise ValueError(f"is not a usable URL: {reason}")
    return url


def _check_header_value(secret: SecretStr) -> SecretStr:
    """RFC 9110 section 5.5: a field value has no CR, LF or NUL. A trailing line break is the usual slip."""
    if set(secret.get_secret_value()) & set("\r\n\0"):
        raise ValueError("contains a line break; remove it (it travels in an HTTP header)")
    return secret


def _check_pattern(pattern: str) -> str:
    if not pattern.removeprefix("!"):
        raise ValueError("must not be an empty pattern")
    return pattern


def _empty_for_null(value: Any) -> Any:
    return "" if value is None else value


Dollars = Annotated[
    Decimal,
    BeforeValidator(parse_dollars),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": int(MAX_DOLLARS)}),
]
"""US dollars, exact, 0 to 10^9."""

Window = Annotated[
    Duration,
    BeforeValidator(_parse_duration),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
"""A ``Duration``, written ``1d``."""

Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
"""Of a provider, customer, team or virtual key: letters, digits, ``. _ -``; it appears in URLs and rows."""

ServerName = Annotated[
    str, AfterValidator(_check_server_name), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"})
]
"""Of an MCP server: the first half of an exposed tool name."""

Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A grant pattern: ``*`` matches any run of characters, ``/`` included; ``!`` in front denies."""

Url = Annotated[str, AfterValidator(_check_url)]

HeaderSecret = Annotated[SecretStr, AfterValidator(_check_header_value)]
"""A value that is never printed and travels in a header."""

KeySecret = Annotated[SecretStr, AfterValidator(_check_key_secret)]
"""A virtual key, or ``sha256:`` and the 64 hexadecimal digits of its SHA-256."""

EnvironmentValue = Annotated[SecretStr, BeforeValidator(_empty_for_null)]
"""A value of a child's environment; may be empty."""

HeaderValue = Annotated[SecretStr, BeforeValidator(_empty_for_null), AfterValidator(_check_header_value)]
"""A value of a header; may be empty."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=0, le=10**15)]
