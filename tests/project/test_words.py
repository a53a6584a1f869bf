"""Words that the project does not use, in code and documents, with the ones it uses instead."""

import re

import pytest

from tests.helpers.project import ROOT, tree_files

WORDS = {
    r"\bknots?\b": "node",
    r"\bgroups? of people\b": "identity group",
    r"\b(another|other|different|several) sides?\b": "split",
    r"\bwhoever\b": "name the person or process",
    r"\b(some|any|every)body\b": "another process, any person, all people",
    r"\banew\b": "again",
    r"\bof (no )?account\b": "ignoring",
    r"\b(take|at most|every|after|with) so (many|much)\b": "N, or the number of",
    r"\bis told\b|\bare told\b": "is reported, is passed",
    r"\bcalled like\b": "named like",
    r"\bdraws? the line\b": "decision threshold",
    r"\bgo(es)? on (with|where|from)\b|\bgone on with\b": "resume, continue",
    r"\bin hand\b": "being processed",
    r"\bpassed over\b(?! =)": "skipped",
    r"\btaken for\b": "treated as",
    r"\bas (many as )?can be\b": "as possible",
    r"\bflatters?\b": "is too optimistic",
    r"\bcannot be had\b": "is unavailable",
    r"\bis not there\b|\bthat (is|are) there\b": "is missing, existing",
    r"\bby heart\b": "memorise",
    r"\bround (a|an|the|it|its)\b": "around",
    r"\b(is|are|was|were|taken|stays?) (as it is|as they are)\b(?!\")": "unchanged",
    r"\bcost the clip\b|\bno more of it\b": "at most the clip being processed is lost",
    r"\btells? .{1,30} apart\b|\btold apart\b": "distinguish",
    r"\bmodels? is worth\b|\bdetector is worth\b": "performance",
    r"\bwhat lies where\b": "directory layout",
}
# Files of this rule itself; a changelog and the recipes of files that older releases wrote.
EXEMPT = ("tests/project/test_words.py", "CHANGELOG.md", "tests/store/formats/")


PROSE = (".py", ".md", ".html", ".toml", ".yml")


@pytest.fixture(scope="module")
def texts():
    names = [path.as_posix() for path in tree_files()]
    checked = (name for name in names if name.endswith(PROSE) or name == "Makefile")
    return {n: (ROOT / n).read_text("utf-8") for n in checked if not n.startswith(EXEMPT)}


@pytest.mark.parametrize("word", WORDS)
def test_no_file_uses_the_word(word, texts):
    hits = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(word, line, re.IGNORECASE)
    ]
    assert not hits, f"write {WORDS[word]!r}:\n" + "\n".join(hits)


def test_the_rule_sees_what_it_forbids(texts):
    assert len(texts) > 300
    assert re.search(next(iter(WORDS)), "two knots")
