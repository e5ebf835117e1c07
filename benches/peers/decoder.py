#!/usr/bin/env python3
"""A decoder of this project against llama.cpp, candle and PyTorch on the same machine, the same weights, in one run.

    python benches/peers/decoder.py                              # 8 layers of the 7B, bf16, against llama.cpp
    python benches/peers/decoder.py --format int8                # ours in 8 bits, llama.cpp's Q8_0
    python benches/peers/decoder.py --shape 135m --peer candle --peer llama.cpp --peer torch

Needs numpy, safetensors, gguf and xllamacpp (that is llama.cpp) from PyPI, for `--peer torch` torch too; candle is built by cargo. All
sides read a prompt and then say tokens one at a time, by turns, on the same number of threads; the figures are medians of the rounds, and the
ratios are taken within each round. The model is synthetic, as `baichuan2 synth` makes it, and the others get it as
`baichuan2 export --as llama` writes it: the same numbers, except that Q8_0 and Q4_0 are llama.cpp's own.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "peers"
LLAMA_135M = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "max_position_embeddings": 8192, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
}


def built(*arguments, cwd=ROOT):
    """The executable that cargo builds."""
    command = ["cargo", "build", "--release", "--message-format=json", *arguments]
    lines = subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [m["executable"] for m in map(json.loads, lines) if m.get("executable")][-1]


def made(folder, *command):
    """A folder that `command folder` writes, unless it is there."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*map(str, command), str(folder)], check=True)
    return folder


class Ours:
    name = "baichuan2"

    def __init__(self, program, folder, arguments):
        self.command = [program, "--threads", str(arguments.threads), "bench", "--model", folder, "--rounds", "1", "--json",
                        "--prompt", str(arguments.prompt), "--tokens", str(arguments.tokens)]

    def round(self):
        result = json.loads(subprocess.run(self.command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        self.machine = result
        return result["prompt"]["tokens_per_second"], result["token"]["tokens_per_second"]


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, folder, arguments):
        import xllamacpp

        kind = {"bf16": "BF16", "f32": "F32", "int8": "Q8_0", "int4": "Q4_0"}[arguments.format]
        file = folder.parent / f"{folder.name}-{kind}.gguf"
        if not file.exists():
            as_gguf(folder, file, kind)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx = arguments.prompt + arguments.tokens + 8
        parameters.n_batch = parameters.n_ubatch = max(512, arguments.prompt)
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = arguments.threads
        parameters.verbosity = 0
        self.server = xllamacpp.Server(parameters)
        self.ids = ids(arguments, vocabulary=json.loads((folder / "config.json").read_text())["vocab_size"])
        self.tokens = arguments.tokens

    def round(self):
        answer = self.server.handle_completions({"prompt": self.ids, "n_predict": self.tokens, "cache_prompt": False, "ignore_eos": True, "temperature": 0.0})
        timings = answer["timings"]
        assert timings["prompt_n"] == len(self.ids) and timings["predicted_n"] == self.tokens, timings
        return timings["prompt_per_second"], timings["predicted_per_second"]


def tensors(folder):
    """Name and numbers of each tensor of a folder of safetensors, in f32."""
    import numpy as np

    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        for name, entry in entries.items():
            stored = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}[entry["dtype"]]
            begin, end = entry["data_offsets"]
            numbers = np.fromfile(path, stored, (end - begin) // stored().itemsize, offset=8 + length + begin)
            if entry["dtype"] == "BF16":  # the upper half of an f32
                numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
            yield name, numbers.astype(np.float32).reshape(entry["shape"])


def as_gguf(folder, file, kind):
    """The Llama of `folder` as a file of llama.cpp, its matrices in the format `kind`."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    writer = gguf.GGUFWriter(f"{file}.partial", "llama", use_temp_file=True)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config.get("rope_theta", 1e4))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    # A vocabulary must be there; what is measured are numbers, not text.
    names = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    names += [f"t{i}" for i in range(len(names), config["vocab_size"])]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([-float(i) for i in range(len(names))])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(names) - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    parts = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, array in tensors(folder):
        stem = name.removesuffix(".weight")
        in_layer = stem not in whole
        if in_layer:
            _, _, layer, part = stem.split(".", 3)
            to = f"blk.{layer}.{parts[part]}"
        else:
            to = whole[stem]
        turned = {"q_proj": heads, "k_proj": kv_heads}.get(stem.rsplit(".", 1)[-1])
        if turned:  # neighbours, where Hugging Face turns halves
            array = array.reshape(turned, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        # As in ours, the embedding and the head keep the format of the checkpoint.
        format = "F32" if array.ndim == 1 else kind if in_layer or not kind.startswith("Q") else "BF16"
        format = gguf.GGMLQuantizationType[format]
        writer.add_tensor(f"{to}.weight", gguf.quants.quantize(array, format), raw_dtype=format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.rename(f"{file}.partial", file)


class Candle:
    name = "candle"

    def __init__(self, folder, arguments):
        if arguments.format not in ("bf16", "f32"):
            raise SystemExit("candle is measured with bf16 and f32")
        program = built("--target-dir", str(WORK / "candle"), cwd=ROOT / "benches" / "peers" / "candle")
        self.process = subprocess.Popen(
            [program, str(folder), arguments.format, str(arguments.prompt), str(arguments.tokens)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "RAYON_NUM_THREADS": str(arguments.threads)})

    def round(self):
        """One line asks for a round, one line answers."""
        print(file=self.process.stdin, flush=True)
        return tuple(json.loads(self.process.stdout.readline()))


class Torch:
    name = "PyTorch"

    def __init__(self, folder, arguments):
        import torch

        torch.set_num_threads(arguments.threads)
        self.torch = torch
        self.config = c = json.loads((folder / "config.json").read_text())
        dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[arguments.format]
        self.w = {name: torch.from_numpy(array).to(dtype) for name, array in tensors(folder)}
        self.ids = torch.tensor(ids(arguments, c["vocab_size"]))
        self.tokens = arguments.tokens
        self.width = c["hidden_size"] // c["num_attention_heads"]
        at = torch.arange(arguments.prompt + arguments.tokens).float()
        angles = torch.outer(at, c.get("rope_theta", 1e4) ** (-torch.arange(0, self.width, 2).float() / self.width))
        self.cos, self.sin = (torch.cat([f(angles)] * 2, -1).to(dtype) for f in (torch.cos, torch.sin))

    def step(self, ids, cache):
        """Logits of the last of `ids`, by PyTorch's fused attention and norm."""
        F, c, w = self.torch.nn.functional, self.config, self.w
        first = cache[0][0].shape[1] if cache else 0
        cos, sin = self.cos[first : first + len(ids)], self.sin[first : first + len(ids)]
        def turn(x):
            a, b = x.chunk(2, -1)
            return x * cos + self.torch.cat([-b, a], -1) * sin
        def norm(x, name):
            return F.rms_norm(x, (c["hidden_size"],), w[name + ".weight"], c["rms_norm_eps"])
        def apply(x, name):
            return F.linear(x, w[name + ".weight"])
        x = w["model.embed_tokens.weight"][ids]
        for i in range(c["num_hidden_layers"]):
            layer = f"model.layers.{i}"
            h = norm(x, layer + ".input_layernorm")
            q, k, v = (apply(h, f"{layer}.self_attn.{p}_proj").view(len(ids), -1, self.width).transpose(0, 1) for p in "qkv")
            q, k = turn(q), turn(k)
            if first:
                k, v = (self.torch.cat([old, new], 1) for old, new in zip(cache[i], (k, v)))
                cache[i] = (k, v)
            else:
                cache.append((k, v))
            a = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=len(ids) > 1, enable_gqa=q.shape[0] != k.shape[0])[0]
            x = x + apply(a.transpose(0, 1).reshape(len(ids), -1), layer + ".self_attn.o_proj")
            h = norm(x, layer + ".post_attention_layernorm")
            x = x + apply(F.silu(apply(h, layer + ".mlp.gate_proj")) * apply(h, layer + ".mlp.up_proj"), layer + ".mlp.down_proj")
        head = "lm_head" if "lm_head.weight" in w else "model.embed_tokens"
        return apply(norm(x[-1:], "model.norm"), head)[0]

    def round(self):
        with self.torch.inference_mode():
            cache = []
            begin = time.perf_counter()
            logits = self.step(self.ids, cache)
            prompt = time.perf_counter() - begin
            times = []
            for _ in range(self.tokens):
                begin = time.perf_counter()
                logits = self.step(logits.argmax()[None], cache)
                times.append(time.perf_counter() - begin)
        return len(self.ids) / prompt, 1 / statistics.median(times)


def ids(arguments, vocabulary):
    """The prompt of `baichuan2 bench`."""
    return [i * 7919 % vocabulary for i in range(arguments.prompt)]


PEERS = {"llama.cpp": LlamaCpp, "candle": Candle, "torch": Torch}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="7b", help="7b, 135m (a Llama), embedded, or a folder with a model (default 7b)")
    parser.add_argument("--layers", type=int, help="of the shape (default 8 for 7b)")
    parser.add_argument("--format", choices=["bf16", "f32", "int8", "int4"], default="bf16", help="of the weights (default bf16)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="whom to compare with; may be given several times (default llama.cpp)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    program = built("-p", "baichuan2", "--bin", "baichuan2")
    stored = arguments.format if arguments.format == "f32" else "bf16"
    if arguments.shape == "7b":
        layers = arguments.layers or 8
        model = made(WORK / f"7b-{layers}-{stored}", program, "synth", "7b", "--layers", layers, "--dtype", stored)
    elif arguments.shape == "135m":
        config = WORK / "135m.json"
        WORK.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(LLAMA_135M))
        model = made(WORK / f"135m-{stored}", program, "synth", config, "--dtype", stored)
    elif arguments.shape == "embedded":
        model = made(WORK / f"embedded-{stored}", program, "export", "--dtype", stored, "--out")
    else:
        model = pathlib.Path(arguments.shape).resolve()
    is_llama = json.loads((model / "config.json").read_text())["model_type"] == "llama"
    llama = model if is_llama else made(WORK / f"{model.name}-llama", program, "export", "--as", "llama", "--model", model, "--out")
    if arguments.format.startswith("int"):
        model = made(WORK / f"{model.name}-{arguments.format}", program, "quantize", "--model", model, "--bits", arguments.format[3:], "--out")

    sides = [Ours(program, model, arguments)] + [PEERS[peer](llama, arguments) for peer in arguments.peer or ["llama.cpp"]]
    for side in sides[1:]:
        side.round()  # pages, buffers, threads; ours warms up in each of its own
    rounds = []
    for i in range(arguments.rounds):
        print(f"round {i + 1} of {arguments.rounds}", end="\r" if i + 1 < arguments.rounds else "\n", file=sys.stderr)
        rounds.append([side.round() for side in sides])
    median = statistics.median
    print(f"{model.name}, {arguments.format}, {arguments.threads} threads, medians of {arguments.rounds} rounds, tokens a second (ours over theirs)")
    print(f"{'':12}{f'a prompt of {arguments.prompt}':>24}{'one token at a time':>24}")
    for i, side in enumerate(sides):
        cells = []
        for what in (0, 1):
            figure = f"{median(r[i][what] for r in rounds):.4g}"
            cells.append(figure if i == 0 else f"{figure} ({median(r[0][what] / r[i][what] for r in rounds):.2f})")
        print(f"{side.name:12}{cells[0]:>24}{cells[1]:>24}")
    m = sides[0].machine
    print(f"baichuan2, last round: {m['prompt']['share']:.0%} of the arithmetic ({m['blas']}, {m['arithmetic_flops'] / 1e9:.0f} GFLOP/s), "
          f"{m['token']['share']:.0%} of the bandwidth ({m['bandwidth_bytes'] / 1e9:.1f} GB/s)")


if __name__ == "__main__":
    main()
