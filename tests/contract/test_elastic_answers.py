"""Whatever answers in Elasticsearch's place: each command that asks says so in a sentence, or shows all; never silently less."""

from __future__ import annotations

import copy
import gzip
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from click.testing import CliRunner, Result

from daqsched.cli import main
from daqsched.errors import PARTIAL, DaqschedError
from daqsched.logs import elastic, node
from daqsched.logs.elastic import Elastic
from daqsched.logs.follow import Follower
from daqsched.logs.query import Wanted
from daqsched_executor.contract.forwarding import Access

NOW = time.time()
INDEX = "x-2026.11.27"

HIT: dict[str, Any] = {
    "_index": INDEX,
    "_id": "abcdefghijk-0000000000",
    "_source": {
        "@timestamp": "2026-11-26T05:00:00.000000Z",
        "message": "a line",
        "host": {"name": "hlt01"},
        "service": {"name": "readout"},
        "daqsched": {"stream": "stdout", "fingerprint": "abcd0123", "deadletter": {"index": INDEX}},
        "event": {"dataset": "daqsched.deadletter", "original": '{"message": "a line"}'},
        "error": {"message": "no reason"},
        "log": {"offset": 3, "level": "info", "flags": ["partial"]},
        "labels": {"run": "12"},
    },
    "sort": [1795669200000000000, "readout@hlt01", "stdout", 3],
}
GROUPS = {"buckets": [{"key": {"host": "hlt01", "message": "abcd0123", "time": 1795669200000}, "doc_count": 2}]}
MESSAGE = {
    "key": "abcd0123",
    "doc_count": 2,
    "first": {"hits": {"hits": [HIT]}},
    "hosts": {"buckets": [{"key": "hlt01", "doc_count": 2}]},
    "host_count": {"value": 1},
}
TEMPLATE = {"index_patterns": ["x-*"], "_meta": {"version": 3, "chosen": {"keep": "30d", "replicas": 1, "policy": ""}}}


def good(method: str, path: str, body: Any) -> Any:
    """What a healthy server would say, as far as the commands look."""
    if "/_search" in path:
        asked = set(body.get("aggs", {}))
        aggs: dict[str, Any] = {}
        if "groups" in asked:
            aggs["groups"] = GROUPS
        if "known" in asked:
            aggs["known"] = {"buckets": []}
        if "new" in asked:
            aggs["new"] = {"buckets": [MESSAGE]}
        if "filled" in asked:
            aggs["filled"] = {"buckets": [{"key": name, "doc_count": 1} for name in body["query"]["terms"]["_index"]]}
        if "indices" in asked:
            aggs["indices"] = {"buckets": [{"key": INDEX, "doc_count": 2, "newest": {"value": 7.0}}]}
        hits = [HIT] if body.get("size") else []
        if body.get("sort") == [{"_seq_no": "desc"}]:
            hits = [{**HIT, "sort": [7]}]
        if any("event.created" in part for part in body.get("sort") or []):
            hits = []
        return {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": 2, "relation": "eq"}, "hits": hits},
            "aggregations": aggs,
        }
    if "/_field_caps" in path:
        return {"indices": [INDEX], "fields": fields()}
    if "/_resolve" in path:
        return {"indices": [{"name": INDEX, "attributes": ["open"]}], "aliases": [], "data_streams": []}
    if "/_settings" in path:
        settings = {"index.uuid": "u1", "index.creation_date": "1500000000000", "index.number_of_shards": "1"}
        return {"x-2017.01.01": {"settings": settings}} if method == "GET" else {"acknowledged": True}
    if "/_index_template" in path:
        return {"index_templates": [{"name": "x", "index_template": TEMPLATE}]}
    if path.startswith("/_ilm/policy"):
        return {"x": {"policy": {"phases": {"delete": {"min_age": "30d"}}}}}
    if path.startswith("/_ilm"):
        return {"operation_mode": "RUNNING"}
    if "/_bulk" in path:
        verb = next(iter(body[0]))
        count = sum(set(row) == {verb} for row in body)
        return {"errors": False, "items": [{verb: {"status": 201 if verb == "create" else 200}}] * count}
    return {"acknowledged": True}


def fields() -> dict[str, Any]:
    """The types of our template."""
    from daqsched.logs.answers import TYPES

    return {name: {types[0]: {"type": types[0]}} for name, types in TYPES.items()}


#: A change of an answer: gets the method, path, and the good answer; gives status and body.
Change = Callable[[str, str, Any], "tuple[int, bytes]"]


class Odd:
    """A server whose answers are changed."""

    def __init__(self) -> None:
        self.change: Optional[Change] = None
        #: Elasticsearch says who it is in each answer, its client looks for that.
        self.headers = {"X-Elastic-Product": "Elasticsearch"}
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # the client has had enough
                    self.close_connection = True

            def answer(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                rows = [json.loads(row) for row in text.splitlines()] if "bulk" in self.path else []
                odd.asked.append(f"{self.command} {self.path}")
                odd.authorizations.append(self.headers.get("Authorization", ""))
                status, body = odd.answer(self.command, self.path, rows or json.loads(text or b"{}"))
                self.send_response(status)
                for name, value in odd.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        """As asked for."""
        answer = good(method, path, body)
        return self.change(method, path, answer) if self.change else (200, json.dumps(answer).encode())

    def close(self) -> None:
        """No longer listen."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Odd]:
    """One for all; each test sets its change."""
    made = Odd()
    yield made
    made.close()


#: Every command that asks Elasticsearch.
COMMANDS: tuple[list[str], ...] = (
    ["logs"],
    ["logs", "--json", "-n", "1"],
    ["logs", "--at", "10m"],
    ["logs", "--around", HIT["_id"]],
    ["logs", "--count"],
    ["logs", "--count", "--by", "message", "--every", "10m"],
    ["logs", "--new=1h"],
    ["logs", "setup", "--replicas", "1"],
    ["logs", "expire"],
    ["deadletter", "list"],
    ["deadletter", "replay"],
    ["deadletter", "replay", "--dry-run"],
)
SEARCHING = tuple(command for command in COMMANDS if command[-1] != "expire" and "setup" not in command)
NAMES = [" ".join(command) for command in COMMANDS]


def run(server: Odd, command: list[Any]) -> Result:
    """One command; what is a bug fails at once."""
    options = ["--elasticsearch", server.url, "--index", "x"]
    done = CliRunner().invoke(main, ["--socket", "/nonexistent", *map(str, command), *options])
    bug = done.exception is not None and not isinstance(done.exception, SystemExit)
    assert not bug and "Traceback" not in done.output, (command, done.exc_info)
    return done


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_healthy_server_is_all_right(server: Odd, command: list[str]) -> None:
    """Else the tests below would be content with refusals."""
    server.change = None
    done = run(server, command)
    assert done.exit_code == 0, done.output


def test_a_replay_makes_no_index_without_our_fields(server: Odd) -> None:
    """It may be gone, and nobody's template there."""
    server.change = None
    server.asked.clear()
    run(server, ["deadletter", "replay"])
    asked = [one for one in server.asked if INDEX in one or "_bulk" in one]
    assert asked[0] == f"PUT /{INDEX}" and "_bulk" in asked[1]


@pytest.mark.parametrize(
    ("target", "original"),
    [
        (".security-7", '{"message": "a line"}'),
        (INDEX, '{"message": "a line"}\n{"delete": {"_index": "x-2026.11.27", "_id": "1"}}'),
        (INDEX, "[]"),
        (INDEX, "[" * 100_000),
    ],
)
def test_a_dead_letter_that_somebody_made_up_is_refused_here(server: Odd, target: str, original: str) -> None:
    """Whoever may store a line may write one: it names no index but ours, and holds one document."""

    def change(method: str, path: str, answer: Any) -> tuple[int, bytes]:
        answer = copy.deepcopy(answer)
        if "/_search" in path:
            for hit in answer["hits"]["hits"]:
                hit["_source"]["daqsched"]["deadletter"]["index"] = target
                hit["_source"]["event"]["original"] = original
        return encoded(200, answer)

    server.change = change
    server.asked.clear()
    done = run(server, ["deadletter", "replay"])
    assert done.exit_code == 5 and "1 are still refused" in done.output, done.output
    assert not [one for one in server.asked if "_bulk" in one]


def encoded(status: int, answer: Any) -> tuple[int, bytes]:
    """As JSON."""
    return status, json.dumps(answer).encode()


FAILURE = {"shard": 0, "index": "x-2099.11.20", "node": None}


def partial(failure: dict[str, Any], listed: bool = True) -> Change:
    """One of two shards failed."""

    def change(method: str, path: str, answer: Any) -> tuple[int, bytes]:
        if "/_search" in path:
            answer["_shards"] = {"total": 2, "successful": 1, "skipped": 0, "failed": 1}
            if listed:
                answer["_shards"]["failures"] = [{**FAILURE, "reason": failure}]
        return encoded(200, answer)

    return change


def timed_out(method: str, path: str, answer: Any) -> tuple[int, bytes]:
    """The cluster's time limit for searches."""
    return encoded(200, {**answer, "timed_out": True} if "/_search" in path else answer)


def closed(method: str, path: str, answer: Any) -> tuple[int, bytes]:
    """An index that no search looks at."""
    if "/_resolve" in path:
        answer["indices"].append({"name": "x-2099.11.20", "attributes": ["closed"]})
    return encoded(200, answer)


def alien(method: str, path: str, answer: Any) -> tuple[int, bytes]:
    """Somebody else's fields."""
    if "/_field_caps" in path:
        answer["indices"].append("x-2099.11.20")
        answer["fields"]["host.name"]["keyword"]["indices"] = [INDEX]
        answer["fields"]["host.name"]["text"] = {"type": "text", "indices": ["x-2099.11.20"]}
    return encoded(200, answer)


FIELDDATA = "Fielddata is disabled on [service.node.name] in [x-2099.11.20]. Text fields are not optimised ..."
PARTS = {
    "red": (partial({"type": "no_shard_available_action_exception", "reason": None}), "x-2099.11.20 is left out"),
    "text": (partial({"type": "illegal_argument_exception", "reason": FIELDDATA}), "run `daqsched logs setup`"),
    "full": (
        partial({"type": "circuit_breaking_exception", "reason": "Data too large"}),
        "ask for less time|for less time",
    ),
    "odd": (partial({"type": "null_pointer_exception"}), "1 of 2 shards failed: x-2099.11.20 is left out"),
    "unnamed": (partial({}, listed=False), "1 of 2 shards failed: Elasticsearch does not say which"),
    "timed-out": (timed_out, "ended the search at its time limit"),
    "closed": (closed, "x-2099.11.20 is closed and was not searched"),
    "alien": (alien, r"x-2099.11.20 has other fields than lines need \(host.name is text\)"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("command", SEARCHING, ids=[" ".join(command) for command in SEARCHING])
def test_an_answer_that_is_not_whole_is_told_and_has_a_status_of_its_own(
    server: Odd, command: list[str], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the index's name and what to do; and it is never said that no line matches."""
    monkeypatch.setattr(elastic, "SOME_SHARDS_S", 0.0)
    server.change, sentence = PARTS[part]
    done = run(server, command)
    assert done.exit_code == PARTIAL, done.output
    words = [one for one in sentence.split("|") if one.replace("\\", "") in done.output]
    assert words and "this is not all" in done.output and "no line matches;" not in done.output, done.output


def test_nothing_found_in_a_part_is_not_nothing_found(server: Odd) -> None:
    """The sentence about no line says where was looked."""
    change = PARTS["text"][0]

    def empty(method: str, path: str, answer: Any) -> tuple[int, bytes]:
        if "/_search" in path:
            answer["hits"]["hits"] = []
        return change(method, path, answer)

    server.change = empty
    done = run(server, ["logs"])
    assert done.exit_code == PARTIAL and "no line matches among those that Elasticsearch could look at" in done.output


def test_closed_indices_that_ended_before_what_was_asked_for_are_no_matter(server: Odd) -> None:
    """An old index that somebody closed is not told of each time."""

    def old(method: str, path: str, answer: Any) -> tuple[int, bytes]:
        if "/_resolve" in path:
            answer["indices"].append({"name": "x-2020.11.20", "attributes": ["closed"]})
        return encoded(200, answer)

    server.change = old
    for command in (["logs", "--since", "1h"], ["logs", "--count"], ["logs", "-n", "1"]):
        assert run(server, command).exit_code == 0
    assert run(server, ["logs", "-n", "2"]).exit_code == PARTIAL


def with_status(status: int, body: bytes) -> Change:
    """Always the same."""
    return lambda method, path, answer: (status, body)


REFUSAL = b'{"error":{"type":"security_exception","reason":"action [a] is unauthorized"},"status":403}'
SHARDS_FAILED = json.dumps(
    {
        "error": {
            "type": "search_phase_execution_exception",
            "reason": "all shards failed",
            "failed_shards": [{**FAILURE, "reason": {"type": "illegal_argument_exception", "reason": FIELDDATA}}],
        },
        "status": 400,
    }
).encode()
WHOLE = {
    "429": (with_status(429, b'{"error":{"type":"es_rejected_execution_exception","reason":"queue"}}'), (3,)),
    "502-html": (with_status(502, b"<html><h1>Bad Gateway</h1></html>"), (3,)),
    "500-empty": (with_status(500, b""), (3,)),
    "200-html": (with_status(200, b"<html>Sign in</html>"), (3,)),
    "200-empty": (with_status(200, b""), (3,)),
    "200-list": (with_status(200, b"[1, 2]"), (3,)),
    "200-null": (with_status(200, b"null"), (3,)),
    "200-deep": (with_status(200, b"[" * 100_000), (3,)),
    "200-bytes": (with_status(200, bytes(range(256)) * 10), (3,)),
    "302": (with_status(302, b""), (3,)),
    "401": (with_status(401, REFUSAL), (5,)),
    "403": (with_status(403, REFUSAL), (5,)),
    "400-shards": (with_status(400, SHARDS_FAILED), (2, 5)),
}


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_what_is_no_answer_is_one_sentence(server: Odd, command: list[str], whole: str) -> None:
    """With the status that docs/operate/farm.md says."""
    server.change, statuses = WHOLE[whole]
    done = run(server, command)
    assert done.exit_code in statuses and "Elasticsearch" in done.output, done.output
    assert len(done.output) < 3000


class Without(Odd):
    """One that has no line of `nosuch`."""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        """Empty for a question that names it, or zzz."""
        self.change = empty if "/_search" in path and re.search("nosuch|zzz", json.dumps(body["query"])) else None
        return super().answer(method, path, body)


def empty(method: str, path: str, answer: Any) -> tuple[int, bytes]:
    """No line."""
    answer["hits"]["hits"] = []
    return 200, json.dumps(answer).encode()


def test_a_name_that_no_line_has_is_told_from_a_name_whose_lines_do_not_fit() -> None:
    """A typing mistake shall not look like a program that prints nothing."""
    server = Without()
    try:
        assert "nothing of nosuch is stored, daqsched status lists the jobs" in run(server, ["logs", "nosuch"]).output
        assert "(daqsched logs 'j*' -n 1)" in run(server, ["logs", "j*", "--grep", "zzz"]).output
        assert "(daqsched logs -n 1)" in run(server, ["logs", "--grep", "zzz"]).output
    finally:
        server.close()


@pytest.mark.parametrize("command", [["logs"], ["logs", "--count"], ["logs", "--around", "x"], ["logs", "--run", "1"]])
def test_where_nothing_answers_the_sandboxes_are_named(command: list[str]) -> None:
    """By what they can answer, too: they know of no run, and of no id."""
    done = CliRunner().invoke(
        main, ["--socket", "/nonexistent", *command, "--elasticsearch", "http://127.0.0.1:1", "--index", "x"]
    )
    assert done.exit_code == 3 and "does not answer" in done.output
    assert ("--sandbox" in done.output) == (len(command) < 3)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_what_does_not_say_that_it_is_elasticsearch_is_not_believed(
    server: Odd, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's check of the product, as a sentence."""
    server.change = None
    monkeypatch.setattr(server, "headers", {})
    done = run(server, command)
    assert done.exit_code == 3 and f"what answers at {server.url} is not Elasticsearch" in done.output, done.output


def test_headers_of_an_answer_move_nothing(server: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would print warnings, and look for what can read an unknown type."""
    server.change = None
    more = {"Warning": '299 Elasticsearch "\x1b[2J"', "Content-Type": "application/nothing"}
    monkeypatch.setattr(server, "headers", {**server.headers, **more})
    done = run(server, ["logs"])
    assert done.exit_code == 0 and "[2J" not in done.output, done.output


def test_an_answer_that_is_packed_is_not_unpacked(server: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes would be many; we asked for none such."""
    server.change = with_status(200, gzip.compress(b" " * (1 << 20)))
    monkeypatch.setattr(server, "headers", {**server.headers, "Content-Encoding": "gzip"})
    done = run(server, ["logs"])
    assert done.exit_code == 3 and "is not Elasticsearch" in done.output, done.output


def test_a_node_that_is_away_is_passed_over(server: Odd, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever it is, without a word; one that answers is believed, also when it is too busy."""
    server.change, away = None, closed_port()
    for urls in (f"{away},{server.url}", f"{server.url},{away}", f"{away}, {server.url}/ ,{server.url}"):
        client = Elastic(urls)
        for _ in range(4):
            assert client.ask("GET", "/_x/a b").status == 200
        server.change = with_status(503, b"")
        server.asked.clear()
        with pytest.raises(DaqschedError, match="is too busy"):
            client.ask("GET", "/")
        assert len(server.asked) == 1
        server.change = None
        assert client.ask("GET", "/").status == 200
        client.close()
    assert capsys.readouterr() == ("", "")


def test_nodes_that_are_all_away_are_one_sentence() -> None:
    """With all of them in it, and without the password that somebody wrote into one."""
    away = closed_port()
    client = Elastic(f"{away.replace('//', '//me:secret@')},{away}/es")
    with pytest.raises(DaqschedError) as raised:
        client.ask("GET", "/")
    client.close()
    assert str(raised.value) == f"Elasticsearch at {away}, {away}/es does not answer: [Errno 111] Connection refused"


def test_a_secret_is_sent_as_it_is_in_its_file(server: Odd, tmp_path: Path) -> None:
    """A user's, an API key's two forms; in an address it is for that node alone."""
    server.change = None
    file = tmp_path / "secret"
    for line, access, sent in (
        ("me:my pass", Access(user_file=str(file)), "Basic bWU6bXkgcGFzcw=="),
        ("id:key", Access(api_key_file=str(file)), "ApiKey aWQ6a2V5"),
        ("aWQ6a2V5", Access(api_key_file=str(file)), "ApiKey aWQ6a2V5"),
    ):
        file.write_text(f"{line}\n")
        assert authorizations(server, server.url, access) == [sent] * 2
    file.unlink()
    host = server.url.partition("//")[2]
    urls = f"http://me:my%20pass@{host},http://{host}/other"
    assert authorizations(server, urls, Access()) == ["Basic bWU6bXkgcGFzcw==", ""]


def authorizations(server: Odd, urls: str, access: Access) -> list[str]:
    """What two requests say of who asks."""
    client = Elastic(urls, access)
    server.authorizations.clear()
    for _ in range(2):
        client.ask("GET", "/")
    client.close()
    return list(server.authorizations)


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


@pytest.mark.parametrize("words", ["'status'", "'logs', '--help'", "'deadletter', '--help'", "'serve', '--help'"])
def test_who_asks_no_elasticsearch_does_not_pay_for_its_client(words: str) -> None:
    """Importing it takes longer than `status` does."""
    code = (
        "import sys\nfrom daqsched.cli import main\n"
        f"try: main(['--socket', '/nonexistent', {words}])\n"
        "except SystemExit: pass\n"
        "sys.exit(sorted({'elasticsearch', 'elastic_transport', 'daqsched.logs.elastic'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_answer_without_bound_is_given_up(server: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are bounded; pages become smaller before that."""
    monkeypatch.setattr(node, "MOST_BYTES", 100_000)
    server.change = with_status(200, b" " * 200_000)
    done = run(server, ["logs"])
    assert done.exit_code == 3 and "has more than" in done.output


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is within each read's time, but not within the whole's."""
    monkeypatch.setattr(node, "LONGEST_S", 0.3)
    over = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.end_headers()
            while not over.wait(0.05):
                self.wfile.write(b" ")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    dripping = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    dripping.daemon_threads = True
    threading.Thread(target=dripping.serve_forever, args=(0.05,), daemon=True).start()
    client = Elastic(f"http://127.0.0.1:{dripping.server_address[1]}")
    with pytest.raises(DaqschedError, match="and no end"):
        client.search("x", size=1)
    over.set()
    client.close()
    dripping.shutdown()
    dripping.server_close()


ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "2026-99-99",
    [],
    {},
    [[]],
    {"a": {}},
    "\x1b[2J",
    -(10**18),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def mutated(answer: Any, chance: random.Random) -> Any:
    """With one place left out or of another form."""
    answer = copy.deepcopy(answer)
    path = chance.choice(list(places(answer)))
    if not path:
        return chance.choice(ODD_VALUES)
    inner = answer
    for key in path[:-1]:
        inner = inner[key]
    if chance.random() < 0.3:
        del inner[path[-1]]
    else:
        inner[path[-1]] = chance.choice(ODD_VALUES)
    return answer


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_answers_of_odd_forms_are_sentences_or_do_not_matter(server: Odd, command: list[str]) -> None:
    """Fields that are missing, and of wrong types, anywhere in any answer: no traceback, no hang, a status that is known."""
    chance = random.Random(" ".join(map(str, command)))

    def change(method: str, path: str, answer: Any) -> tuple[int, bytes]:
        return encoded(200, mutated(answer, chance) if chance.random() < 0.7 else answer)

    server.change = change
    for _ in range(25):
        done = run(server, command)
        assert done.exit_code in (0, 2, 3, 5, PARTIAL), done.output
        if done.exit_code in (2, 3, 5):
            assert any(word in done.output for word in ("Elasticsearch", "Error: ", "NO", "refused")), done.output


def test_following_bears_with_all_of_it(server: Odd) -> None:
    """It goes on whatever is answered, says so, and is there again when the server is."""
    server.change = None
    complaints: list[str] = []
    looks = 0

    class OverError(Exception):
        pass

    chance = random.Random(1)
    changes: list[Change] = [change for change, _ in [*WHOLE.values(), *PARTS.values()]]
    changes += [lambda method, path, answer: encoded(200, mutated(answer, chance))] * 40

    def sleep(seconds: float) -> None:
        nonlocal looks
        server.change = changes[looks] if looks < len(changes) else None
        looks += 1
        if looks > len(changes) + 10:
            raise OverError

    client = Elastic(server.url)
    follower = Follower(client, Wanted(), "x", complaints.append, sleep)
    with pytest.raises(OverError):
        for _ in follower.follow():
            pass
    client.close()
    assert complaints and "answers again" in complaints[-1]
