"""In what the models behind Bedrock's Converse differ, where a translated request must know.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
…/prompt-caching.html and the documentation of the single fields. A model's id names its maker
(``anthropic.claude-…``, with a region's prefix or as the end of an ARN); the ARN of an application's profile or of an
imported model does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from providers.canonical.losses import Losses
from providers.canonical.names import ToolNames
from providers.canonical.parts import CacheTtl

Family = Literal["claude", "nova", "other", "unnamed"]
Block: TypeAlias = dict[str, Any]


def family_of(model: str) -> Family:
    """``unnamed``: the id does not say whose model it is."""
    name = model.rpartition("/")[2]
    if "anthropic." in name:
        return "claude"
    if "amazon.nova" in name:
        return "nova"
    return "other" if "." in name else "unnamed"


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, how the tools are called there, and what is lost on the way."""

    model: str
    family: Family
    names: ToolNames
    losses: Losses

    @property
    def takes_seals(self) -> bool:
        """Whether signed thoughts may be handed back."""
        return self.family in ("claude", "unnamed")

    @property
    def takes_status(self) -> bool:
        """Whether a tool's result may say that it is an error."""
        return self.family != "other"

    def cache_point(self, ttl: CacheTtl | None, *, in_tools: bool = False) -> list[Block]:
        """The mark behind a marked block: one, or none. Models without caching refuse a request that has one."""
        if ttl is None:
            return []
        if self.family == "other" or (in_tools and self.family == "nova"):
            self.losses.hint("cache_control")
            return []
        # Five minutes is what a mark means anyhow, and not every model takes the field.
        return [{"cachePoint": {"type": "default"} if ttl == "5m" else {"type": "default", "ttl": ttl}}]
