"""A fake server on loopback that answers as Label Studio 1.23.2 does, and stumbles when told to."""

import http.server
import json
import logging
import threading
import urllib.parse
from collections import Counter

import pytest

from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.records.readers.label_studio import read_label_studio
from attar.records.record import Record
from attar.records.remote import label_studio
from attar.records.remote.label_studio import fetch_export

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbiI6InJlZnJlc2gifQ.c2lnbmVk"


def a_task(number):
    value = {"start": 0, "end": 2, "text": "香味", "labels": ["积极"]}
    annotation = {
        "id": number * 10, "completed_by": 1, "created_ago": "2 minutes", "created_username": "a@example.org",
        "result": [{"id": "r", "to_name": "text", "type": "labels", "value": value}],
    }  # fmt: skip
    annotations = [annotation] if number % 2 else []
    data = {"text": f"香味好{number}"}
    return {"id": number, "data": data, "annotations": annotations, "annotations_results": "x", "drafts": []}


class FakeServer(http.server.ThreadingHTTPServer):
    """``faults`` are taken by the next requests, one each: a status, or what to do to the answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.tasks = [a_task(number) for number in (3, 1, 2, 5, 4)]
        self.legacy_is_on = True
        self.uses_per_access = 1000
        self.access = Counter()
        self.faults, self.paths, self.before_page = [], [], None
        self.hurry = threading.Event()

    def is_known(self, authorization):
        kind, _, token = (authorization or "").partition(" ")
        if kind == "Token":
            return self.legacy_is_on and token == LEGACY
        self.access[token] -= 1
        return kind == "Bearer" and self.access[token] >= 0

    def answer(self, path, query):
        if path == "/api/projects/7/":
            return {"id": 7}
        if path == "/api/projects/":
            return {"count": 1, "results": [{"id": 7, "title": "cosmetics"}]}
        if path == "/api/tasks/" and query["project"] == ["7"]:
            page, size = int(query["page"][0]), int(query["page_size"][0])
            if self.before_page is not None:
                self.before_page(page)
            tasks = self.tasks[(page - 1) * size : page * size]
            return {"total": len(self.tasks), "tasks": tasks} if tasks or page == 1 else None
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        self.server.paths.append(self.path)
        if self.stumble():
            return
        if not self.server.is_known(self.headers["Authorization"]):
            self.reply(401, {"detail": "Invalid token."})
            return
        found = self.server.answer(parts.path, urllib.parse.parse_qs(parts.query))
        self.reply(404 if found is None else 200, found or {"detail": "Not found."})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        if self.stumble():
            return
        if self.path != "/api/token/refresh/" or body != {"refresh": PERSONAL}:
            self.reply(401, {"detail": "Token is invalid"})
            return
        access = f"access{len(self.server.access)}"
        self.server.access[access] = self.server.uses_per_access
        self.reply(200, {"access": access})

    def stumble(self):
        fault = self.server.faults.pop(0) if self.server.faults else None
        match fault:
            case None:
                return False
            case int():
                self.reply(fault, {"detail": "an error"}, {"Retry-After": "0"})
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"id": ')
                self.close_connection = True
            case "slow":
                self.server.hurry.wait(5)
            case "html":
                self.send_response(200)
                self.end_headers()
                self.wfile.write("<html>香味好</html>".encode())
            case "redirect":
                self.reply(302, {}, {"Location": "https://user:secret@elsewhere.example/login?next=x"})
            case other:
                self.reply(200, other)
        return True

    def reply(self, status, value, headers=()):
        raw = json.dumps(value).encode()
        self.send_response(status)
        for name, content in dict(headers).items():
            self.send_header(name, content)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    monkeypatch.setattr(label_studio, "_WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(label_studio, "_PAGE_SIZE", 2)
    with FakeServer() as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        fake.hurry.set()
        fake.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    def fetch_project(path="/projects/7"):
        return fetch_export(SourceRecipe(path=server.address + path), tmp_path / "fetched")

    return fetch_project


def task_ids(path):
    return [task["id"] for task in json.loads(path.read_text("utf-8"))]


@pytest.mark.parametrize(
    "path", ["/projects/7", "/projects/7/", "/projects/7/data?tab=1&task=3", "/projects/7/x/y"]
)
def test_all_tasks_come_in_order_whatever_was_copied_from_the_browser(fetch, tmp_path, path):
    file = fetch(path)
    assert file == tmp_path / "fetched" / "export.json"
    assert task_ids(file) == [1, 2, 3, 4, 5]
    rows = list(read_label_studio(file))
    assert sum(isinstance(row, Record) for row in rows) == 3
    assert [p.name for p in file.parent.iterdir()] == ["export.json"]


def test_the_file_has_nothing_that_changes_by_itself_or_names_people(fetch):
    first = fetch().read_bytes()
    assert fetch().read_bytes() == first
    for gone in (b"created_ago", b"example.org", b"annotations_results", b"drafts"):
        assert gone not in first


def test_a_server_below_a_path_keeps_it(server, fetch):
    with pytest.raises(DataError, match="/studio/projects/7: no such project"):
        fetch("/studio/projects/7/data")
    assert server.paths[0] == "/studio/api/projects/7/"


def test_a_personal_access_token_is_exchanged_and_renewed(server, fetch, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", f" {PERSONAL}\n")
    server.legacy_is_on = False
    server.uses_per_access = 2
    assert task_ids(fetch()) == [1, 2, 3, 4, 5]
    assert server.paths.count("/api/token/refresh/") == 2


@pytest.mark.parametrize("token", ["f" * 40, "a.b.c"])
def test_a_token_that_is_not_accepted_names_the_variable_and_never_the_token(
    fetch, monkeypatch, token, caplog
):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError, match="LABEL_STUDIO_API_KEY") as caught:
        fetch()
    assert "HTTP 401" in str(caught.value)
    assert token not in str(caught.value) + caplog.text


def test_a_token_that_may_not_see_the_project_says_so(server, fetch):
    server.faults = [403]
    with pytest.raises(
        DataError, match=r"does not accept the legacy token .*HTTP 403.*personal access token"
    ):
        fetch()


def test_a_personal_token_that_is_revoked_meanwhile_ends_it(server, fetch, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", PERSONAL)
    server.uses_per_access = 0
    with pytest.raises(DataError, match="does not accept the personal access token"):
        fetch()
    assert server.paths.count("/api/token/refresh/") == 2


@pytest.mark.parametrize("answer", [404, {"access": None}, {"access": "a\r\nb"}, []])
def test_a_server_without_personal_tokens_says_so(server, fetch, monkeypatch, answer):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", PERSONAL)
    server.faults = [answer]
    with pytest.raises(DataError, match="takes no personal access token; put a legacy token"):
        fetch()


@pytest.mark.parametrize(
    ("token", "message"), [("", "wants a token"), (" ", "wants"), ("a b", "holds blanks")]
)
def test_without_a_token_nothing_is_asked(server, fetch, monkeypatch, token, message):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    with pytest.raises(DataError, match=message):
        fetch()
    assert server.paths == []


def test_a_missing_project_says_which_there_are(fetch):
    with pytest.raises(
        DataError, match=r"/projects/8: no such project; the token's owner sees 7 \(cosmetics\)$"
    ):
        fetch("/projects/8")


@pytest.mark.parametrize("listed", [404, {"results": []}, [], {"results": None}])
def test_a_missing_project_without_others_says_what_to_check(server, fetch, listed):
    server.faults = [404, listed]
    with pytest.raises(DataError, match="sees none on this server"):
        fetch()


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, "cut"])
def test_a_passing_failure_is_asked_again(server, fetch, fault):
    server.faults = [fault, {"id": 7}, fault, fault]
    assert task_ids(fetch()) == [1, 2, 3, 4, 5]
    assert server.faults == []


def test_a_slow_answer_is_asked_again(server, fetch, monkeypatch):
    monkeypatch.setattr(label_studio, "_TIMEOUT_S", 1.0)
    server.faults = ["slow"]
    assert task_ids(fetch()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("fault", "problem"), [(500, "HTTP 500"), ("cut", "IncompleteRead"), ("slow", "timed out")]
)
def test_a_failure_that_stays_ends_it_and_leaves_the_old_file(
    server, fetch, monkeypatch, tmp_path, fault, problem
):
    before = fetch().read_bytes()
    monkeypatch.setattr(label_studio, "_TIMEOUT_S", 0.5)
    server.faults = [{"id": 7}, None, *[fault] * 3]
    with pytest.raises(DataError, match=f"no response after 3 attempts, the last time {problem}"):
        fetch()
    (file,) = (tmp_path / "fetched").iterdir()
    assert file.read_bytes() == before


def test_waiting_follows_the_server_within_reason(server, fetch, monkeypatch):
    waited = []
    monkeypatch.setattr(label_studio.time, "sleep", waited.append)
    headers = {"Retry-After": "7"}
    monkeypatch.setattr(Handler, "reply", with_headers(Handler.reply, headers))
    server.faults = [503]
    fetch()
    headers["Retry-After"] = "86400"
    server.faults = [429]
    fetch()
    assert waited == [7.0, 60.0]


def with_headers(reply, headers):
    def reply_with(self, status, value, _=()):
        reply(self, status, value, headers)

    return reply_with


def test_nobody_there_says_so(server, tmp_path):
    server.server_close()
    with pytest.raises(DataError, match="no response after 3 attempts, the last time ConnectionRefusedError"):
        fetch_export(SourceRecipe(path=f"{server.address}/projects/7"), tmp_path)


def test_a_redirect_is_not_followed_and_its_address_not_repeated(server, fetch):
    server.faults = ["redirect"]
    with pytest.raises(DataError, match=r"sends us on to https://elsewhere\.example, where") as caught:
        fetch()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", ["html", 400, 418])
def test_another_kind_of_server_says_so_without_quoting_it(server, fetch, fault):
    server.faults = [fault]
    with pytest.raises(DataError, match="does not answer as Label Studio does") as caught:
        fetch()
    assert "香味" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [404, [], {"total": 1}, {"total": "1", "tasks": []}, {"total": 1, "tasks": [3]},
     {"total": 1, "tasks": [{"id": 1}]}, {"total": 1, "tasks": [{"id": 1, "annotations": [4]}]}],
)  # fmt: skip
def test_a_server_that_lists_tasks_otherwise_says_to_export_by_hand(server, fetch, answer):
    server.faults = [{"id": 7}, answer]
    with pytest.raises(DataError, match="export the project as JSON in the browser"):
        fetch()


def test_tasks_that_come_during_the_download_are_in_it(server, fetch):
    def import_task(page):
        if page == 2 and len(server.tasks) == 5:
            server.tasks.insert(0, a_task(6))

    server.before_page = import_task
    assert task_ids(fetch()) == [1, 2, 3, 4, 5, 6]


def test_tasks_that_go_during_the_download_are_not_in_it(server, fetch):
    def delete_tasks(page):
        if page == 3:
            del server.tasks[3:]

    server.before_page = delete_tasks
    assert task_ids(fetch()) == [1, 2, 3]


def test_tasks_that_never_stop_changing_end_it(server, fetch, tmp_path):
    server.before_page = lambda _: server.tasks.insert(0, a_task(len(server.tasks) + 1))
    with pytest.raises(DataError, match="kept changing"):
        fetch()
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_server_may_give_smaller_pages_than_asked_for(server, fetch, monkeypatch):
    monkeypatch.setattr(label_studio, "_PAGE_SIZE", 100)
    whole = server.answer

    def two_at_most(path, query):
        return whole(path, {**query, "page_size": ["2"]} if "page_size" in query else query)

    server.answer = two_at_most
    assert task_ids(fetch()) == [1, 2, 3, 4, 5]


def test_an_empty_project_is_an_empty_list(server, fetch):
    server.tasks = []
    assert task_ids(fetch()) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://studio.example/", "names no project; expected http://studio.example/projects/NUMBER"),
        ("http://studio.example:81/projects/seven", "names no project"),
        ("http://[::1]:81/projects/", r"http://\[::1\]:81: the address names no project"),
        (
            "http://ann:secret@studio.example/projects/7",
            "http://studio.example: the address holds a name or pass",
        ),
        ("mongodb://studio.example/projects/7", "not the address of a Label Studio project"),
        ("http:///projects/7", "not the address"),
        ("http://studio.example:x/projects/7", "not the address"),
        ("http://[studio/projects/7", "not the address"),
    ],
)
def test_an_address_that_is_no_projects_says_what_is_expected(tmp_path, address, message):
    with pytest.raises(DataError, match=message) as caught:
        fetch_export(SourceRecipe(path=address), tmp_path)
    assert "secret" not in str(caught.value)
