"""Fixtures of the end-to-end tests: a tiny checkpoint and running needle-serve programs."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Another build can be tested: NEEDLE_SERVE=build/sanitize/needle-serve.
PROGRAM = Path(os.environ.get("NEEDLE_SERVE", ROOT / "build/release/needle-serve")).resolve()
CONTEXT = 16384  # so long that a request can be made to last for seconds

TEXT = """In the beginning God created the heaven and the earth. And the earth was without form,
and void; and darkness was upon the face of the deep. And the Spirit of God moved upon the face of
the waters. And God said, Let there be light: and there was light. And God saw the light, that it
was good: and God divided the light from the darkness. Größe, naïve, 日本語, 😀.
"""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small random decoder with its tokenizer, named tiny."""
    import needle as ndl

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    folder.mkdir()
    tokenizer = ndl.text.Tokenizer.train(TEXT * 20, vocab_size=384)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.vocab_size == 384  # the tests know the largest id
    ndl.manual_seed(1)
    config = ndl.transformer.Config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_ids=[0],
    )
    ndl.transformer.save_pretrained(ndl.transformer.Decoder(config), str(folder))
    return folder


class Server:
    """A running needle-serve and the raw ways to talk to it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [str(PROGRAM), "--model", str(folder), "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        match = re.search(r" ready at http://([^ ]+):(\d+) ", self.ready_line)
        if match is None:
            self.process.kill()
            raise AssertionError(f"no ready line but {self.ready_line!r}: {self.stderr()}")
        self.port = int(match[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def stderr(self) -> str:
        """What an ended server wrote to stderr."""
        return self.process.communicate(timeout=60)[1]

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on its own connection: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if headers is None:
            headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, response.read()
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and decoded JSON of a POST."""
        status, headers, data = self.request("POST", path, body)
        assert headers["content-type"] == "application/json"
        return status, json.loads(data)

    def complete(self, **fields: Any) -> Any:
        """The answer of /v1/completions, which must be 200."""
        status, answer = self.post("/v1/completions", {"model": "tiny", **fields})
        assert status == 200, answer
        return answer

    def open(self, data: bytes) -> socket.socket:
        """A connection that has sent `data`."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(data)
        return connection

    def raw(self, data: bytes) -> bytes:
        """Everything that the server sends until it closes the connection."""
        with self.open(data) as connection:
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def stream(self, path: str, body: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
        """Headers and the data of each event; the framing is checked byte by byte."""
        status, headers, data = self.request("POST", path, {**body, "stream": True})
        assert status == 200, data
        assert data.endswith(b"\n\n")
        frames = data.decode().split("\n\n")[:-1]
        assert all(re.fullmatch(r"data: [^\n\r]+", frame) for frame in frames), frames
        return headers, [frame.removeprefix("data: ") for frame in frames]

    def health(self) -> dict[str, Any]:
        """The decoded answer of /health, which must be 200."""
        status, _, data = self.request("GET", "/health")
        assert status == 200, data
        return json.loads(data)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the server by a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def server(checkpoint: Path) -> Iterator[Server]:
    """A server that tests share and must leave running."""
    running = Server(checkpoint)
    yield running
    assert running.process.poll() is None, f"the server ended: {running.stderr()}"
    assert running.stop() == 0


@pytest.fixture
def start_server(checkpoint: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own, with command line arguments and maybe another folder."""
    started: list[Server] = []

    def start(*arguments: str, folder: Path = checkpoint) -> Server:
        started.append(Server(folder, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Results of work(0 … count - 1), all at once."""
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
