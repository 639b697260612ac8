"""Study files as mappings. What YAML would make of a slip without a word is an error here."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ontogeny.study.errors import StudyError

# Values that aliases may stand for, all together: as many as no study has, and soon counted.
MOST_ALIASED = 100_000
INT, MERGE = "tag:yaml.org,2002:int", "tag:yaml.org,2002:merge"


def read_files(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The mappings that stand in study files.

    Raises StudyError with a line for each problem, which names the file and where it can the line:
    a file that can't be read, is not YAML in UTF-8 or is no mapping; a key that stands twice in
    one mapping, of which YAML would keep the last; a number that YAML reads in another base; an
    alias of itself, and aliases of aliases that stand for too much.
    """
    mappings, problems = [], []
    for file in files:
        try:
            mappings.append(_mapping(Path(file)))
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(problems)
    return mappings


def _mapping(file: Path) -> dict[str, Any]:
    text = _text(file)
    loader = None
    try:
        loader = _Loader(text)
        value = loader.get_single_data()
        problems = loader.problems
    except yaml.reader.ReaderError as error:
        where = text.count("\n", 0, error.position) + 1
        found = f"U+{ord(text[error.position]):04X}"
        problems = [f", line {where}: the character {found} can't stand in YAML; is this UTF-8?"]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, (error.context, error.problem)))
        problems = [*(loader.problems if loader else ()), f", line {mark.line + 1}: {said}"]
    except RecursionError:
        problems = [": is nested too deeply to be a study"]
    if problems:
        raise StudyError(f"{file}{problem}" for problem in problems)
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"is a {type(value).__name__}"
        raise StudyError([f"{file}: {found}, should be a mapping (`key: value`); docs/config.md"])
    return value


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StudyError([f"{file}: can't be read ({error.strerror})"]) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise StudyError([f"{file}: is UTF-16; save it as UTF-8"]) from None
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise StudyError(
            [f"{file}, line {line}: the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"]
        ) from None


class _Loader(yaml.SafeLoader):
    """Collects `problems` on the way, each with its line."""

    def __init__(self, text: str):
        super().__init__(text)
        self.problems: list[str] = []
        self.sizes: dict[yaml.Node, int] = {}  # values in each node that is composed
        self.aliased = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            name, mark = f"*{event.anchor}", event.start_mark
            if node not in self.sizes:
                problem = f"{name} is an alias of what it stands in; write out what is meant"
                raise yaml.composer.ComposerError(None, None, problem, mark)
            self.aliased += self.sizes[node]
            if self.aliased > MOST_ALIASED:
                problem = f"with {name}, aliases stand for more than {MOST_ALIASED:,} values"
                raise yaml.composer.ComposerError(None, None, problem, mark)
        else:
            self.sizes[node] = 1 + sum(self.sizes[child] for child in _children(node))
        return node

    def compose_scalar_node(self, anchor: str | None) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag == INT and node.style is None:
            self._find_other_base(node)
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if key.value in seen:
                    self._tell(key, f"{key.value!r} stands here twice")
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a date or a number that is none
            raise yaml.constructor.ConstructorError(
                None, None, str(error), node.start_mark
            ) from None

    def _find_other_base(self, node: yaml.ScalarNode) -> None:
        """Numbers that look decimal, and are octal (`010`) or of base 60 (`1:30`) in YAML."""
        digits = node.value.replace("_", "").lstrip("+-")
        if re.fullmatch(r"0[0-7]+", digits):
            meant, read, base = int(digits), int(digits, 8), "octal"
        elif ":" in digits:
            meant, read, base = None, self.construct_yaml_int(node), "base 60"
        else:
            return
        if meant != read:
            right = "put it in quotes" if meant is None else f"write {meant}"
            self._tell(node, f"{node.value} is {read:,} in YAML ({base}); {right}, or {read}")

    def _tell(self, node: yaml.Node, problem: str) -> None:
        self.problems.append(f", line {node.start_mark.line + 1}: {problem}")


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return (part for pair in node.value for part in pair)
    return node.value if isinstance(node, yaml.SequenceNode) else ()
