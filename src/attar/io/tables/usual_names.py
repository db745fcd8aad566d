"""What columns are usually called: what ``attar init`` guesses by first, and errors suggest.

Names are compared without case, width, blanks, underscores and hyphens: ``Aspect_Terms`` is
``aspectterms``. Of several the one that stands first in its list is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType

__all__ = ["SECOND", "named"]

SECOND = "second"  # of a pair of sentences; it stands where other tasks have the term

_BLANKS = re.compile(r"[\s_\-]+")
# The usual public sets, annotation tools, crawlers of shops and Chinese spreadsheets.
_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "text": (
            "text", "texta", "text1", "sentence", "sentence1", "sentencea", "question1", "premise",
            "review", "reviews", "reviewtext", "reviewcontent", "reviewbody", "content", "contents",
            "comment", "comments", "commenttext", "commentcontent", "document", "doc", "body", "raw",
            "评论", "评论内容", "评论文本", "评论正文", "评价", "评价内容", "文本", "文本内容", "内容",
            "正文", "原文", "句子",
            "句子1", "语料", "留言", "反馈", "标题", "query", "title",
        ),
        SECOND: (
            "textb", "text2", "sentence2", "sentenceb", "question2", "hypothesis", "句子2",
        ),
        "term": (
            "term", "keyword", "aspectterm", "aspectterms", "aspect", "aspects", "target", "targets",
            "entity",
            "targetterm", "keywords", "opiniontarget", "view", "word", "mention",
            "词", "词语", "关键词", "对象", "评价对象", "评论对象", "方面词", "属性词", "方面", "属性",
            "实体", "目标", "目标词",
            "特征词", "特征", "术语", "成分",
        ),
        "start": (
            "start", "startoffset", "startindex", "startidx", "startpos", "termstart", "aspectstart",
            "astart", "from", "begin", "beginoffset", "起始", "起始位置", "开始", "开始位置", "起点",
        ),
        "end": (
            "end", "endoffset", "endindex", "endidx", "endpos", "termend", "aspectend", "aend", "to",
            "stop",
            "结束", "结束位置", "终止位置", "终点",
        ),
        "label": (
            "label", "labels", "sentiment", "polarity", "polarities", "sentimentpolarity", "sentimentlabel",
            "sentimentvalue", "sentimentclass", "emotion", "opinion", "attitude", "entities", "spans",
            "annotation", "labelname", "labeldesc",
            "情感", "情感倾向", "情感极性", "情感标签", "情感类别", "情绪", "极性", "倾向", "态度",
            "标签", "标注", "标注结果", "类别",
            "class", "category", "rating", "stars", "star", "score", "grade", "评分", "星级",
            "分数", "好差评", "y",
        ),
        "channel": ("channel", "platform", "渠道", "平台", "电商平台"),
        "wordtype": ("wordtype", "termtype", "词类", "词类型", "categories", "aspectcategory"),
        "annotator": ("annotator", "annotatorid", "标注人", "标注员", "标注者"),
    }
)  # fmt: skip


def named(role: str, columns: Iterable[str]) -> list[str]:
    """The columns whose names are usual for a role, the most usual first.

    Args:
        role: One of ours, or ``SECOND``.
        columns: Names in a table; of a nested one the innermost part counts too.
    """
    names = _NAMES.get(role, ())
    places = {
        column: min(names.index(way) for way in ways if way in names)
        for column in columns
        if (ways := (_plain(column), _plain(column.rpartition(".")[2]))) and set(ways) & set(names)
    }
    return sorted(places, key=lambda column: (places[column], "." in column))


def _plain(name: str) -> str:
    return _BLANKS.sub("", unicodedata.normalize("NFKC", name).casefold())
