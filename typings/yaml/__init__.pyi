from collections.abc import Iterator
from typing import Any, Optional

class Mark:
    line: int

class Node:
    value: Any
    start_mark: Mark

class ScalarNode(Node):
    style: Optional[str]

class SequenceNode(Node): ...
class MappingNode(Node): ...
class YAMLError(Exception): ...

class MarkedYAMLError(YAMLError):
    context: Optional[str]
    problem: Optional[str]
    context_mark: Optional[Mark]
    problem_mark: Optional[Mark]

class SafeLoader:
    def __init__(self, stream: str) -> None: ...
    def construct_object(self, node: Node, deep: bool = ...) -> Any: ...

def safe_load(stream: str) -> Any: ...

class Event:
    start_mark: Mark
    anchor: Optional[str]

class AliasEvent(Event): ...
class CollectionStartEvent(Event): ...
class CollectionEndEvent(Event): ...

def parse(stream: str, Loader: type[SafeLoader]) -> Iterator[Event]: ...
def compose(stream: str, Loader: type[SafeLoader]) -> Optional[Node]: ...
