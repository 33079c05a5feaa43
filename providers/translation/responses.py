"""OpenAI's responses as clients speak them (the openai SDK, openai-agents, Codex), and as providers do."""

from __future__ import annotations

from providers.translation.base import Back, Face
from providers.translation.responses_answer_reader import read_answer
from providers.translation.responses_answers import write_answer
from providers.translation.responses_decoder import ResponsesDecoder
from providers.translation.responses_encoder import ResponsesEncoder
from providers.translation.responses_request_reader import read_request
from providers.translation.responses_request_writer import write_request

RESPONSES_FACE = Face(read=read_request, write=write_answer, encoder=ResponsesEncoder)
RESPONSES_BACK = Back(write=write_request, read=read_answer, decoder=ResponsesDecoder)
