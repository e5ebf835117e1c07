#!/usr/bin/env python3
"""Logits of a Llama folder as PyPI's transformers computes them, in float32 on the CPU; with a second folder, of PEFT's adapter upon it.

    pip install torch transformers safetensors        # and peft, for adapters
    baichuan2 export --model my-model --as llama --dtype f32 --out my-llama
    echo '[195, 77, 78, 196]' | python tests/torch/llama.py my-llama [my-adapter]

The ids come on standard input as JSON; a JSON array goes out, one row of logits a token. tests/reference/torch.rs compares it with ours:

    BAICHUAN2_TORCH_PYTHON=<that python> cargo test --test reference -- --nocapture torch
"""
import json
import sys

import torch
from transformers import LlamaForCausalLM

folder, *adapter = sys.argv[1:]
model, loading = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
# What is missing would be random, and what is left over would be unused: neither may pass as agreement.
for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    if loading[kind]:
        sys.exit(f"{folder}: {kind}: {loading[kind]}")
if adapter:
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, adapter[0])
    found = sum(name.endswith("lora_B.default.weight") and bool(p.any()) for name, p in model.named_parameters())
    if found != 3 * model.config.num_hidden_layers:
        sys.exit(f"{adapter[0]}: {found} changes were loaded")
model.eval()
ids = torch.tensor([json.load(sys.stdin)])
with torch.no_grad():
    logits = model(input_ids=ids).logits[0]
json.dump(logits.tolist(), sys.stdout)
