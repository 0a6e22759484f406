"""needle-serve over its life: several clients, disconnects, faults, shutdown, bad starts."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import CONTEXT, PROGRAM, Server, in_threads

COMPLETIONS = "/v1/completions"
NO_END = {"0": -100}  # the end token never comes
LONG = {"model": "tiny", "prompt": "In", "max_tokens": CONTEXT - 100, "logit_bias": NO_END}


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Seconds until the condition held; an assertion if it did not."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - begin


def idle(server: Server) -> Callable[[], bool]:
    return lambda: server.health() == {"status": "ok", "running": 0, "waiting": 0}


def post_bytes(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


# --- several clients ------------------------------------------------------------------------------


def test_clients_are_served_in_turn(server: Server) -> None:
    def run(_: int) -> tuple[float, float]:
        body = {**LONG, "max_tokens": 800, "stream": True}
        with server.open(post_bytes(COMPLETIONS, body)) as connection:
            first, data = 0.0, b""
            while b"[DONE]" not in data:
                data += connection.recv(65536)
                first = first or (time.monotonic() if b"data:" in data else 0.0)
            return first, time.monotonic()

    times = in_threads(6, run)
    # All began before any ended: nobody waited for another's whole answer.
    assert max(first for first, _ in times) < min(last for _, last in times)
    wait_for(idle(server))


@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_frees_the_slot(server: Server, stream: bool) -> None:
    with server.open(post_bytes(COMPLETIONS, {**LONG, "n": 2, "stream": stream})) as connection:
        wait_for(lambda: server.health()["running"] == 2)
        if stream:
            assert connection.recv(20)
    assert wait_for(idle(server)) < 1


def test_full_queue(start_server: Callable[..., Server]) -> None:
    server = start_server("--max-running", "1", "--max-queue", "1")
    request = post_bytes(COMPLETIONS, {**LONG, "stream": True})
    with server.open(request):
        wait_for(lambda: server.health()["running"] == 1)
        with server.open(request):
            wait_for(lambda: server.health()["waiting"] == 1)
            for stream in (False, True):
                status, headers, body = server.request(
                    "POST", COMPLETIONS, {**LONG, "stream": stream}
                )
                assert (status, headers["retry-after"]) == (429, "1")
                error = json.loads(body)["error"]
                assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
    wait_for(idle(server))
    assert server.complete(prompt="In", max_tokens=2)["choices"]


def test_api_key(start_server: Callable[..., Server]) -> None:
    server = start_server("--api-key", "secret")
    for path in ("/", "/health"):
        assert server.request("GET", path)[0] == 200
    for value in (None, "Bearer wrong", "Bearer secrets", "secret", "Basic secret"):
        headers = {"Authorization": value} if value else {}
        status, _, body = server.request("GET", "/v1/models", headers=headers)
        assert status == 401
        assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert server.request("POST", COMPLETIONS, {})[0] == 401
    with openai.OpenAI(base_url=server.url + "/v1", api_key="secret") as client:
        assert client.models.list().data[0].id == "tiny"


def test_a_fault_of_the_model_ends_one_request(
    checkpoint: Path, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    import numpy as np

    import needle as ndl

    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    weights = ndl.load_safetensors(str(broken / "model.safetensors"))
    # Token 383 makes every later logit NaN; prompts without it are well.
    name = next(name for name in weights if "embed_tokens" in name)
    weights[name] = np.array(weights[name])
    weights[name][383] = np.nan
    ndl.save_safetensors(str(broken / "model.safetensors"), weights, metadata={"format": "pt"})
    server = start_server(folder=broken)
    body = {"model": "broken", "prompt": [5, 383], "max_tokens": 3}
    status, answer = server.post(COMPLETIONS, body)
    assert (status, answer["error"]["type"]) == (500, "server_error")
    frames = server.stream(COMPLETIONS, body)[1]
    assert json.loads(frames[-2])["error"] == answer["error"]
    assert frames[-1] == "[DONE]"
    wait_for(idle(server))


# --- start and end --------------------------------------------------------------------------------


def test_sigterm_finishes_running_requests(start_server: Callable[..., Server]) -> None:
    server = start_server()
    body = {**LONG, "max_tokens": 3000, "stream": True}
    with server.open(post_bytes(COMPLETIONS, body)) as connection:
        data = connection.recv(100)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.request("GET", "/health")[0] == 503)
        status, headers, answer = server.request("POST", COMPLETIONS, {**LONG, "max_tokens": 1})
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(answer)["error"]["code"] == "draining"
        while part := connection.recv(65536):
            data += part
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert b'"finish_reason":"length"' in data
    assert server.process.wait(timeout=10) == 0


def test_second_signal_ends_at_once(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with server.open(post_bytes(COMPLETIONS, {**LONG, "stream": True})) as connection:
        assert connection.recv(20)
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: server.request("GET", "/health")[0] == 503)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=5) == 128 + signal.SIGINT


def test_idle_server_ends_quickly(start_server: Callable[..., Server]) -> None:
    server = start_server()
    assert server.ready_line == (
        f"needle-serve: tiny ready at {server.url} (chat page at /, OpenAI API at /v1)\n"
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/health")
    connection.getresponse().read()  # and stays open
    begin = time.monotonic()
    assert server.stop(signal.SIGINT) == 0
    assert time.monotonic() - begin < 1
    connection.close()


def run_program(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_port_in_use(server: Server, checkpoint: Path) -> None:
    code, message = run_program("--model", str(checkpoint), "--port", str(server.port))
    assert code == 1
    assert message.count("\n") == 1
    assert str(server.port) in message
    assert "in use" in message


@pytest.mark.parametrize("arguments", [[], ["--model", "x", "--port", "70000"], ["--nope"]])
def test_bad_command_line(arguments: list[str]) -> None:
    assert run_program(*arguments)[0] == 1


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", ""])
@pytest.mark.parametrize("change", ["missing", "empty", "cut"])
def test_bad_model_folder(checkpoint: Path, tmp_path: Path, name: str, change: str) -> None:
    folder = tmp_path / "model"
    if name:
        shutil.copytree(checkpoint, folder)
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        if change != "missing":
            (folder / name).write_bytes(data[: len(data) // 2 if change == "cut" else 0])
    code, message = run_program("--model", str(folder), "--port", "0")
    assert code == 2, message
    assert message.count("\n") == 1
    assert (name or "model") in message


GIBIBYTE = 1 << 30


def claim_in_config(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    sizes = {"hidden_size": 1 << 17, "intermediate_size": 1 << 20, "num_hidden_layers": 1024}
    path.write_text(json.dumps(config | sizes))


def claim_in_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 90_000_000) + data[8:])


def claim_in_shape(folder: Path) -> None:
    header = {"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def claim_in_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["!"] = (1 << 31) - 1
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (claim_in_config, "config.json describes a model of 4"),
        (claim_in_header, "the header is said to have 90000000 bytes"),
        (claim_in_shape, "lie outside the file's 0 bytes of data"),
        (claim_in_tokenizer, "has id 2147483647"),
    ],
)
def test_sizes_that_a_file_claims_are_not_allocated(
    checkpoint: Path, tmp_path: Path, claim: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    claim(folder)
    done = subprocess.run(
        [PROGRAM, "--model", str(folder), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTE, GIBIBYTE)),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
