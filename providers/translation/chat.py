"""OpenAI's chat completions, translated: as clients speak them, and as providers do
(https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from providers.translation.base import Back, Face
from providers.translation.chat_answers import read_answer, write_answer
from providers.translation.chat_decoder import ChatDecoder
from providers.translation.chat_encoder import ChatEncoder
from providers.translation.chat_request_reader import read_request
from providers.translation.chat_request_writer import write_request

CHAT_FACE = Face(read=read_request, write=write_answer, encoder=ChatEncoder)
CHAT_BACK = Back(write=write_request, read=read_answer, decoder=ChatDecoder)
