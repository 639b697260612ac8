"""A Hub for tests: the endpoints that the real client calls, on the loopback, all in memory.

It keeps what is uploaded by content, makes commits, tags and branches, states hashes, and can be
told to fail: `fail` (answers with a status), `drop` (closes the connection in the middle of an
upload), `damage` (another byte on the way down), `token` (asks for it). Not the Hub itself:
large files are sent by the basic transfer (`HF_HUB_DISABLE_XET`), and served without a redirect.
"""

import base64
import hashlib
import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".png")
REPO = r"(?P<repo>[^/]+/[^/]+)"


@dataclass(frozen=True)
class Blob:
    """A file's content, and whether it is in large file storage."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git(self) -> str:
        """git's name of what is in the repository: the content, or a pointer to it."""
        text = self.content
        if self.large:
            text = b"oid sha256:%s\nsize %d\n" % (self.sha256.encode(), len(text))
        return hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.git


Tree = dict[str, Blob]


@dataclass
class Repo:
    private: bool
    commits: dict[str, Tree] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: Tree, branch: str = "main") -> str:
        named = {path: blob.etag for path, blob in sorted(tree.items())}
        name = json.dumps([named, len(self.commits)]).encode()
        commit = hashlib.sha1(name).hexdigest()
        self.commits[commit] = tree
        self.branches[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        known = {**dict.fromkeys(self.commits), **self.branches, **self.tags}
        return known.get(revision, "") or (revision if revision in self.commits else None)


class Refusal(Exception):  # noqa: N818 (no error of the tests)
    """An answer that is no success."""

    def __init__(self, status: int, code: str = "", message: str = ""):
        self.status, self.code, self.message = status, code, message


@dataclass
class Hub:
    """What the server holds, what it was asked, and how it fails."""

    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    token: str | None = None
    asked: Counter = field(default_factory=Counter)
    uploaded: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    url: str = ""
    _failures: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    _damaged: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, kind: str, times: int = 1, status: int = 503, after: int = 0) -> None:
        """Answer `times` requests of a kind with `status`, the first `after` left alone; status 0
        closes the connection when half of the request has come."""
        first = self.asked[kind] + after
        self._failures.setdefault(kind, []).append((first, first + times, status))

    def drop(self, kind: str, times: int = 1) -> None:
        self.fail(kind, times, status=0)

    def damage(self, path: str) -> None:
        """Send this file with another last byte, once and for all."""
        self._damaged.add(path)

    def add(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A commit of these files alone, as somebody else has made it."""
        at = self.repos.setdefault(repo, Repo(False))
        at.branches.setdefault("main", at.commit({}))
        return at.commit(
            {path: Blob(it, path.endswith(LARGE)) for path, it in files.items()}, branch
        )

    def failure_of(self, kind: str) -> int | None:
        with self._lock:
            number = self.asked[kind]
            self.asked[kind] += 1
        for first, end, status in self._failures.get(kind, []):
            if first <= number < end:
                return status
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing: a test looks into `Hub.asked`."""

    def do_GET(self) -> None:
        self.serve("GET")

    def do_HEAD(self) -> None:
        self.serve("HEAD")

    def do_POST(self) -> None:
        self.serve("POST")

    def do_PUT(self) -> None:
        self.serve("PUT")

    def serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        kind, match, act = self.route(method, path)
        self.hub.authorizations.add(self.headers.get("Authorization"))
        status = self.hub.failure_of(kind)
        if status == 0:
            self.rfile.read(int(self.headers.get("Content-Length", 2)) // 2)
            self.close_connection = True
            self.connection.close()
            return
        body = self.body()
        try:
            if status is not None:
                raise Refusal(status, message="told to fail")
            if act is None:
                raise Refusal(404, message=f"no such endpoint: {method} {path}")
            # a large file's own address is signed; all else needs the token
            if self.hub.token and kind != "lfs-put" and not self.is_authorized():
                raise Refusal(401, "RepoNotFound", "Invalid username or password.")
            names = {key: unquote(value) for key, value in match.groupdict().items()}
            with self.hub._lock:
                act(self, body, **names)
        except Refusal as answer:
            headers = {"X-Error-Code": answer.code, "X-Error-Message": answer.message}
            content = json.dumps({"error": answer.message}).encode()
            self.send(content, {k: v for k, v in headers.items() if v}, answer.status)

    @staticmethod
    def route(method: str, path: str) -> tuple[str, re.Match | None, Callable[..., None] | None]:
        for kind, methods, pattern, act in ROUTES:
            if method in methods and (match := re.fullmatch(pattern, path)):
                return kind, match, act
        return f"{method} {path}", None, None

    def is_authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def send(
        self, content: bytes, headers: dict[str, str] | None = None, status: int = 200
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, value: Any, status: int = 200) -> None:
        self.send(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)

    def repo_at(self, repo: str, revision: str) -> tuple[Repo, str, Tree]:
        if repo not in self.hub.repos:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        found = self.hub.repos[repo]
        commit = found.resolve(revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found, commit, found.commits[commit]

    # ------------------------------------------------------------------ repositories

    def create(self, body: bytes) -> None:
        given = json.loads(body)
        name = f"{given['organization'] or 'me'}/{given['name']}"
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repos:
            self.send_json(url, 409)
            return
        repo = self.hub.repos[name] = Repo(given.get("visibility") == "private")
        repo.commit({".gitattributes": Blob(b"*.safetensors filter=lfs\n", False)})
        self.send_json(url)

    def validate_yaml(self, body: bytes) -> None:
        text = json.loads(body)["content"]
        whole = re.match(r"---\n.+?\n---\n", text, re.S)
        errors = [] if whole else [{"message": "no metadata"}]
        self.send_json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def refs(self, body: bytes, repo: str) -> None:
        found, _, _ = self.repo_at(repo, "main")

        def listed(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
                for name, commit in names.items()
            ]

        tags, branches = listed("tags", found.tags), listed("heads", found.branches)
        self.send_json({"branches": branches, "converts": [], "tags": tags})

    def info(self, body: bytes, repo: str, revision: str = "main") -> None:
        found, commit, tree = self.repo_at(repo, revision)
        files = []
        for path, blob in tree.items():
            file: dict[str, Any] = {"rfilename": path}
            if "blobs=" in self.path:
                file |= {"size": len(blob.content), "blobId": blob.git}
                if blob.large:
                    size = len(blob.content)
                    file["lfs"] = {"sha256": blob.sha256, "size": size, "pointerSize": 134}
            files.append(file)
        about = {"_id": repo, "id": repo, "modelId": repo, "private": found.private, "tags": []}
        self.send_json({**about, "sha": commit, "siblings": files, "downloads": 0})

    # ------------------------------------------------------------------ up

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        _, _, tree = self.repo_at(repo, revision)
        files = []
        for file in json.loads(body)["files"]:
            path = file["path"]
            mode = "lfs" if path.endswith(LARGE) else "regular"
            there = {"oid": tree[path].etag} if path in tree else {}
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **there})
        self.send_json({"files": files})

    def batch(self, body: bytes, repo: str) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            oid = wanted["oid"]
            actions = {
                "upload": {"href": f"{self.hub.url}/large/{oid}"},
                "verify": {"href": f"{self.hub.url}/verify/{oid}"},
            }
            objects.append(wanted if oid in self.hub.large else {**wanted, "actions": actions})
        self.send_json({"transfer": "basic", "objects": objects})

    def put(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, message="the content has another sha256")
        self.hub.large[oid] = body
        self.hub.uploaded.append(oid)
        self.send(b"")

    def verify(self, body: bytes, oid: str) -> None:
        if oid not in self.hub.large:
            raise Refusal(404, message="no such object")
        self.send_json({})

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        found, _, tree = self.repo_at(repo, revision)
        tree = dict(tree)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise Refusal(400, message=f"no such object: {value['oid']}")
                tree[value["path"]] = Blob(self.hub.large[value["oid"]], True)
        commit = found.commit(tree, revision)
        self.send_json({"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit})

    def tag(self, body: bytes, repo: str, revision: str) -> None:
        found, commit, _ = self.repo_at(repo, revision)
        name = json.loads(body)["tag"]
        if name in found.tags:
            raise Refusal(409, message="Tag reference exists already")
        found.tags[name] = commit
        self.send_json({})

    # ------------------------------------------------------------------ down

    def file(self, body: bytes, repo: str, revision: str, path: str) -> None:
        _, commit, tree = self.repo_at(repo, revision)
        if path not in tree:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        blob = tree[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
        if blob.large:
            headers |= {"X-Linked-ETag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.content))}
        content = blob.content
        if path in self.hub._damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send(content, headers)


API = rf"/api/models/{REPO}"
REVISION = r"(?P<revision>[^/]+)"
FILES = rf"(?:/datasets)?/{REPO}/resolve/{REVISION}"
ROUTES: list[tuple[str, set[str], str, Callable[..., None]]] = [
    ("create", {"POST"}, "/api/repos/create", Handler.create),
    ("validate-yaml", {"POST"}, "/api/validate-yaml", Handler.validate_yaml),
    ("refs", {"GET"}, f"{API}/refs", Handler.refs),
    ("info", {"GET"}, f"{API}/revision/{REVISION}", Handler.info),
    ("info", {"GET"}, API, Handler.info),
    ("preupload", {"POST"}, f"{API}/preupload/{REVISION}", Handler.preupload),
    ("lfs-batch", {"POST"}, rf"/{REPO}\.git/info/lfs/objects/batch", Handler.batch),
    ("lfs-put", {"PUT"}, "/large/(?P<oid>[0-9a-f]+)", Handler.put),
    ("verify", {"POST"}, "/verify/(?P<oid>[0-9a-f]+)", Handler.verify),
    ("commit", {"POST"}, f"{API}/commit/{REVISION}", Handler.commit),
    ("tag", {"POST"}, f"{API}/tag/{REVISION}", Handler.tag),
    ("file", {"GET", "HEAD"}, f"{FILES}/(?P<path>.+)", Handler.file),
]

_names = itertools.count()


@contextmanager
def serving():
    """A Hub that is up while the context is; its address is `hub.url`."""
    hub = Hub()
    handler = type(f"Handler{next(_names)}", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment_of(hub: Hub, folder: Path, token: str | None = None) -> dict[str, str]:
    """What makes a process use this Hub, and keep what it caches in `folder`."""
    values = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder), "HF_HUB_DISABLE_XET": "1"}
    return {**values, "HF_HUB_OFFLINE": "0", "HF_TOKEN": token or ""}
