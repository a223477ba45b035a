"""What an envelope names that Celery would do something about, and commands that a worker does not obey."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, shared_task

from mailer.operations.status import read_status
from mailer.testbed.waiting import until
from mailer.worker.app import configuration, create_app
from ops.soak.hostile import PLAIN, bomb, envelope, mail
from tests.support.post import Post, environment, refusal_to_start

BUILT_IN = ("accumulate", "backend_cleanup", "chain", "chord", "chord_unlock", "chunks", "group", "map", "starmap")


@pytest.fixture(autouse=True)
def clean(shared: Post) -> None:
    shared.simulator.reset()
    for shelf in ("dead", "held"):
        shared.client.delete(shared.keys.aside(shelf), shared.keys.aside_index(shelf))


@pytest.fixture
def app(shared: Post) -> Iterator[Celery]:
    app = Celery("operator", set_as_current=False)
    app.conf.update(configuration(shared.settings))
    yield app
    app.close()


def letters(post: Post, *envelopes: bytes, lane: str = "bulk") -> dict[str, dict[str, str]]:
    """Enqueue them, and see which became dead letters: name -> reason."""
    for each in envelopes:
        post.client.lpush(post.keys.lane(lane), each)
    post.send("afterwards@example.com", lane=lane)
    until(lambda: post.arrivals("afterwards@example.com"), "the lane goes on")
    until(post.idle, "the queue is empty")
    assert post.workers[0].process.poll() is None
    return {name: json.loads(stored.split(b"\n", 1)[0]) for name, stored in post.aside("dead").items()}


def test_a_worker_has_one_task(shared: Post, app: Celery) -> None:
    (reply,) = app.control.broadcast("registered", arguments={"builtins": True}, reply=True, timeout=60, limit=1)
    assert list(reply.values()) == [["mailer.send"]]


def test_tasks_that_libraries_share_are_none_of_ours(shared: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def task() -> None: ...

    shared_task(task, name="before.us")
    app = create_app(shared.settings)
    assert list(app.tasks) == ["mailer.send"]
    shared_task(task, name="after.us")
    assert list(app.tasks) == ["mailer.send"]


def test_celerys_own_tasks_are_dead_letters(shared: Post) -> None:
    named = {f"celery.{task}": envelope(task, "[[], {}, {}]", task=f"celery.{task}") for task in BUILT_IN}
    found = letters(shared, *named.values())
    assert set(found) == set(BUILT_IN)
    assert {each["code"] for each in found.values()} == {"UnknownTask"}
    assert "'celery.map' here. Send to mailer.send" in found["map"]["detail"]


def test_what_is_compressed_is_not_opened(shared: Post) -> None:
    before = peak_megabytes(shared)
    found = letters(shared, bomb(1))
    assert found["bomb"]["code"] == "NotSupported"
    assert found["bomb"]["detail"].startswith("compression: ")
    assert peak_megabytes(shared) < before + 100


def peak_megabytes(post: Post) -> float:
    status = Path(f"/proc/{post.workers[0].process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


OTHERWISE: dict[str, dict[str, Any]] = {
    "content-type": {"content-type": "application/x-yaml"},
    "no content-type": {"content-type": None},
    "content-encoding": {"content-encoding": "zip"},
    "body": {"body": [[], PLAIN, {}]},
    "body_encoding": {"properties": {"body_encoding": "rot13"}},
    "property": {"properties": {"compression": "gzip"}},
}


def test_what_is_not_json_in_utf8_is_not_opened(shared: Post) -> None:
    made = [{**json.loads(mail(name.replace(" ", "-"))), **changed} for name, changed in OTHERWISE.items()]
    found = letters(shared, *(json.dumps(each).encode() for each in made))
    assert len(found) == len(OTHERWISE)
    assert found["content-encoding"]["detail"] == "content-encoding: is 'zip', and it was not opened. Send utf-8"


def test_a_body_in_base64_is_one_that_stock_celery_writes(shared: Post) -> None:
    made = json.loads(mail("base64", to="base64@example.com"))
    made["body"] = base64.b64encode(made["body"].encode()).decode()
    made["properties"]["body_encoding"] = "base64"
    assert letters(shared, json.dumps(made).encode()) == {}
    assert shared.arrivals("base64@example.com")


BAD = {
    "negative": ("Undecodable", envelope("negative", "[[], {}, {}]", retries=-1)),
    "embed": ("NotSupported", envelope("embed", json.dumps([[], PLAIN, {"mailer_lease_ends": 0}]))),
    "list": ("Undecodable", envelope("list", json.dumps([[], PLAIN, ["x"]]))),
    "values": ("Undecodable", envelope("values", json.dumps([[], {**PLAIN, "x": [[]] * 300_000}, {}]))),
    "hidden": ("Undecodable", envelope("hidden", "")),
}


def test_what_would_keep_a_worker_busy_is_a_dead_letter(shared: Post) -> None:
    hidden = json.loads(BAD["hidden"][1])
    body = json.dumps([[], {**PLAIN, "x": [[]] * 300_000}, {}]).encode()
    hidden |= {"body": base64.b64encode(body).decode(), "properties": {"body_encoding": "base64"}}
    made = [raw for name, (_, raw) in BAD.items() if name != "hidden"]
    found = letters(shared, *made, json.dumps(hidden).encode())
    assert {name: each["code"] for name, each in found.items()} == {name: code for name, (code, _) in BAD.items()}
    assert all(len(each["detail"]) < 600 for each in found.values())


IGNORED: dict[str, dict[str, Any]] = {
    "shadow": {"shadow": "another.name\nand a line"},
    "timelimit": {"timelimit": [0.001, "x"]},
    "limits": {"timelimit": 5},
    "stamps": {"stamped_headers": 5, "stamps": "x"},
    "callbacks": {"callbacks": [{"task": "celery.map"}], "chain": [{"task": "a.b"}], "chord": 1, "errbacks": 3},
    "group": {"group": "g", "group_index": [], "root_id": 5, "parent_id": [], "origin": {}, "ignore_result": False},
    "local": {"mailer_lease_ends": 0, "mailer_permit_ends": 0, "mailer_size": "x"},
    "context": {"called_directly": True, "is_eager": True, "logfile": "/dev/full", "args": [1], "kwargs": {"to": "x"}},
    "lang": {"lang": ["x"], "argsrepr": 5, "kwargsrepr": {}, "replaced_task_nesting": "x", "meth": "run"},
    "expires": {"expires": "9999-12-31T23:59:59-12:00"},
    "eta": {"eta": "0001-01-01T00:00:00+14:00"},
    "retries": {"retries": 2**62},
}


@pytest.mark.parametrize("shared", ["custom", "threads"], indirect=True)
def test_headers_that_celery_would_obey_do_nothing(shared: Post) -> None:
    made = [
        envelope(name, json.dumps([[], {**PLAIN, "to": f"{name}@example.com"}, {}]), **headers)
        for name, headers in IGNORED.items()
    ]
    assert letters(shared, *made) == {}
    assert {each.partition("@")[0] for each in shared.arrivals()} == {*IGNORED, "afterwards"}
    assert "another.name" not in shared.workers[0].text


def test_what_its_properties_say_of_where_it_came_from_does_not_hold(shared: Post) -> None:
    made = json.loads(mail("from", to="from@example.com"))
    made["properties"] = {
        "delivery_info": {"consumer_tag": "None1", "exchange": "x" * 1000, "routing_key": ["no-lane"]},
        "delivery_tag": "x",
        "reply_to": ["x"],
        "correlation_id": {},
        "priority": "x",
    }
    assert letters(shared, json.dumps(made).encode()) == {}
    assert shared.arrivals("from@example.com")


def test_an_expired_message_revokes_no_other_of_its_id(shared: Post) -> None:
    expired = envelope("same", json.dumps([[], PLAIN, {}]), expires="2001-01-01T00:00:00")
    assert letters(shared, expired, mail("same", to="same@example.com")) == {}
    assert shared.arrivals("same@example.com")
    assert not shared.arrivals("jane@example.com")


def test_a_far_moment_waits_in_the_schedule(shared: Post) -> None:
    far = envelope("far", json.dumps([[], PLAIN, {}]), eta="9999-12-31T23:59:59-12:00")
    assert letters(shared, far) == {}
    assert shared.client.zcard(shared.keys.schedule) == 1
    shared.client.delete(shared.keys.schedule)


REFUSED = {
    "rate_limit": {"task_name": "mailer.send", "rate_limit": "1/s"},
    "time_limit": {"task_name": "mailer.send", "hard": 1},
    "pool_grow": {"n": 1},
    "pool_shrink": {"n": 1},
    "pool_restart": {},
    "autoscale": {"max": 5, "min": 1},
    "revoke_by_stamped_headers": {"headers": {"a": "b"}},
    "election": {"id": "1", "topic": "task", "action": {"task": "a.b"}},
    "add_consumer": {"queue": "no-lane"},
}


def test_commands_that_are_not_obeyed_say_so_and_why(shared: Post, app: Celery) -> None:
    for name, arguments in REFUSED.items():
        (reply,) = app.control.broadcast(name, arguments=arguments, reply=True, timeout=60, limit=1)
        (answer,) = reply.values()
        assert answer["error"].startswith(f"{name} does nothing here. "), name
    assert served_queues(app) == {"bulk", "transactional"}


def served_queues(app: Celery) -> set[str]:
    (queues,) = app.control.inspect(timeout=60, limit=1).active_queues().values()
    return {queue["name"] for queue in queues}


def test_a_lane_that_no_worker_serves_any_more_is_named(shared: Post, app: Celery) -> None:
    served = f"served:{shared.settings.lanes[1]}"
    assert app.control.cancel_consumer("bulk", reply=True, timeout=60, limit=1)
    try:
        until(lambda: "bulk" not in served_queues(app), "it is left")
        long_ago = 1_000_000
        shared.client.hset(shared.keys.account, served, long_ago * 1_000_000)
        shared.send("waits@example.com", lane="bulk")
        shared.send("served@example.com")
        until(lambda: shared.arrivals("served@example.com"), "the other lane is served")
        status = read_status(shared.client, shared.settings)
        assert (status.state, status.reason) == ("unserved", "no worker serves bulk")
        assert [lane.unserved_since for lane in status.lanes] == [None, long_ago]
    finally:
        app.control.add_consumer("bulk", reply=True, timeout=60, limit=1)
    until(lambda: shared.arrivals("waits@example.com"), "it is served again")
    assert read_status(shared.client, shared.settings).state == "sending"


def test_a_worker_serves_nothing_but_lanes(post: Post) -> None:
    said = refusal_to_start(environment(post.settings, post.simulator), "-Q", "bulk,no-lane", "-P", "solo")
    assert "no-lane: no lane of MAILER_LANES. Serve transactional, bulk" in said
