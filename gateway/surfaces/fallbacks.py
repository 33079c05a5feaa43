"""The caller's own choice of models to go on with: Bifrost's body field ``fallbacks``, or a header.

The field is the gate's, not the vendor's: it is taken out of the body before that goes anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from policies.strict_json import BodyError
from providers.dialects.base import Dialect, ModelRequest

HEADER = "x-tollkeeper-fallbacks"
FIELD = "fallbacks"
MOST = 8

_names = msgspec.json.Decoder(list[str]).decode


def with_fallbacks(dialect: Dialect, request: ModelRequest, headers: Mapping[str, str]) -> ModelRequest:
    """``request`` with the models that it names, body first. Raises ``BodyError``."""
    raw = request.body.get(FIELD)
    header = headers.get(HEADER)
    if raw is None and header is None:
        return request
    names: list[str] = []
    if raw is not None:
        try:
            names = _names(raw)
        except msgspec.MsgspecError:
            raise BodyError("invalid_request", f"'{FIELD}' must be a list of models' names") from None
        request = dialect.parse(request.body.without(FIELD))
    names += [name.strip() for name in (header or "").split(",") if name.strip()]
    if len(names) > MOST or any(not 0 < len(name) <= 200 for name in names):
        raise BodyError("invalid_request", f"at most {MOST} fallbacks, each a model's name")
    return msgspec.structs.replace(request, fallbacks=tuple(names))
