#!/usr/bin/env python3
"""What the libraries of origin make of the same file and texts.

    check.py FILE < texts.jsonl     # a JSON string a line

FILE is a SentencePiece .model (PyPI: sentencepiece) or a tokenizer.json (PyPI: tokenizers). Writes a line
{"ids": [...], "decoded": "..."} for each text. With --vocabulary instead, one line: every piece, by id.
With --train FILE OUT N, trains a vocabulary of N pieces as the project's defaults do.
"""
import json
import sys


def sentencepiece_model(path):
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=path)
    vocabulary = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    return sp.encode, sp.decode, vocabulary


def tokenizer_json(path):
    import tokenizers

    tk = tokenizers.Tokenizer.from_file(path)
    vocabulary = [tk.id_to_token(i) for i in range(tk.get_vocab_size())]
    return lambda text: tk.encode(text, add_special_tokens=False).ids, tk.decode, vocabulary


def train(text, out, vocab_size):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        input=text, model_prefix=out.removesuffix(".model"), vocab_size=int(vocab_size), model_type="bpe",
        character_coverage=0.9998, max_sentencepiece_length=32, split_digits=True, allow_whitespace_only_pieces=True,
        byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
        max_sentence_length=1 << 20, num_threads=1, minloglevel=2)


def main():
    if sys.argv[1] == "--train":
        return train(*sys.argv[2:])
    path = sys.argv[1]
    encode, decode, vocabulary = (tokenizer_json if path.endswith(".json") else sentencepiece_model)(path)
    if "--vocabulary" in sys.argv:
        return print(json.dumps(vocabulary))
    for line in sys.stdin:
        ids = encode(json.loads(line))
        print(json.dumps({"ids": ids, "decoded": decode(ids)}))


main()
