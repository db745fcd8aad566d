"""One round trip through the real Label Studio; makes tests/records/fixtures/label_studio.

    python benchmarks/label_studio_round_trip.py --label-studio VENV/bin/label-studio

Needs label-studio (1.23.2 was used) in an environment of its own. Starts it on a free port with an
empty data folder, imports tasks that ``write_tasks`` wrote, annotates them as two users through the
API, exports, fetches the live projects with both kinds of tokens, and checks that every way gives
the spans that were annotated. The server is stopped in the end; nothing but the fixtures stays.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from attar.errors import DataError
from attar.io.files import write_json
from attar.recipe.load import SourceRecipe
from attar.records.audit.audit import Rejection
from attar.records.readers.label_studio import read_label_studio
from attar.records.record import Record
from attar.records.remote.label_studio import TOKEN_VARIABLE, fetch_export
from attar.scoring.label_studio import labelling_config, write_tasks

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "records" / "fixtures" / "label_studio"
LABELS = ("积极", "中性", "消极")
TOKEN = "0123456789abcdef0123456789abcdef01234567"  # noqa: S105 - of a server that lives a minute
PASSWORD = "round-trip-1"  # noqa: S105 - likewise
START_SECONDS = 300

# Written for this script. (text, term, label that the model gave)
SCORED = [
    ("😀👍香味很好闻，泵头不好按", "香味", "积极"),
    ("😀👍香味很好闻，泵头不好按", "泵头", "积极"),
    ("质地&lt;清爽&gt; &amp; 不黏\n第二行：包装一般", "质地", "积极"),
    ("质地&lt;清爽&gt; &amp; 不黏\n第二行：包装一般", "包装", "中性"),
    ("口红颜色显白", "颜色", "积极"),
    ("粉底液有点卡粉", "粉底液", "消极"),
    ("面霜还没用", "面霜", "中性"),
]
REGION_CONFIG = """<View>
  <Labels name="wordtype" toName="text"><Label value="产品"/><Label value="属性"/></Labels>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text" perRegion="true">
    <Choice value="积极"/><Choice value="中性"/><Choice value="消极"/>
  </Choices>
</View>"""
KEYWORD_CONFIG = """<View>
  <Text name="review" value="$review"/><Header value="$keyword"/>
  <Choices name="sentiment" toName="review">
    <Choice value="积极"/><Choice value="中性"/><Choice value="消极"/>
  </Choices>
</View>"""

Span = tuple[str, int | None, int | None, str | None, str, str]


class User:
    """Someone who talks to the API."""

    def __init__(self, server: str, token: str) -> None:
        self.token = token
        self._client = httpx2.Client(base_url=server, headers={"Authorization": f"Token {token}"}, timeout=60)
        self.number = int(self.call("GET", "/api/current-user/whoami")["id"])

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON is any
        """The API's answer, parsed."""
        return self._client.request(method, path, json=body).raise_for_status().json()

    def annotate(self, task_id: int, result: list[dict[str, Any]], **more: object) -> None:
        """Submit an annotation."""
        self.call("POST", f"/api/tasks/{task_id}/annotations/", {"result": result, **more})


@contextlib.contextmanager
def running_server(program: str, folder: Path) -> Iterator[str]:
    """Label Studio on a free loopback port, with nothing in it but one user."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = f"http://127.0.0.1:{port}"
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
    }
    command = [program, "start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1"]
    user = ["--username", "first@example.org", "--password", PASSWORD, "--user-token", TOKEN]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - the program that was named
            [*command, *user], env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(server, process)
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait_for(server: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(START_SECONDS):
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx2.HTTPError):
            httpx2.get(f"{server}/health/", timeout=5).raise_for_status()
            return
        time.sleep(1)
    raise SystemExit("label-studio did not start; is --label-studio its program?")


def sign_up(server: str, admin: User, email: str) -> User:
    """Make a second user, as people do: by the invitation's page."""
    page = admin.call("GET", "/api/invite")["invite_url"]
    with httpx2.Client(base_url=server, timeout=60, follow_redirects=True) as browser:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(page).text)
        assert found is not None, "the page to sign up has changed"
        fields = {"email": email, "password": PASSWORD, "how_find_us": "Other"}
        browser.post(page, data=fields | {"csrfmiddlewaretoken": found[1]}).raise_for_status()
        return User(server, browser.get("/api/current-user/token").raise_for_status().json()["token"])


def region(number: int, text: str, term: str, label: str, control: str = "label") -> dict[str, Any]:
    """A labelled region of a result, in code points."""
    start = text.index(term)
    value = {"start": start, "end": start + len(term), "text": term, "labels": [label]}
    return {"id": f"r{number}", "from_name": control, "to_name": "text", "type": "labels", "value": value}


def choice(label: str, of: dict[str, Any]) -> dict[str, Any]:
    """A choice about a region."""
    place = {key: of["value"][key] for key in ("start", "end", "text")}
    return of | {"from_name": "sentiment", "type": "choices", "value": {**place, "choices": [label]}}


def annotate(user: User, task_id: int, text: str, labels: dict[str, str]) -> list[Span]:
    """Submit a region a term; the spans that they are."""
    regions = [region(number, text, *pair) for number, pair in enumerate(labels.items(), 1)]
    user.annotate(task_id, regions)
    values = [one["value"] for one in regions]
    return [(text, one["start"], one["end"], one["labels"][0], "", str(user.number)) for one in values]


def make_project(admin: User, title: str, config: str, tasks: object) -> tuple[int, list[int]]:
    """Make a project and import tasks: (its number, the tasks' ids in order)."""
    project = admin.call("POST", "/api/projects/", {"title": title, "label_config": config})["id"]
    admin.call("POST", f"/api/projects/{project}/import", tasks)
    listed = admin.call("GET", f"/api/tasks/?project={project}&page_size=1000")["tasks"]
    return project, sorted(task["id"] for task in listed)


def annotate_terms(first: User, second: User, folder: Path) -> tuple[int, list[Span], dict[str, int]]:
    """The main project: tasks with predictions, two annotators, one change of mind, one skip."""
    rows = [
        {
            "text": text, "term": term, "start": text.index(term), "end": text.index(term) + len(term),
            "label": label, "prob": 0.9, "channel": "京东", **{f"prob_{name}": 0.1 for name in LABELS},
        }
        for text, term, label in SCORED
    ]  # fmt: skip
    write_tasks(folder / "tasks.json", rows, labels=LABELS, model_version="round-trip-1")
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    project, ids = make_project(first, "terms", labelling_config(LABELS), tasks)
    shown = first.call("GET", f"/api/tasks/?project={project}&fields=all")["tasks"]
    for task, sent in zip(shown, tasks, strict=True):
        stored = [(p["model_version"], p["score"], p["result"]) for p in task["predictions"]]
        assert stored == [(p["model_version"], p["score"], p["result"]) for p in sent["predictions"]]
    emoji, entities, lipstick = (task["data"]["text"] for task in tasks[:3])
    spans = annotate(first, ids[0], emoji, {"香味": "积极", "泵头": "消极"})
    assert [span[1:3] for span in spans] == [(2, 4), (8, 10)]
    spans += annotate(second, ids[0], emoji, {"香味": "积极", "泵头": "中性"})
    annotate(first, ids[1], entities, {"不黏": "积极"})
    spans += annotate(first, ids[1], entities, {"不黏": "积极", "包装": "中性"})
    spans += annotate(first, ids[2], lipstick, {"颜色": "积极"})
    second.annotate(ids[2], [])
    second.annotate(ids[3], [], was_cancelled=True)
    return project, spans, {"cancelled": 1, "duplicate": 1, "missing_label": 2}


def annotate_regions(first: User) -> tuple[int, list[Span], dict[str, int]]:
    """Regions that say the kind of term, each with a choice of its own; one without."""
    text = "🌸洗面奶不错，泡沫一般"
    task = {"data": {"text": text, "channel": "淘宝"}}
    project, ids = make_project(first, "regions", REGION_CONFIG, [task, {"data": {"text": "泵坏"}}])
    product = region(1, text, "洗面奶", "产品", "wordtype")
    foam, lonely = (region(n, text, term, "属性", "wordtype") for n, term in ((2, "泡沫"), (3, "不错")))
    first.annotate(ids[0], [product, foam, choice("积极", product), choice("中性", foam), lonely])
    one = str(first.number)
    return (
        project,
        [(text, 1, 4, "积极", "产品", one), (text, 7, 9, "中性", "属性", one)],
        {"missing_label": 2},
    )


def annotate_keywords(first: User) -> tuple[int, list[Span], dict[str, int]]:
    """A choice about the task's keyword, the text in a field of another name."""
    data = {"review": "香水留香久", "keyword": "留香", "wordtype": "属性"}
    project, ids = make_project(first, "keywords", KEYWORD_CONFIG, [{"data": data}])
    chosen = {"id": "c1", "from_name": "sentiment", "to_name": "review", "type": "choices"}
    first.annotate(ids[0], [chosen | {"value": {"choices": ["积极"]}}])
    return project, [("香水留香久", None, None, "积极", "属性", str(first.number))], {}


def check(name: str, path: Path, spans: Sequence[Span], rejected: dict[str, int]) -> None:
    """Compare what is read from a file with what was annotated."""
    found: list[Span] = []
    reasons: Counter[str] = Counter()
    for row in read_label_studio(path):
        if isinstance(row, Rejection):
            reasons[row.reason] += 1
            continue
        assert isinstance(row, Record)
        assert row.start is None or row.text[row.start : row.end] == row.term
        found.append((row.text, row.start, row.end, row.label, row.meta.get("wordtype", ""), row.annotator))
    assert sorted(found, key=str) == sorted(spans, key=str), f"{name}: other spans: {found}"
    assert reasons == rejected, f"{name}: other rejections: {reasons}"
    print(f"{name}: {len(found)} records, rejected {reasons}")


def check_live(server: str, user: User, project: int, folder: Path) -> list[Path]:
    """Fetch a project with a legacy token and with a personal access token; both files."""
    personal = user.call("POST", "/api/token/", {})["token"]
    files = []
    for kind, token in (("legacy", user.token), ("personal", personal)):
        os.environ[TOKEN_VARIABLE] = token
        source = SourceRecipe(path=f"{server}/projects/{project}/data?tab=1")
        files.append(fetch_export(source, folder / kind))
    assert files[0].read_bytes() == files[1].read_bytes()
    return files


def check_pages(server: str, user: User, folder: Path) -> None:
    """Fetch a project of several pages that nobody annotated; ask for one that is not there."""
    tasks = [{"data": {"text": f"第{number}条"}} for number in range(230)]
    project, ids = make_project(user, "many", labelling_config(LABELS), tasks)
    fetched = fetch_export(SourceRecipe(path=f"{server}/projects/{project}"), folder / "many")
    assert [task["id"] for task in json.loads(fetched.read_text("utf-8"))] == ids
    check("many, live", fetched, [], {"missing_label": len(tasks)})
    for token, path in ((user.token, "/projects/99"), ("0" * 40, "/projects/1"), ("a.b.c", "/projects/1")):
        os.environ[TOKEN_VARIABLE] = token
        try:
            fetch_export(SourceRecipe(path=server + path), folder / "nothing")
        except DataError as error:
            print(f"as it should be: {error}")
        else:
            raise AssertionError("fetched what is not there")


def main() -> None:
    """Make the round trip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--label-studio", default="label-studio", help="the program")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="round-trip-") as name,
        running_server(arguments.label_studio, Path(name)) as server,
    ):
        folder = Path(name)
        first = User(server, TOKEN)
        second = sign_up(server, first, "second@example.org")
        projects = {
            "terms": annotate_terms(first, second, folder),
            "regions": annotate_regions(first),
            "keywords": annotate_keywords(first),
        }
        FIXTURES.mkdir(parents=True, exist_ok=True)
        for title, (project, spans, rejected) in projects.items():
            for kind in ("JSON", "JSON_MIN"):
                query = f"exportType={kind}&download_all_tasks=true"  # unannotated tasks too
                exported = first.call("GET", f"/api/projects/{project}/export?{query}")
                write_json(FIXTURES / f"{title}_{kind.lower()}.json", exported, indent=1)
            check(title, FIXTURES / f"{title}_json.json", spans, rejected)
        project, spans, rejected = projects["terms"]
        for file in check_live(server, first, project, folder):
            check(f"terms, live, {file.parent.name} token", file, spans, rejected)
        check_pages(server, first, folder)
        for title in projects:
            rows = list(read_label_studio(FIXTURES / f"{title}_json_min.json"))
            kinds = [row.reason if isinstance(row, Rejection) else "record" for row in rows]
            print(f"{title}, JSON_MIN: {kinds}")


if __name__ == "__main__":
    main()
