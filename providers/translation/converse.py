"""Bedrock's Converse, as the provider speaks it."""

from __future__ import annotations

from providers.translation.base import Back
from providers.translation.converse_answers import read_answer
from providers.translation.converse_decoder import ConverseDecoder
from providers.translation.converse_request_writer import write_request

CONVERSE_BACK = Back(write_request, read_answer, ConverseDecoder)
