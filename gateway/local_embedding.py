"""Vectors for the semantic cache from a model on this machine: a folder as sentence-transformers publishes them.

``model.onnx`` (or ``onnx/model.onnx``) is run by onnxruntime, ``tokenizer.json`` read by tokenizers, the pooling by
``1_Pooling/config.json`` (mean where it is missing). One text at a time, in a thread of its own: a short text takes
some milliseconds, which the event loop does not have.

A text that is longer than the model reads gets no vector: two texts that differ only behind that point would be the
same to it.
"""

from __future__ import annotations

import asyncio
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gateway.state import StateError
from policies.caching.stores import Vector
from policies.identity import VirtualKey
from policies.types import CallContext

MOST_TOKENS = 512
_POOLED = "sentence_embedding"
S = TypeVar("S", bound=msgspec.Struct)


class _Pooling(msgspec.Struct):
    pooling_mode_cls_token: bool = False


class _Reading(msgspec.Struct):
    max_seq_length: int | None = None


class LocalEmbedder:
    """``policies.caching.stores.Embedder``. It costs nothing that a budget counts."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        model = next(p for p in (folder / "model.onnx", folder / "onnx" / "model.onnx") if p.exists())
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._outputs = [given.name for given in self._session.get_outputs()]
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._first_token = _read(folder / "1_Pooling" / "config.json", _Pooling).pooling_mode_cls_token
        longest = _read(folder / "sentence_bert_config.json", _Reading).max_seq_length or MOST_TOKENS
        self._longest = min(longest, MOST_TOKENS)
        self._dimensions = dimensions
        self._thread = ThreadPoolExecutor(1, "embedding")

    @classmethod
    def load(cls, path: str, dimensions: int) -> LocalEmbedder:
        """Read the folder and try it once. Raises ``StateError``."""
        folder = Path(path)
        if not (folder / "tokenizer.json").exists() or not any(
            (folder / name).exists() for name in ("model.onnx", "onnx/model.onnx")
        ):
            raise StateError(f"semantic_cache.embedding.model_path: {path} has no tokenizer.json and model.onnx.")
        try:
            embedder = cls(folder, dimensions)
            found = embedder.vector("a first text")
        except (RuntimeError, ValueError, msgspec.MsgspecError) as error:
            raise StateError(f"semantic_cache.embedding.model_path: {path} cannot be loaded: {error}.") from None
        if isinstance(found, str):
            raise StateError(f"semantic_cache.embedding.model_path: {found}.")
        return embedder

    async def embed(self, key: VirtualKey, parent: CallContext, text: str) -> Vector | str:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.vector, text)

    def vector(self, text: str) -> Vector | str:
        """The unit vector of ``text``, or why there is none. Blocking."""
        tokens = self._tokenizer.encode(text)
        if len(tokens.ids) > self._longest:
            return f"the text has {len(tokens.ids)} tokens and the local model reads {self._longest}"
        given = {"input_ids": tokens.ids, "attention_mask": tokens.attention_mask, "token_type_ids": tokens.type_ids}
        feed = {name: np.array([given[name]], np.int64) for name in self._inputs}
        output = _POOLED if _POOLED in self._outputs else self._outputs[0]
        found: NDArray[np.float32] = self._session.run([output], feed)[0][0]
        if found.ndim == 2:
            found = found[0] if self._first_token else found.mean(axis=0)
        if found.shape != (self._dimensions,):
            return f"the local model gives vectors of {found.size} numbers, not {self._dimensions}"
        return array("f", (found / np.linalg.norm(found)).astype(np.float32).tobytes())


def _read(path: Path, kind: type[S]) -> S:
    return msgspec.json.decode(path.read_bytes(), type=kind) if path.exists() else kind()
