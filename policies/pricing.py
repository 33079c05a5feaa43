"""The price of a call, exact, and where the price came from.

Prices are kept as integer nano-dollars per million units, so that ``$0.15 per million`` is
``150_000_000``. A row's cost is summed in that unit and rounded once, up.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from policies.types import Estimate, Usage

MILLION = 1_000_000
NANO = 1_000_000_000


def per_million(dollars: Decimal) -> int:
    """Nano-dollars per million units for a price in dollars per million. Raises ``ValueError`` for a
    price that is negative, not finite, or finer than a nano-dollar per million."""
    if not dollars.is_finite() or dollars < 0:
        raise ValueError(f"a price must be a number of dollars, zero or more, not {dollars}")
    scaled = dollars * NANO
    if scaled != scaled.to_integral_value():
        raise ValueError(f"the price {dollars} is finer than a nano-dollar per million tokens")
    return int(scaled)


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-dollars per million tokens of each kind."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    input_audio: int | None = None
    """``None``: as ``input``."""
    output_audio: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What one target charges. ``steps`` are (prompt tokens above which they apply, rates), ascending;
    the first starts at zero. The whole call is priced by the step its prompt reaches."""

    steps: tuple[tuple[int, Rates], ...] = ((0, Rates()),)
    per_call_nano: int = 0
    source: str = "free"
    """``catalogue:openai/gpt-4o``, ``configured``, ``free``, ``estimate:<dearest model>``."""
    warning: str | None = None
    """Said on every row that was charged with it."""

    def cost(self, usage: Usage) -> int:
        """Nano-dollars for ``usage``, rounded up once."""
        rates = self.steps[0][1]
        if len(self.steps) > 1:
            rates = self._reached(usage.total - usage.output_tokens)
        total = (
            usage.input_tokens * rates.input
            + usage.output_tokens * rates.output
            + usage.cache_read_tokens * rates.cache_read
            + usage.cache_write_tokens * rates.cache_write
            + usage.cache_write_1h_tokens * rates.cache_write_1h
        )
        if usage.input_audio_tokens and rates.input_audio is not None:
            total += min(usage.input_audio_tokens, usage.input_tokens) * (rates.input_audio - rates.input)
        if usage.output_audio_tokens and rates.output_audio is not None:
            total += min(usage.output_audio_tokens, usage.output_tokens) * (rates.output_audio - rates.output)
        return self.per_call_nano - (-total // MILLION)

    def hold(self, estimate: Estimate, *, strict: bool) -> int:
        """Nano-dollars to hold for an attempt before it leaves: what it typically costs, or, ``strict``,
        the most that the estimated input and the permitted output can cost (every input token written
        to a cache, say)."""
        if not strict:
            return self.cost(Usage(input_tokens=estimate.input_tokens, output_tokens=estimate.expected_output_tokens))
        most_input = estimate.most_input_tokens
        reached = [rates for above, rates in self.steps if above <= most_input]
        dearest_input = max(max(r.input, r.cache_write, r.cache_write_1h, r.input_audio or 0) for r in reached)
        dearest_output = max(max(r.output, r.output_audio or 0) for r in reached)
        total = most_input * dearest_input + (estimate.max_output_tokens or 0) * dearest_output
        return self.per_call_nano - (-total // MILLION)

    def _reached(self, prompt_tokens: int) -> Rates:
        reached = [rates for above, rates in self.steps if prompt_tokens > above]
        return reached[-1] if reached else self.steps[0][1]


FREE = Price()


def per_call(dollars: Decimal) -> Price:
    """A fixed price per call, as ``tool_prices`` declares it, rounded up to a nano-dollar. Raises
    ``ValueError`` if it is negative or not finite."""
    if not dollars.is_finite() or dollars < 0:
        raise ValueError(f"a price must be a number of dollars, zero or more, not {dollars}")
    return Price(per_call_nano=int((dollars * NANO).to_integral_value(ROUND_CEILING)), source="configured")
