#!/usr/bin/env python3
"""Steps of PyTorch's AdamW on a small matrix, in float64: the numbers of tests/goldens/adamw.json.

    pip install torch
    python tests/torch/adamw.py > tests/goldens/adamw.json
"""
import json

import torch

torch.manual_seed(2310)
start = torch.randn(3, 4, dtype=torch.float64)
gradients = [torch.randn(3, 4, dtype=torch.float64) * scale for scale in (1.0, 0.01, 30.0, 1.0, 0.0)]
rates = [2e-4, 1e-3, 5e-4, 2e-4, 1e-4]
settings = dict(betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)

parameter = torch.nn.Parameter(start.clone())
optimizer = torch.optim.AdamW([parameter], lr=1.0, **settings)
after = []
for gradient, rate in zip(gradients, rates):
    optimizer.param_groups[0]["lr"] = rate
    parameter.grad = gradient.clone()
    optimizer.step()
    after.append(parameter.detach().clone())

# Clipping to a norm, over two tensors together.
clipped = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients[:2]]
for p, g in zip(clipped, gradients):
    p.grad = g.clone()
norm = torch.nn.utils.clip_grad_norm_(clipped, 0.5)

print(json.dumps({
    "torch": torch.__version__.split("+")[0],
    "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1,
    "start": start.tolist(), "rates": rates,
    "gradients": [g.tolist() for g in gradients], "after": [a.tolist() for a in after],
    "clip": {"to": 0.5, "norm": norm.item(), "gradients": [p.grad.tolist() for p in clipped]},
}, indent=1))
