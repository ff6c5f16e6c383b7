"""Worker processes: a versioned protocol, pinned threads, no life without their parent, any Python."""

import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from support.bench_runs import faulty_suite, run_suite

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.store import read_environment
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker import protocol
from gradest_bench.worker.__main__ import serve
from gradest_bench.worker.environment import THREAD_VARIABLES, blas_warnings
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool
from gradest_bench.worker.process import Limits, WorkerProcess

LIMITS = Limits.of(600)


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(pythons={}, logs=tmp_path)


@pytest.mark.parametrize("line", [b"print()\n", b"[1]\n", b'{"protocol": 99, "id": 1}\n', b"\xff\n"])
def test_line_of_another_protocol_is_refused(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"id": 6, "ok": True, "result": {}}, "request 7 was asked for; found one to 6"),
        ({"id": "7", "ok": True, "result": {}}, "found one to '7'"),
        ({"id": True, "ok": True, "result": {}}, "found one to True"),
        ({"ok": True, "result": {}}, "found one to None"),
        ({"id": 7, "ok": True}, "a reply with result"),
        ({"id": 7}, "a reply with outcome, reason"),
        ({"id": 7, "ok": "yes", "outcome": "ok", "reason": ""}, "a reply with ok"),
        ({"id": 7, "ok": False, "outcome": "sideways", "reason": ""}, "an outcome was asked for"),
    ],
)
def test_a_reply_that_is_not_the_requests_is_refused(reply: dict[str, Any], message: str) -> None:
    with pytest.raises(protocol.ProtocolError, match=message):
        protocol.decode_reply(protocol.encode(reply), request=7)
    assert protocol.decode_reply(protocol.encode({"id": 7, "ok": True, "result": {}}), request=7)["ok"]


TELLS_TWICE = """#!{python}
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    reply = {{"protocol": 1, "id": request["id"], "ok": True, "result": {{}}}}
    if request["op"] == "hello":
        reply["result"] = {{"machine": {{}}, "libraries": {{}}}}
    sys.stdout.write(json.dumps(reply) + "\\n")
    if request["op"] == {op!r}:
        sys.stdout.write({stray!r} + "\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("stray", ['{"protocol": 1, "id": 2, "ok": true, "result": {}}', "hello"])
def test_a_stray_reply_kills_its_worker_and_crashes_its_cell(stray: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(TELLS_TWICE.format(python=sys.executable, op="release", stray=stray), encoding="utf-8")
    python.chmod(0o755)
    worker = WorkerProcess("numpy", Launch(pythons={"numpy": str(python)}, logs=tmp_path))
    worker.request("hello", LIMITS)

    def release_twice() -> None:  # the stray one may come with the reply or after it
        worker.request("release", LIMITS)
        worker.request("release", LIMITS)

    with pytest.raises(CellError, match="found") as caught:
        release_twice()
    assert caught.value.outcome is Outcome.CRASHED
    assert not worker.alive


def test_message_survives_the_protocol() -> None:
    message = {"id": 1, "op": "prepare", "text": "zwölf\n", "value": 5e-324}
    assert protocol.decode(protocol.encode(message)) == {"protocol": protocol.VERSION, **message}


def test_requests_are_answered_in_order_and_unknown_ones_are_errors() -> None:
    replies = io.BytesIO()
    requests = [{"id": 1, "op": "release"}, {"id": 2, "op": "nonsense"}, {"id": 3, "op": "release"}]
    serve(io.BytesIO(b"".join(map(protocol.encode, requests))), replies)
    found = [protocol.decode(line) for line in replies.getvalue().splitlines()]
    assert [(reply["id"], reply["ok"]) for reply in found] == [(1, True), (2, False), (3, True)]


def test_threads_are_pinned_before_anything_is_imported(launch: Launch) -> None:
    pool = WorkerPool(launch)
    pool.worker("numpy", "numpy")
    pool.close()
    libraries = pool.environments["numpy"]["libraries"]
    assert {libraries["variables"][name] for name in THREAD_VARIABLES} == {"1"}
    assert libraries["variables"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert {pool["num_threads"] for pool in libraries["pools"]} == {1}


def test_worker_ends_with_its_parent(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool
pool = WorkerPool(Launch(pythons={{}}, logs=Path({str(tmp_path)!r})))
print(pool.worker("numpy", "numpy").pid, flush=True)
os.kill(os.getpid(), 9)
"""
    import subprocess

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_interpreter_that_does_not_exist_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(CellError) as caught:
        WorkerProcess("numpy", Launch(pythons={"numpy": "/no/such/python"}, logs=tmp_path))
    assert caught.value.outcome is Outcome.NOT_TRIED
    assert "/no/such/python" in caught.value.reason


def test_interpreter_without_gradest_is_not_tried_and_says_so(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    pool = WorkerPool(Launch(pythons={"numpy": str(bare)}, logs=tmp_path))
    with pytest.raises(CellError) as caught:
        pool.worker("numpy", "numpy")
    assert caught.value.outcome is Outcome.NOT_TRIED
    assert "No module named" in caught.value.reason
    assert "No module named" in caught.value.log_tail


def test_two_interpreters_stand_side_by_side(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nGRADEST_OTHER=1 exec {sys.executable} "$@"\n', encoding="utf-8")
    other.chmod(0o755)
    cell = expand(parse_suite(faulty_suite("none")))[0]
    pool = WorkerPool(Launch(pythons={"numpy:other": str(other)}, logs=tmp_path))
    identities = []
    for name in ("numpy", "numpy:other"):
        asked = msgspec.structs.replace(cell, worker=name)
        worker = pool.worker(name, "numpy")
        identities.append(worker.request("identify", LIMITS, cell=msgspec.to_builtins(asked))["identity"])
    pool.close()
    assert identities[0] != identities[1]
    assert set(pool.environments) == {"numpy", "numpy:other"}


def test_environment_of_each_worker_is_kept_once(tmp_path: Path) -> None:
    records = run_suite(faulty_suite("none", "exit", "double"), tmp_path)
    found = read_environment(tmp_path)
    assert list(found["workers"]) == ["numpy"]
    assert found["machine"]["cores"] >= 1
    assert {record.environment for record in records.values()} == {"numpy"}


def test_blas_that_runs_half_speed_kernels_is_named() -> None:
    haswell = {"internal_api": "openblas", "prefix": "libopenblas", "version": "0.3", "architecture": "Haswell"}
    assert "OPENBLAS_CORETYPE" in blas_warnings([haswell], has_avx512=True)[0]
    assert blas_warnings([haswell], has_avx512=False) == []
    assert blas_warnings([{**haswell, "architecture": "SkylakeX"}], has_avx512=True) == []
    assert blas_warnings([{"internal_api": "openmp"}], has_avx512=True) == []


def test_worker_that_has_grown_is_started_afresh_between_groups(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = WorkerPool(launch)
    first = pool.worker("numpy", "numpy")
    pool.release()
    assert pool.worker("numpy", "numpy").pid == first.pid
    monkeypatch.setattr("gradest_bench.worker.pool.LARGE_MB", 1.0)
    pool.release()
    assert not first.alive
    assert pool.worker("numpy", "numpy").pid != first.pid
    pool.close()
