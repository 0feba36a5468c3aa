from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.downloads import MT_BENCH_FILES, PinnedFile, cached, download
from ia2_eval.mtbench.prompts.urial_files import pinned_files

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
CONTENT = "Grüße\n".encode()
FILE = PinnedFile("org/repo", "a" * 40, "some folder/b&c.txt", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache" / "ia2-eval"


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "source" / FILE.place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return (tmp_path / "source").as_uri()


class Server(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(CONTENT) + ("cut" in self.path)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    Server.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_is_fetched_once(server: str, cache: Path) -> None:
    path = download(FILE, server)
    assert path == cached(FILE) == cache / FILE.place
    assert path.read_bytes() == CONTENT
    assert download(FILE, server) == path
    assert Server.asked == [f"/org/repo/{'a' * 40}/some%20folder/b%26c.txt"]


def test_a_spoilt_copy_is_fetched_again(source: str) -> None:
    download(FILE, source).write_bytes(b"half")
    assert download(FILE, source).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"<html>log in</html>", CONTENT[:-1], CONTENT * 1000])
def test_something_else_is_refused_and_not_kept(source: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "source" / FILE.place).write_bytes(content)
    with pytest.raises(UserError, match=r"is not the file that was pinned: .* expected 8 bytes with") as caught:
        download(FILE, source)
    assert "some folder/b&c.txt of github.com/org/repo at aaaaaaaaaaaa, saved as" in str(caught.value)
    assert not cached(FILE).parent.exists()


@pytest.mark.parametrize("name", ["missing.txt", "cut.txt"])
def test_a_failed_download_says_how_to_get_the_file(server: str, name: str) -> None:
    with pytest.raises(UserError, match=r"To get it by hand: .*--data-dir or IA2_DATA_DIR"):
        download(PinnedFile("org/repo", "a" * 40, name, "0" * 64, len(CONTENT) + 1), server)


def test_an_endpoint_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"cannot fetch http://127\.0\.0\.1:9/.*refused"):
        download(FILE, "http://127.0.0.1:9")


def test_offline_nothing_is_asked(server: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids to fetch it"):
        download(FILE, server)
    assert Server.asked == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    download(FILE, source)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(FILE, server).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(source: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot keep some folder"):
        download(FILE, source)


def test_the_files_of_mt_bench_have_fastchats_layout() -> None:
    questions, references, prompts = map(cached, MT_BENCH_FILES)
    assert references == questions.parent / "reference_answer" / "gpt-4.jsonl"
    assert prompts == questions.parent.parent / "judge_prompts.jsonl"
    assert questions.name == "question.jsonl"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not beside the checkout")
def test_pinned_checksums_are_those_of_the_real_files() -> None:
    questions, _, prompts = MT_BENCH_FILES
    local = {SHARED / "mt_bench" / "question.jsonl": questions, SHARED / "mt_bench" / "judge_prompts.jsonl": prompts}
    for file in pinned_files().values():
        folder = "icl-alignment" if "icl" in file.repository else "Re-Align"
        local[SHARED / "urial_prompts" / folder / file.path.removeprefix("urial_prompts/")] = file
    assert len(local) == 65
    for path, file in local.items():
        content = path.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256), path
