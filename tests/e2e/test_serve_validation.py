"""Every kind of bad request gets its documented error, over raw HTTP, and the server goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import CONTEXT, Server

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
TYPES = {401: "authentication_error", 429: "rate_limit_error", 503: "service_unavailable"}


def check_error(
    answer: tuple[int, dict[str, str], bytes], status: int, param: str | None, code: str | None
) -> dict[str, Any]:
    got, headers, body = answer
    assert got == status, body
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    error = json.loads(body)
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"message", "type", "param", "code"}
    error = error["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert error["type"] == TYPES.get(status, "invalid_request_error")
    assert error["message"].endswith(".")
    assert len(error["message"]) < 300
    return error


def valid(path: str) -> dict[str, Any]:
    if path == CHAT:
        return {"model": "tiny", "messages": [{"role": "user", "content": "In"}], "max_tokens": 1}
    return {"model": "tiny", "prompt": "In", "max_tokens": 1}


def merged(path: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The valid body with changes; the value ... removes a field."""
    body = {**valid(path), **fields}
    return {name: value for name, value in body.items() if value is not ...}


# Fields of both endpoints: (bad values). 'param' is the field's name.
BAD_IN_BOTH = {
    "tools": [[], [{}]],
    "functions": [[]],
    "tool_choice": ["required", {}, 1],
    "response_format": [{"type": "json_object"}, {}, "text"],
    "suffix": ["x"],
    "best_of": [2, "1", True, 1.0],
    "audio": [{}],
    "model": [..., None, 1, ["tiny"]],
    "max_tokens": [0, -1, 1.0, 1.5, "1", True, [1], 2**63, 2**64 - 1, 10**30],
    "temperature": [-0.1, 2.1, "1", True, [], {}],
    "top_p": [0, -0.5, 1.01, "1", True],
    "min_p": [-0.1, 1.1, "0", False],
    "top_k": [-2, 1.5, "3", True, 2**63],
    "n": [0, -1, 17, 1.5, "2", True],
    "stop": ["", 5, ["a"] * 5, ["a", 1], [""], ["a", None], "x" * 257, {}, True],
    "seed": [2**63, -(2**63) - 1, 1.5, "1", True],
    "stream": [1, "true", 0, []],
    "stream_options": [{}, {"include_usage": True}],  # without stream
    "presence_penalty": [-2.1, 2.1, "0", True],
    "frequency_penalty": [-2.1, 2.1, "0", True],
    "repetition_penalty": [0, -1, 10.1, "1", True],
    "logit_bias": [
        {"x": 1},
        {"-1": 1},
        {"384": 1},
        {"1.0": 1},
        {"": 1},
        {"99999999999999999999": 1},
        {"1": 101},
        {"1": -101},
        {"1": "1"},
        {"1": True},
        {"1": None},
        [],
        5,
        {str(i): 0 for i in range(1025)},
    ],
    "user": [1, ["x"], "x" * 513],
}
BAD_COMPLETIONS = {
    "prompt": [
        ..., None, "", [], [[]], 1, 1.5, True, {}, ["a", 1], [1, "a"], [[1], "a"], ["a", [1]],
        ["a", ""], [1, None], [1.0], [True], [-1], [384], [2**63], [10**40], [[1], [384]],
        [[1], []],
        ["a"] * 65, [["a"]],
    ],
    "logprobs": [True, -1, 21, 1.5, "1"],
    "echo": [1, "true"],
}  # fmt: skip
BAD_CHAT = {
    "messages": [
        ..., None, "hi", [], {}, ["hi"], [None],
        [{"content": "a"}],
        [{"role": 1, "content": "a"}],
        [{"role": None, "content": "a"}],
        [{"role": "robot", "content": "a"}],
        [{"role": "tool", "content": "a"}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": 1}],
        [{"role": "user", "content": ["a"]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": [{"type": "text", "text": 1}]}],
        [{"role": "user", "content": ""}],
        [{"role": "assistant", "content": ""}],
        [{"role": "user", "content": "a"}, {"role": "user", "content": {}}],
    ],
    "max_completion_tokens": [0, -1, 1.5, "1", True],
    "logprobs": [1, "true", 0],
    "top_logprobs": [1, 0],  # without logprobs
}  # fmt: skip

BAD_FIELDS = [
    *((path, n, v) for path in (COMPLETIONS, CHAT) for n, vs in BAD_IN_BOTH.items() for v in vs),
    *((COMPLETIONS, name, value) for name, values in BAD_COMPLETIONS.items() for value in values),
    *((CHAT, name, value) for name, values in BAD_CHAT.items() for value in values),
]


def label(value: Any) -> str:
    return str(value).removeprefix("/v1/")[:30]


@pytest.mark.parametrize(("path", "field", "value"), BAD_FIELDS, ids=label)
def test_bad_field(server: Server, path: str, field: str, value: Any) -> None:
    body = merged(path, {field: value})
    check_error(server.request("POST", path, body), 400, field, None)
    assert server.health()["status"] == "ok"


MORE_BAD = [
    (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs", None),
    (CHAT, {"logprobs": True, "top_logprobs": True}, "top_logprobs", None),
    (CHAT, {"stream": True, "stream_options": "x"}, "stream_options", None),
    (CHAT, {"stream": True, "stream_options": {"include_usage": 1}}, "stream_options", None),
    (COMPLETIONS, {"prompt": ["a"] * 64, "n": 3}, "n", None),
    (COMPLETIONS, {"max_tokens": CONTEXT}, "max_tokens", "context_length_exceeded"),
    (COMPLETIONS, {"max_tokens": 2**62}, "max_tokens", "context_length_exceeded"),
    (CHAT, {"max_completion_tokens": CONTEXT}, "max_completion_tokens", "context_length_exceeded"),
    (COMPLETIONS, {"prompt": [1] * CONTEXT}, "prompt", "context_length_exceeded"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": "1 " * CONTEXT}], "max_tokens": ...},
        "messages",
        "context_length_exceeded",
    ),
    # The first fault in the documented order answers.
    (COMPLETIONS, {"top_p": 7, "temperature": 7, "model": "no"}, "temperature", None),
    (COMPLETIONS, {"prompt": "", "tools": []}, "tools", None),
]


@pytest.mark.parametrize(("path", "fields", "param", "code"), MORE_BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_combination(
    server: Server, path: str, fields: dict[str, Any], param: str, code: str | None, stream: bool
) -> None:
    body = merged(path, {"stream": stream, **fields})
    check_error(server.request("POST", path, body), 400, param, code)
    assert server.health()["status"] == "ok"


def test_length_error_gives_both_numbers(server: Server) -> None:
    body = {"model": "tiny", "prompt": [1] * CONTEXT}
    error = check_error(
        server.request("POST", COMPLETIONS, body), 400, "prompt", "context_length_exceeded"
    )
    assert str(CONTEXT) in error["message"]
    assert str(CONTEXT - 1) in error["message"]


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
def test_unknown_model(server: Server, path: str) -> None:
    body = merged(path, {"model": "no-such-model"})
    check_error(server.request("POST", path, body), 404, "model", "model_not_found")


GOOD = [
    {"tool_choice": "none", "best_of": 1, "response_format": {"type": "text"}},
    {"tool_choice": "auto", "unknown": [{}], "x" * 300: 1},
    {"temperature": 0, "top_p": 1, "min_p": 0, "top_k": -1, "stop": [], "seed": -(2**63)},
    {"temperature": 2, "top_p": 0.01, "min_p": 1, "top_k": 10**6, "seed": 2**63 - 1},
    {"top_k": 0, "n": 2, "best_of": 2, "stop": ["a", "b", "c", "d" * 256], "user": "x" * 512},
    {"logit_bias": {"1": 100, "383": -100.0, "0": 0}, "presence_penalty": -2},
    {"frequency_penalty": 2, "repetition_penalty": 10, "stream": False},
    dict.fromkeys([*BAD_IN_BOTH, "echo", "logprobs", "top_logprobs"]) | {"model": "tiny"},
]


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("fields", GOOD)
def test_good_values(server: Server, path: str, fields: dict[str, Any]) -> None:
    body = merged(path, fields)
    if body["max_tokens"] is None:
        body["max_tokens"] = 1
    status, answer = server.post(path, body)
    assert status == 200, answer


DEEP = b'{"model":"tiny","prompt":"In","max_tokens":1,"x":'
BAD_JSON = [
    b"",
    b"{",
    b"[]",
    b'"x"',
    b"1",
    b"null",
    b"true",
    b'{"model":"tiny","prompt":"In","temperature":NaN}',
    b'{"model":"tiny","prompt":"In","temperature":Infinity}',
    b'{"model":"tiny","prompt":"In","temperature":1e400}',
    b'{"model":"tiny","model":"tiny","prompt":"In"}',
    b'{"model":"tiny","prompt":"In","x":[{"a":1,"a":2}]}',
    b'{"model":"tiny","prompt":"\\ud800"}',
    b'{"model":"tiny","prompt":"\xff\xfe"}',
    b'{"model":"tiny","prompt":"In"} x',
    b'{"model":"tiny","prompt":"In",}',
    b'{"model":"tiny","prompt":"a\nb"}',
    DEEP + b"[" * 64 + b"]" * 64 + b"}",
    DEEP + b"[" * 2_000_000,
]


@pytest.mark.parametrize("body", BAD_JSON, ids=lambda body: repr(body[:60]))
def test_bad_json(server: Server, body: bytes) -> None:
    answer = server.request("POST", COMPLETIONS, body, JSON)
    check_error(answer, 400, None, "invalid_json")
    assert server.health()["status"] == "ok"


def test_depth_of_64_is_fine(server: Server) -> None:
    body = DEEP + b"[" * 63 + b"]" * 63 + b"}"
    assert server.request("POST", COMPLETIONS, body, JSON)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/metrics", 404, "not_found"),
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", "/../etc/passwd", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("GET", "/" + "a" * 2000, 414, None),
        ("GET", "/" + "a" * 9000, 414, None),
        ("GET", COMPLETIONS, 405, "method_not_allowed"),
        ("PUT", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("OPTIONS", "/", 405, "method_not_allowed"),
        ("TRACE", CHAT, 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods(
    server: Server, method: str, path: str, status: int, code: str | None
) -> None:
    param = "model" if code == "model_not_found" else None
    answer = server.request(method, path)
    check_error(answer, status, param, code)
    if status == 405:
        assert answer[1]["allow"] == ("POST" if "completions" in path else "GET, HEAD")
    assert server.health()["status"] == "ok"


POST = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\n".encode()
TYPED = POST + b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (TYPED + b"\r\n", 411),
        (TYPED + b"Content-Length: x\r\n\r\n", 400),
        (TYPED + b"Content-Length: -1\r\n\r\n", 400),
        (TYPED + b"Content-Length: 2, 2\r\n\r\n{}", 400),
        (TYPED + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        (TYPED + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (TYPED + b"Transfer-Encoding: gzip\r\n\r\n{}", 400),
        (TYPED + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (TYPED + b"Content-Length: 99999999999\r\n\r\n{}", 413),
        (TYPED + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (POST + b"Content-Length: 2\r\n\r\n{}", 415),
        (POST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
        (POST + b"Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"BREW / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 9000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nRange: bytes=x\r\n\r\n", 416),
    ],
    ids=label,
)
def test_bad_framing(server: Server, request_bytes: bytes, status: int) -> None:
    close = request_bytes.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    head, _, body = server.raw(close).partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode(), head
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    codes = {413: "body_too_large", 415: "unsupported_media_type"}
    check_error((status, headers, body), status, None, codes.get(status))
    assert server.health()["status"] == "ok"


def test_large_bodies(server: Server) -> None:
    limit = 8 << 20
    for size, status in ((limit, 400), (limit + 1, 413)):  # at the limit it is only bad JSON
        code = "body_too_large" if status == 413 else "invalid_json"
        check_error(server.request("POST", COMPLETIONS, b" " * size, JSON), status, None, code)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    data = TYPED + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 130 + b"0\r\n\r\n"
    assert b" 413 " in server.raw(data)[:20]
    assert server.health()["status"] == "ok"


def test_unread_body_is_not_the_next_request(server: Server) -> None:
    inner = b"GET /health HTTP/1.1\r\n\r\n"
    for start in (b"GET /v1/models HTTP/1.1", b"POST /nope HTTP/1.1", b"PUT /health HTTP/1.1"):
        length = f"\r\nContent-Length: {len(inner)}\r\n\r\n".encode()
        answer = server.raw(start + length + inner)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in answer


def test_fuzzed_bodies_never_stop_the_server(server: Server) -> None:
    import random

    chance = random.Random(5)
    good = json.dumps(valid(COMPLETIONS)).encode()
    for _ in range(300):
        body = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            body[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        status, _, data = server.request("POST", COMPLETIONS, bytes(body), JSON)
        assert status in (200, 400, 404), data
    assert server.health()["status"] == "ok"
