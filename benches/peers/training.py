#!/usr/bin/env python3
"""Training speed of this project against PyTorch on the same machine, in one run.

    cargo bench --bench training --no-run
    python benches/peers/training.py [--alibi] [--threads N] [--rounds N] [--steps N]

Needs PyTorch, safetensors and numpy from PyPI. Both sides train the default recipe from the same weights on the
same tokens, by turns of a few steps, on the same number of threads. That both are the same model is shown by their losses, which are compared at
every step; the figure is the ratio of the median times of a step.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


def cargo_bench():
    """The bench program, built."""
    command = ["cargo", "bench", "--bench", "training", "--no-run", "--message-format=json"]
    root = pathlib.Path(__file__).resolve().parents[2]
    built = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found = [json.loads(line) for line in built.stdout.splitlines()]
    [program] = [m["executable"] for m in found if m.get("target", {}).get("name") == "training" and m.get("executable")]
    return program


class Torch:
    """The same recipe in PyTorch: its fused attention, RMSNorm, cross-entropy and AdamW."""

    def __init__(self, recipe, weights):
        self.recipe = recipe
        self.weights = {name: torch.nn.Parameter(w.float()) for name, w in weights.items()}
        decayed = [w for w in self.weights.values() if w.dim() == 2]
        rest = [w for w in self.weights.values() if w.dim() == 1]
        groups = [{"params": decayed, "weight_decay": recipe["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(recipe["beta1"], recipe["beta2"]), eps=recipe["eps"], fused=True)
        context, heads = recipe["context"], recipe["heads"]
        width = recipe["hidden_size"] // heads
        self.alibi = recipe["position"] == "alibi"
        if self.alibi:
            at = torch.arange(context)
            distance = (at[None, :] - at[:, None]).float()
            slopes = torch.tensor(self.slopes(heads))
            mask = torch.full((context, context), float("-inf")).triu(1)
            self.bias = slopes[:, None, None] * distance + mask
        else:
            angles = torch.outer(torch.arange(context).float(), 1e4 ** (-torch.arange(0, width, 2).float() / width))
            self.cos, self.sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))

    @staticmethod
    def slopes(heads):
        of = lambda n: [2 ** (-8 * (i + 1) / n) for i in range(n)]
        power = 1 << (heads.bit_length() - 1)
        return of(power) + of(2 * power)[0::2][: heads - power]

    def rotate(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def logits(self, ids):
        w, heads = self.weights, self.recipe["heads"]
        norm = lambda x, name: F.rms_norm(x, x.shape[-1:], w[name], 1e-6)
        x = F.embedding(ids, w["model.embed_tokens.weight"])
        for i in range(self.recipe["layers"]):
            of = lambda name: w[f"model.layers.{i}.{name}.weight"]
            h = F.linear(norm(x, f"model.layers.{i}.input_layernorm.weight"), of("self_attn.W_pack"))
            q, k, v = h.view(*ids.shape, 3, heads, -1).permute(2, 0, 3, 1, 4)
            if self.alibi:
                o = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
            else:
                o = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
            x = x + F.linear(o.transpose(1, 2).reshape(x.shape), of("self_attn.o_proj"))
            h = norm(x, f"model.layers.{i}.post_attention_layernorm.weight")
            x = x + F.linear(F.silu(F.linear(h, of("mlp.gate_proj"))) * F.linear(h, of("mlp.up_proj")), of("mlp.down_proj"))
        return F.linear(norm(x, "model.norm.weight"), F.normalize(w["lm_head.weight"]))

    def step(self, sequences, rate):
        """One step on the given sequences."""
        z = self.logits(sequences[:, :-1]).flatten(0, 1)
        loss = F.cross_entropy(z, sequences[:, 1:].flatten()) + self.recipe["max_z_weight"] * z.max(-1).values.square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), self.recipe["clip"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return loss.item()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--alibi", action="store_true", help="ALiBi with six heads in place of RoPE with four")
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--steps", type=int, default=3, help="steps of a turn")
    arguments = arguments.parse_args()
    torch.set_num_threads(arguments.threads)

    with tempfile.TemporaryDirectory() as folder:
        command = [cargo_bench(), "--drive", folder] + ["--alibi"] * arguments.alibi
        environment = os.environ | {"RAYON_NUM_THREADS": str(arguments.threads)}
        ours = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        told = json.loads(ours.stdout.readline())
        peer = Torch(told["recipe"], load_file(f"{folder}/weights.safetensors"))

        def turn_of_ours():
            ours.stdin.write(f"{arguments.steps}\n")
            ours.stdin.flush()
            return json.loads(ours.stdout.readline())

        def turn_of_torch(turn):
            # The sequences and rates that ours had; making them ready is not timed.
            steps = [(torch.tensor(step["sequences"]), step["rate"]) for step in turn["steps"]]
            begin = time.perf_counter()
            losses = [peer.step(sequences, rate) for sequences, rate in steps]
            return (time.perf_counter() - begin) / arguments.steps, losses

        times, apart = ([], []), 0.0
        for round in range(arguments.rounds + 1):
            turn = turn_of_ours()
            seconds, losses = turn_of_torch(turn)
            apart = max([apart] + [abs(a["loss"] - b) for a, b in zip(turn["steps"], losses)])
            if round:  # the first warms up
                times[0].append(turn["seconds"])
                times[1].append(seconds)
        ours.stdin.close()
        ours.wait()

    tokens = told["recipe"]["batch_tokens"]
    mine, theirs = (statistics.median(t) for t in times)
    print(f"{told['recipe']['position']}, {arguments.threads} threads, medians of {arguments.rounds} turns of {arguments.steps} steps of {tokens} tokens")
    print(f"baichuan2              {tokens / mine:8.0f} tokens/s  ({told['blas']})")
    print(f"PyTorch {torch.__version__:14} {tokens / theirs:8.0f} tokens/s")
    print(f"ratio                  {theirs / mine:8.2f}")
    print(f"largest difference of a step's loss {apart:.1e}")
    assert apart < 2e-3, "the two did not train the same model"


if __name__ == "__main__":
    main()
