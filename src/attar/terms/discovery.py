"""Terms that a list may lack, proposed from reviews without labels.

A candidate is a run of Chinese characters, or of characters and Latin words, that occurs often enough
and is a word by three signs: its parts attract each other (the least pointwise mutual information of its
splits; Church and Hanks, Word association norms, mutual information, and lexicography, 1990), anything
may stand before and behind it (branching entropy; Jin and Tanaka-Ishii, Unsupervised segmentation of
Chinese text by use of branching entropy, 2006), and it neither begins nor ends with a word of a closed
class. What is talked about, of all words, is what opinions are said of: it is followed by a degree word,
a negation or a short adjective, and opens a clause or follows 的 (opinion words point at terms; Qiu et al.,
Opinion word expansion and target extraction through double propagation, 2011).
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Proposal", "propose_terms"]

_MOST_UNITS = 5  # of a term; a unit is a Chinese character or a Latin word
_MIN_COHESION = 1.0  # nats
_MIN_ENTROPY = 0.8  # nats
_COHESION_ENOUGH = 5.0
_CLAUSE = re.compile(r"[\u4e00-\u9fffA-Za-z0-9]+")
_UNIT = re.compile(r"[\u4e00-\u9fff]|[a-z0-9]+")
_CUES = tuple(
    """
    很 太 非常 不 挺 蛮 超 特别 比较 有点 有些 还 也 都 真 十分 没 好 确实 一般 更 是 相当 略 稍 足 够
    差 高 快 低 慢 多 大 小 棒 赞 杠杠
    """.split()  # noqa: SIM905
)
_NEVER = frozenset("的了是很我你")
_FUNCTION = frozenset(
    "的了是很不也都就还有在我你他她它这那和与又太最没会要能可给让说去来着吗呢吧啊哦呀"
    "么啦嘛哈呵只但而且或把被从对比跟更些几一二三两每等再才已请真好挺蛮超"
)
_NOT_FIRST = _FUNCTION | frozenset("个次里")
_NOT_LAST = _FUNCTION | frozenset("次下里")
# Adverbs, conjunctions, pronouns, words of time, and verbs of thinking: of these no opinion is said.
_CLOSED_CLASS = frozenset(
    """
    非常 特别 一直 应该 希望 以后 以前 之前 之后 根本 觉得 感觉 确实 虽然 完全 建议 暂时 总之 简直 果然
    必须 所以 目前 尤其 关键 大家 因为 其实 如果 然后 结果 估计 貌似 当然 反正 另外 由于 今天 昨天 明天
    毕竟 上面 下面 稍微 相当 适合 居然 一点 一个 一家 本人 自己 别人 基本 总体 整体 总的 一般 现在 每次
    这次 上次 下次 第一 首先 其次 最后 不过 但是 而且 并且 或者 还是 就是 只是 可是 只有 只要 除了 关于
    对于 比较 可以 可能 已经 刚刚 刚才 马上 突然 终于 永远 经常 常常 有时 偶尔 几乎 差不多 大概 也许
    绝对 真的 真心 实在 的确 甚至 至少 至于 个人 认为 以为 知道 发现 看到 听说 推荐 喜欢 期待 记得 表示
    怀疑 担心 不知 不会 不是 没有 这个 那个 这款 那款 这种 那种 什么 怎么 为什么 哪里 这里 那里 这样
    那样 多少 时候 有点 有些 好像 似乎 好评 差评 五星 一星 用完 用后 用着 用过 吃完 吃得 吃起来 用起来
    看起来 夏天 冬天 春天 秋天 晚上 早上 中午 下午 周末 平时 无论 不管 即使 尽管 哪怕 于是 因此 而言
    来说 倒是 竟然 原来 本来 依然 仍然 始终 到底 究竟 难道 何况 况且 不但 不仅 同时 接着 后来 此外 其他
    其它 其余 全部 所有 任何 各种 许多 很多 不少 一些 一下 一次 一样 一起 一定 一会 一天 一年 十分 超级
    极其 无比 格外 更加 越来 越来越 有时候
    """.split()  # noqa: SIM905 - a word a line would be a page of its own
)

_Gram = tuple[str, ...]


class Proposal(NamedTuple):
    """A term that is proposed.

    Attributes:
        term: As it is written; Latin letters in lower case.
        occurrences: Number of them.
        score: What it is ranked by: occurrences, less those where nothing is said of it.
        example: A review that has it.
    """

    term: str
    occurrences: int
    score: float
    example: str


def propose_terms(
    texts: Iterable[str], known: Container[str] = (), *, limit: int = 500, min_count: int = 5
) -> list[Proposal]:
    """Propose terms from reviews, the likeliest first.

    Args:
        texts: Reviews; of equal ones the first counts.
        known: Terms in lower case that are not to be proposed.
        limit: Proposals at most.
        min_count: Occurrences at least.
    """
    reviews = list(dict.fromkeys(texts))
    clauses = [(number, units) for number, text in enumerate(reviews) for units in _clauses(text)]
    counts = _frequent([units for _, units in clauses], min_count)
    total = sum(len(units) for _, units in clauses)
    candidates = {
        gram
        for gram in counts
        if 1 < len(gram) <= _MOST_UNITS
        and _may_be_a_term(gram)
        and "".join(gram) not in known
        and _cohesion(gram, counts, total) >= _MIN_COHESION
    }
    around = _contexts(clauses, candidates)
    scored = sorted(
        ((score, gram) for gram in candidates if (score := around[gram].score(counts, gram, total)) > 0),
        key=lambda each: (-each[0], each[1]),
    )
    return [
        Proposal("".join(gram), counts[gram], round(score, 3), reviews[around[gram].review])
        for score, gram in scored[:limit]
    ]


class _Context:
    """What stands around the occurrences of a candidate."""

    __slots__ = ("before", "cues", "openings", "review", "then")

    def __init__(self, review: int) -> None:
        self.review = review
        self.before: Counter[str] = Counter()
        self.then: Counter[str] = Counter()
        self.cues = 0
        self.openings = 0

    def score(self, counts: Counter[_Gram], gram: _Gram, total: int) -> float:
        entropy = min(_entropy(self.before), _entropy(self.then))
        if entropy < _MIN_ENTROPY:
            return 0.0
        count = counts[gram]
        cohesion = min(_cohesion(gram, counts, total), _COHESION_ENOUGH)
        return count * (self.cues / count) * (self.openings / count) * entropy * cohesion


def _clauses(text: str) -> Iterator[list[str]]:
    for clause in _CLAUSE.findall(text):
        yield [sys.intern(unit) for unit in _UNIT.findall(clause.lower())]  # one string for each unit


def _frequent(clauses: Sequence[Sequence[str]], min_count: int) -> Counter[_Gram]:
    """Counts of every run of units that is frequent; a run whose part is not is never counted."""
    counts: Counter[_Gram] = Counter()
    kept: Container[_Gram] = ()
    for size in range(1, _MOST_UNITS + 1):
        found: Counter[_Gram] = Counter()
        for units in clauses:
            for i in range(len(units) - size + 1):
                gram = tuple(units[i : i + size])
                if size == 1 or (gram[1:] in kept and gram[:-1] in kept):
                    found[gram] += 1
        kept = {gram for gram, count in found.items() if count >= min_count}
        counts.update({gram: found[gram] for gram in kept})
    return counts


def _may_be_a_term(gram: _Gram) -> bool:
    if gram[0] in _NOT_FIRST or gram[-1] in _NOT_LAST or not _NEVER.isdisjoint(gram):
        return False
    text = "".join(gram)
    edges = {text[:size] for size in range(2, 5)} | {text[-size:] for size in range(2, 5)}
    return not text.isdigit() and _CLOSED_CLASS.isdisjoint(edges)


def _contexts(
    clauses: Iterable[tuple[int, Sequence[str]]], candidates: Container[_Gram]
) -> dict[_Gram, _Context]:
    around: dict[_Gram, _Context] = {}
    for number, units in clauses:
        length = len(units)
        for start in range(length - 1):
            for end in range(start + 2, min(start + _MOST_UNITS, length) + 1):
                gram = tuple(units[start:end])
                if gram not in candidates:
                    continue
                context = around.setdefault(gram, _Context(number))
                context.before[units[start - 1] if start else ""] += 1
                context.then[units[end] if end < length else ""] += 1
                context.cues += "".join(units[end : end + 2]).startswith(_CUES)
                context.openings += start == 0 or units[start - 1] == "的"
    return around


def _cohesion(gram: _Gram, counts: Counter[_Gram], total: int) -> float:
    """The least pointwise mutual information of its splits in two, in nats."""
    most = max(counts[gram[:i]] * counts[gram[i:]] for i in range(1, len(gram)))
    return math.log(counts[gram] * total / most)


def _entropy(neighbours: Counter[str]) -> float:
    """Of the neighbour on one side, in nats; each end of a clause is a neighbour of its own."""
    total = neighbours.total()
    ends = neighbours[""]
    inner = sum(count * math.log(total / count) for unit, count in neighbours.items() if unit)
    return (inner + ends * math.log(total)) / total
