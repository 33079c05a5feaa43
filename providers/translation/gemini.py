"""Gemini's generateContent and streamGenerateContent, as clients and as providers speak them."""

from __future__ import annotations

from providers.translation.base import Back, Face
from providers.translation.gemini_answers import read_answer, write_answer
from providers.translation.gemini_decoder import GeminiDecoder
from providers.translation.gemini_encoder import GeminiEncoder
from providers.translation.gemini_request_reader import read_request
from providers.translation.gemini_request_writer import write_request

GEMINI_FACE = Face(read_request, write_answer, GeminiEncoder)
GEMINI_BACK = Back(write_request, read_answer, GeminiDecoder)
