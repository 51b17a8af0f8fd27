from typing import Any, Optional

class Mark:
    line: int

class Node:
    value: Any
    start_mark: Mark

class ScalarNode(Node): ...
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

def compose(stream: str, Loader: type[SafeLoader]) -> Optional[Node]: ...
