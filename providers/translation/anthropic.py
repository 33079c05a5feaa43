"""Anthropic's messages, as clients and as providers speak them."""

from __future__ import annotations

from providers.translation.anthropic_answers import read_answer, write_answer
from providers.translation.anthropic_decoder import AnthropicDecoder
from providers.translation.anthropic_encoder import AnthropicEncoder
from providers.translation.anthropic_request_reader import read_request
from providers.translation.anthropic_request_writer import write_request
from providers.translation.base import Back, Face

ANTHROPIC_FACE = Face(read_request, write_answer, AnthropicEncoder)
ANTHROPIC_BACK = Back(write_request, read_answer, AnthropicDecoder)
