"""What limits a payer: budgets, rates, grants, run limits. Shared by customers, teams, keys, providers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.config.values import Count, Dollars, Pattern, Section, Window

Enforcement = Literal["expected", "strict"]


class Budget(Section):
    """One of several budgets of the same payer."""

    budget_limit: Dollars = Field(description="Dollars that may be spent per window.")
    budget_duration: Window = Field(description="Window of the budget: `1m 1h` roll, `1d 1w 1M 1Y` follow UTC.")


class RateLimit(Section):
    """How often and how much a payer may call. Each limit needs its window."""

    request_limit: Count | None = Field(default=None, description="Calls (model and tool) per window.")
    request_limit_duration: Window | None = Field(default=None, description="Window of `request_limit`, such as `1h`.")
    token_limit: Count | None = Field(default=None, description="Tokens, input and output, per window.")
    token_limit_duration: Window | None = Field(default=None, description="Window of `token_limit`, such as `1d`.")
    parallel_limit: Count | None = Field(default=None, description="Calls in flight at the same time.")


class RunLimits(Section):
    """What one run (an agent session) may use. They stop accidents; the key's budget is the security limit."""

    budget_limit: Dollars | None = Field(default=None, description="Dollars that one run may spend.")
    tool_calls: Count | None = Field(default=None, description="Tool calls in one run.")
    model_calls: Count | None = Field(default=None, description="Model calls in one run.")
    duration: Window | None = Field(default=None, description="How long a run may last, such as `10m`.")


class Limited(Section):
    """The budget and rate fields that every payer takes."""

    budget_limit: Dollars | None = Field(
        default=None, description="Dollars that may be spent per `budget_duration`. Absent: no budget of its own."
    )
    budget_duration: Window | None = Field(
        default=None,
        description="Window of `budget_limit`: `1m 1h` roll; `1d 1w 1M 1Y` follow the UTC calendar (weeks begin on "
        "Monday).",
    )
    budgets: tuple[Budget, ...] = Field(
        default=(), description="Several budgets at once, each with its window; all must hold. Added to `budget_limit`."
    )
    rate_limit: RateLimit | None = Field(default=None, description="Request, token and parallel-call limits.")
    enforcement: Enforcement | None = Field(
        default=None, description="Overrides `budgets.enforcement` for this payer: `expected` or `strict`."
    )


class Granted(Section):
    """What may be used. A `!` pattern denies and wins in any order; `[]` grants nothing."""

    allowed_models: tuple[Pattern, ...] | None = Field(
        default=None,
        description="Models that may be used, as patterns over `model` or `provider/model`. Grants of key, team and "
        "customer intersect. Absent on a team or customer: no narrowing; on a key: the team's, and without a team "
        "none.",
    )
    allowed_tools: tuple[Pattern, ...] | None = Field(
        default=None, description="MCP tools that may be seen and called, as patterns over `server/tool`."
    )
    allowed_resources: tuple[Pattern, ...] | None = Field(
        default=None,
        description="MCP resources, as patterns over `server/uri`. Absent everywhere: those of servers that "
        "`allowed_tools` covers whole (`files/*`).",
    )
    allowed_prompts: tuple[Pattern, ...] | None = Field(
        default=None, description="MCP prompts, as patterns over `server/prompt`. Absent: as for resources."
    )
