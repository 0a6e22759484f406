"""needle-serve as its clients see it: answers, streams, several clients, disconnects, shutdown."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import CONTEXT, Server, in_threads

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
NO_END = {"0": -100}  # the end token never comes
LONG = {"model": "tiny", "prompt": "In", "max_tokens": CONTEXT - 100, "logit_bias": NO_END}
USER = [{"role": "user", "content": "In the beginning"}]


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=server.url + "/v1",
        api_key="any",
        max_retries=0,
        timeout=60,
        _strict_response_validation=True,
    ) as one:
        yield one


def texts(frames: list[str]) -> dict[int, str]:
    """The concatenated pieces of each choice of a stream."""
    pieces: dict[int, str] = {}
    for frame in frames[:-1]:
        for choice in json.loads(frame)["choices"]:
            piece = choice["text"] if "text" in choice else choice["delta"].get("content", "")
            pieces[choice["index"]] = pieces.get(choice["index"], "") + piece
    return pieces


# --- facts about the model ----------------------------------------------------------------------


def test_models(server: Server, client: openai.OpenAI) -> None:
    models = client.models.list().data
    assert [model.id for model in models] == ["tiny"]
    card = json.loads(server.request("GET", "/v1/models/tiny")[2])
    assert card.keys() == {"id", "object", "created", "owned_by", "max_model_len"}
    assert (card["object"], card["max_model_len"]) == ("model", CONTEXT)
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("other")
    assert error.value.code == "model_not_found"
    assert error.value.request_id


def test_model_names_with_a_slash(start_server: Callable[..., Server]) -> None:
    server = start_server("--served-name", "org/tiny")
    for path in ("/v1/models/org/tiny", "/v1/models/org%2Ftiny"):
        assert json.loads(server.request("GET", path)[2])["id"] == "org/tiny"
    with openai.OpenAI(base_url=server.url + "/v1", api_key="any") as client:
        assert client.models.retrieve("org/tiny").id == "org/tiny"


def test_plain_http(server: Server) -> None:
    page = server.request("GET", "/")
    assert page[0] == 200
    assert page[1]["content-type"].startswith("text/html")
    assert page[2].startswith(b"<!DOCTYPE html>")
    assert server.request("GET", "/", headers={"Range": "bytes=0-3"})[2] == page[2]
    assert server.request("GET", "/health/")[0] == 200
    status, headers, body = server.request("HEAD", "/v1/models")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    data = json.dumps({"model": "tiny", "prompt": "In", "max_tokens": 1}).encode()
    chunks = b"".join(b"1\r\n" + data[i : i + 1] + b"\r\n" for i in range(len(data)))
    head = b"POST /v1/completions HTTP/1.1\r\nContent-Type: Application/JSON ; charset=utf-8\r\n"
    answer = server.raw(
        head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_serves_many_requests_quickly(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    seconds = []
    for _ in range(50):
        begin = time.monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()
        seconds.append(time.monotonic() - begin)
    connection.close()
    assert sorted(seconds)[25] < 0.02  # 0.04 would be delayed acknowledgements


# --- answers --------------------------------------------------------------------------------------


def test_completion_shape(server: Server) -> None:
    answer = server.complete(prompt=["In the", "And God said"], n=2, max_tokens=4, seed=1)
    assert answer.keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert answer["object"] == "text_completion"
    assert abs(answer["created"] - time.time()) < 10
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    for choice in answer["choices"]:
        assert choice.keys() == {"index", "text", "finish_reason", "logprobs"}
    tokens = [
        server.complete(prompt=p)["usage"]["prompt_tokens"] for p in ("In the", "And God said")
    ]
    usage = answer["usage"]
    assert usage["prompt_tokens"] == sum(tokens)  # once per prompt, not per choice
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
    forced = server.complete(prompt="In", n=3, max_tokens=7, logit_bias=NO_END)
    assert forced["usage"]["completion_tokens"] == 21
    assert {choice["finish_reason"] for choice in forced["choices"]} == {"length"}


def test_end_token_stops(server: Server) -> None:
    answer = server.complete(prompt="In", max_tokens=9, logit_bias={"0": 100})
    assert answer["choices"][0]["text"] == ""
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 1


def test_greedy_equals_a_plain_loop(server: Server, checkpoint: Path) -> None:
    import numpy as np

    import needle as ndl

    model = ndl.transformer.load_pretrained(str(checkpoint))
    tokenizer = ndl.text.Tokenizer.load(str(checkpoint / "tokenizer.json"))
    for prompt in ("In the beginning", "Größe 😀", "And God said, Let there be light: " * 12):
        tokens = tokenizer.encode(prompt)
        begin = len(tokens)
        with ndl.no_grad():
            for _ in range(24):
                logits = model(ndl.tensor(np.array([tokens], np.int64))).numpy()[0, -1]
                tokens.append(int(logits.argmax()))
                if tokens[-1] == 0:
                    break
        expected = tokenizer.decode_bytes([token for token in tokens[begin:] if token != 0])
        answer = server.complete(prompt=prompt, max_tokens=24, temperature=0)
        assert answer["choices"][0]["text"] == expected.decode("utf-8", "replace")
        assert answer["usage"]["prompt_tokens"] == begin
        ids = server.complete(prompt=tokens[:begin], max_tokens=24, temperature=0)
        assert ids["choices"] == answer["choices"]


def test_seeds_repeat_and_company_changes_nothing(server: Server) -> None:
    def run(seed: int, n: int = 1) -> list[str]:
        answer = server.complete(prompt="In the", max_tokens=30, seed=seed, n=n, logit_bias=NO_END)
        return [choice["text"] for choice in answer["choices"]]

    alone = run(7, 3)
    assert len(set(alone)) == 3
    assert run(7)[0] == alone[0]
    together = in_threads(6, lambda index: run(7 if index == 3 else 100 + index, 3))
    assert together[3] == alone
    assert run(8)[0] != alone[0]
    assert run(-1) == run(-1)
    random = [server.complete(prompt="In", logit_bias=NO_END)["choices"][0]["text"] for _ in "ab"]
    assert random[0] != random[1]


def test_stop_strings(server: Server) -> None:
    fields = {"prompt": "In the", "max_tokens": 60, "temperature": 0, "logit_bias": NO_END}
    whole = server.complete(**fields)["choices"][0]["text"]
    assert len(whole) > 12
    for stop in (whole[9:12], whole[3], [whole[10:14], "zzzz", whole[5:7]]):
        strings = [stop] if isinstance(stop, str) else stop
        cut = min(whole.find(s) for s in strings if s in whole)
        choice = server.complete(**fields, stop=stop)["choices"][0]
        assert (choice["text"], choice["finish_reason"]) == (whole[:cut], "stop")
        frames = server.stream(COMPLETIONS, {"model": "tiny", **fields, "stop": stop})[1]
        assert texts(frames) == {0: whole[:cut]}


def test_completion_logprobs_and_echo(server: Server) -> None:
    prompt = "Größe 😀 In"
    answer = server.complete(prompt=prompt, max_tokens=6, logprobs=3, echo=True, seed=4)
    text, logprobs = (answer["choices"][0][name] for name in ("text", "logprobs"))
    assert text.startswith(prompt)
    lengths = {len(values) for values in logprobs.values()}
    assert (
        lengths == {answer["usage"]["total_tokens"]}
        or answer["choices"][0]["finish_reason"] == "stop"
    )
    assert logprobs["token_logprobs"][0] is logprobs["top_logprobs"][0] is None
    for offset, token in zip(logprobs["text_offset"], logprobs["tokens"], strict=True):
        assert "\ufffd" in token or text[offset : offset + len(token)] == token
    for value, top in zip(
        logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:], strict=True
    ):
        assert -9999 <= value <= 0
        assert value in top.values() or "\ufffd" in top
        assert len(top) <= 4
    only = server.complete(prompt="In", max_tokens=2, logprobs=0, logit_bias=NO_END)
    assert all(len(top) == 1 for top in only["choices"][0]["logprobs"]["top_logprobs"])
    assert server.complete(prompt="In", max_tokens=1, echo=True)["choices"][0]["text"][:2] == "In"


def test_chat_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=USER, max_tokens=8, logprobs=True, top_logprobs=5, seed=3
    )
    content = answer.choices[0].logprobs.content
    data = b"".join(bytes(entry.bytes) for entry in content)
    assert data.decode("utf-8", "replace") == answer.choices[0].message.content
    for entry in content:
        values = [one.logprob for one in entry.top_logprobs]
        assert len(values) in (5, 6)
        assert values[:5] == sorted(values[:5], reverse=True)
        assert (entry.token, entry.logprob) in [(o.token, o.logprob) for o in entry.top_logprobs]


def test_chat(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    answer = create(model="tiny", messages=USER, max_completion_tokens=5, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    parts = [{"type": "text", "text": "In the "}, {"type": "text", "text": "beginning"}]
    same = create(
        model="tiny",
        messages=[{"role": "user", "content": parts}],
        max_completion_tokens=5,
        max_tokens=1,
        temperature=0,
    )
    assert same.choices[0].message.content == answer.choices[0].message.content
    # A base model continues the messages, joined by newlines.
    talk = [{"role": "system", "content": "And"}, *USER]
    chat = create(model="tiny", messages=talk, max_tokens=5, temperature=0)
    text = client.completions.create(
        model="tiny", prompt="And\nIn the beginning", max_tokens=5, temperature=0
    )
    assert chat.choices[0].message.content == text.choices[0].text


# --- streams --------------------------------------------------------------------------------------

STREAMED = [
    (COMPLETIONS, {"prompt": "In the", "max_tokens": 40, "seed": 1}),
    (COMPLETIONS, {"prompt": ["In", "And"], "n": 2, "max_tokens": 20, "seed": 2, "echo": True}),
    (COMPLETIONS, {"prompt": "In", "max_tokens": 30, "seed": 3, "stop": ["e", "\ufffd\ufffd"]}),
    (COMPLETIONS, {"prompt": "In", "max_tokens": 30, "temperature": 2, "seed": 4, "logprobs": 2}),
    (CHAT, {"messages": USER, "max_tokens": 40, "seed": 5, "n": 3}),
    (CHAT, {"messages": USER, "max_tokens": 40, "seed": 6, "logprobs": True, "top_logprobs": 2}),
    (CHAT, {"messages": USER, "max_tokens": 1, "temperature": 0}),
]


@pytest.mark.parametrize(("path", "fields"), STREAMED)
@pytest.mark.parametrize("usage", [False, True])
def test_stream_equals_answer(
    server: Server, path: str, fields: dict[str, Any], usage: bool
) -> None:
    body = {"model": "tiny", **fields}
    whole = server.post(path, body)[1]
    options = {"stream_options": {"include_usage": True}} if usage else {}
    headers, frames = server.stream(path, {**body, **options})
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert frames[-1] == "[DONE]"
    chunks = [json.loads(frame) for frame in frames[:-1]]
    for name in ("id", "created", "model", "object"):
        assert len({chunk[name] for chunk in chunks}) == 1
    if usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], whole["usage"])
        assert all(chunk["usage"] is None for chunk in chunks)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    if path == CHAT:
        count = len(whole["choices"])
        for index, choice in enumerate(choices[:count]):
            assert (choice["index"], choice["delta"]) == (
                index,
                {"role": "assistant", "content": ""},
            )
        choices = choices[count:]
        assert not any("role" in choice["delta"] for choice in choices)
    for expected in whole["choices"]:
        own = [choice for choice in choices if choice["index"] == expected["index"]]
        assert [choice["finish_reason"] for choice in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1]["finish_reason"] == expected["finish_reason"]
        pieces = [
            choice["text"] if path != CHAT else choice["delta"].get("content", "") for choice in own
        ]
        assert all(pieces[:-1])
        assert "".join(pieces) == expected.get("text", expected.get("message", {}).get("content"))
        if expected["logprobs"]:
            for name, values in expected["logprobs"].items():
                joined = [x for choice in own for x in choice["logprobs"][name] or []]
                assert joined == (values or [])


def test_openai_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny",
        messages=USER,
        max_tokens=20,
        seed=9,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"top_k": 50, "min_p": 0.01, "top_p": None},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage.completion_tokens <= 20
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=USER, n=0, stream=True)
    assert error.value.param == "n"
