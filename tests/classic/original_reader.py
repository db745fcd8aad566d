"""How the original system reads its rows, written from its behaviour alone; nothing of attar is imported.

One pair (text, keyword, place of the keyword or None) a row, and a pair's token ids.
"""

import json

CLAUSE_ENDS = "：。；，！？:;,!?"


def read(path):
    """(text, keyword, start) of each row; start is None where the keyword is not marked."""
    if path.suffix == ".txt":
        lines = path.read_text("utf-8").splitlines()
        for marked, keyword, _ in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
            left, _, right = (part.lower().strip() for part in marked.partition("$T$"))
            yield left + keyword.lower().strip() + right, keyword.lower().strip(), None
        return
    for text, keyword, *rest in json.loads(path.read_text("utf-8")):
        yield text, keyword, rest[0] if len(rest) > 1 else None


def token_ids(tokenizer, text, keyword, start, limit):
    """Token ids of one pair: [CLS] text [SEP] keyword [SEP]."""
    second = tokenizer.tokenize(keyword)
    if start is None:
        first = tokenizer.tokenize(text)
        while len(first) + len(second) > limit - 3:
            (first if len(first) > len(second) else second).pop()
    else:
        sides = (tokenizer.tokenize(text[:start]), tokenizer.tokenize(text[start + len(keyword) :]))
        left, right = cut(*sides, limit - 5 - 2 * len(second))
        first = [*left, "_", *second, "_", *right]
    return tokenizer.convert_tokens_to_ids(["[CLS]", *first, "[SEP]", *second, "[SEP]"])


def cut(left, right, room):
    """The clauses around a keyword: the farthest goes first, one that is too long alone is cut evenly."""
    left_ends = [0, *(at + 1 for at, token in enumerate(left) if token in CLAUSE_ENDS)]
    right_ends = [at + 1 for at, token in enumerate(right) if token in CLAUSE_ENDS]
    right_ends += [len(right)] if right_ends[-1:] != [len(right)] else []
    left = [left[a:b] for a, b in zip(left_ends, [*left_ends[1:], len(left)], strict=True)]
    right = [right[a:b] for a, b in zip([0, *right_ends], right_ends, strict=False)]
    while sum(map(len, left + right)) > room and len(left) + len(right) > 2:
        far_left = sum(map(len, left[1:])) if len(left) > 1 else -1
        far_right = sum(map(len, right[:-1])) if len(right) > 1 else -1
        left, right = (left[1:], right) if far_left >= far_right else (left, right[:-1])
    left, right = ([token for clause in side for token in clause] for side in (left, right))
    if len(left) + len(right) > room:
        kept = min(len(left), max(room // 2, room - len(right)))
        left, right = left[len(left) - kept :], right[: room - kept]
    return left, right
