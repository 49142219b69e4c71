"""Control messages through RQ, and function packs: signatures, versions, copies."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import fakeredis
import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import resolve_serializer

from disco_rq.errors import BadSignature, OtherVersion, SettingsError, Unshippable
from disco_rq.model import Functions
from disco_rq.packing import JobSeal, Serializer, UnpackedJob, pack_functions, packs, unpack_functions

JOB = "count@20240101-000000-abcd"
KEY = b"the key"


def echo(*args: Any, **kwargs: Any) -> Any:
    return [args, kwargs]


def pack(params: Any = None, *, secret: bytes | None = None, **functions: Any) -> bytes:
    return pack_functions(Functions(**functions), params, JobSeal(JOB, secret)).data


def unpack(data: bytes, *, secret: bytes | None = None, job: str = JOB) -> UnpackedJob:
    return unpack_functions(data, JobSeal(job, secret))


class TestSerializer:
    def test_rq_finds_it_by_its_dotted_path(self) -> None:
        assert resolve_serializer("disco_rq.packing.Serializer") is Serializer

    def test_a_job_goes_through_rq_with_arguments_and_result(self) -> None:
        redis = fakeredis.FakeStrictRedis(version=7)
        queue = Queue("disco.n1", connection=redis, serializer=Serializer)
        job = queue.enqueue(echo, JOB, [["map", 3], ["map", 4]], attempt=1, blob=b"\xff")

        fetched = Job.fetch(job.id, connection=redis, serializer=Serializer)
        result = fetched.perform()

        assert str(fetched.func_name).endswith("echo")
        assert result == [(JOB, [["map", 3], ["map", 4]]), {"attempt": 1, "blob": b"\xff"}]

    def test_results_none_and_tuples_come_back(self) -> None:
        assert Serializer.loads(Serializer.dumps(None)) is None
        assert Serializer.loads(Serializer.dumps(("f", None, (1, 2), {}))) == ["f", None, [1, 2], {}]

    def test_objects_are_refused_not_pickled(self) -> None:
        with pytest.raises(TypeError):
            Serializer.dumps(echo)

    def test_a_pickle_is_not_loaded(self) -> None:
        with pytest.raises(Exception, match=r"extra|Extra|unpack"):
            Serializer.loads(pickle.dumps({"a": 1}))


class TestSignature:
    def test_a_signed_pack_is_taken_with_the_same_key(self) -> None:
        data = pack(map=lambda e, params: [(e, 1)], secret=KEY)

        assert unpack(data, secret=KEY).functions.map("a", None) == [("a", 1)]

    @pytest.mark.parametrize("signer", [None, b"another key"])
    def test_unsigned_and_differently_signed_packs_are_refused(self, signer: bytes | None) -> None:
        with pytest.raises(BadSignature, match=JOB):
            unpack(pack(secret=signer), secret=KEY)

    def test_no_byte_can_be_altered_and_nothing_is_unpickled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = pack(map=len, params={"n": 1}, secret=KEY)
        monkeypatch.setattr(packs, "unship", lambda _: pytest.fail("unpickled"))

        for i in range(len(data)):
            altered = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
            with pytest.raises(BadSignature):
                unpack(altered, secret=KEY)
        for end in (0, 3, 20, 40, len(data) - 1):
            with pytest.raises(BadSignature):
                unpack(data[:end], secret=KEY)

    def test_an_unsigned_pack_cannot_pass_by_claiming_a_signature(self) -> None:
        data = bytearray(pack())
        data[4] = 1
        with pytest.raises(BadSignature):
            unpack(bytes(data), secret=KEY)

    def test_the_pack_of_another_job_is_refused(self) -> None:
        with pytest.raises(BadSignature):
            unpack(pack(secret=KEY), secret=KEY, job="other@20240101-000000-abcd")

    def test_without_a_secret_every_pack_is_taken(self) -> None:
        assert unpack(pack(map=len)).functions.map is len
        assert unpack(pack(map=len, secret=KEY)).functions.map is len

    def test_keys_rotate_the_first_signs_and_any_verifies(self) -> None:
        by_old, by_new = pack(secret=b"old"), pack(secret=b"new,old")

        assert unpack(by_old, secret=b"new, old").functions == Functions()
        assert unpack(by_new, secret=b"new").functions == Functions()
        with pytest.raises(BadSignature):
            unpack(by_new, secret=b"old")

    def test_a_secret_without_a_key_is_no_way_around_the_check(self) -> None:
        with pytest.raises(SettingsError, match="DISCO_RQ_SECRET"):
            unpack(pack(), secret=b" , ")


class TestContent:
    def test_another_python_version_is_told_not_crashed_on(self) -> None:
        data = bytearray(pack(map=lambda e, params: []))
        struct.pack_into(">BB", data, packs._HEAD.size, 3, 9)

        with pytest.raises(OtherVersion, match=r"packed by Python 3\.9 .* node's Python 3\."):
            unpack(bytes(data))

    def test_the_version_is_signed(self) -> None:
        data = bytearray(pack(secret=KEY))
        struct.pack_into(">BB", data, packs._HEAD.size, 3, 9)
        with pytest.raises(BadSignature):
            unpack(bytes(data), secret=KEY)

    def test_each_task_has_its_own_params(self) -> None:
        job = unpack(pack(params={"seen": []}))

        job.params()["seen"].append(1)

        assert job.params() == {"seen": []}

    def test_no_params_is_none(self) -> None:
        assert unpack(pack()).params() is None
        assert unpack(pack(params=0)).params() == 0

    def test_params_may_hold_functions(self) -> None:
        n = 3
        assert unpack(pack(params={"f": lambda x: x + n})).params()["f"](1) == 4

    def test_runtime_names_need_not_exist_when_packed(self) -> None:
        def map_(e: Any, params: Any) -> Any:
            put("k", e)  # type: ignore[name-defined]  # noqa: F821
            return []

        map_again = unpack(pack(map=map_)).functions.map
        put_calls: list[Any] = []
        map_again.__globals__["put"] = lambda *args: put_calls.append(args)
        map_again("e", None)

        assert put_calls == [("k", "e")]

    def test_functions_of_one_module_share_their_globals(self) -> None:
        job = unpack(pack(map=lambda e, p: SHARED.append(e), reduce=lambda it, p: list(SHARED)))

        job.functions.map("x", None)

        assert job.functions.reduce([], None) == ["x"]
        assert SHARED == []

    def test_too_large_params_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packs, "MAX_PACK_BYTES", 1 << 20)
        with pytest.raises(Unshippable, match=r"params is too large .*: 2 MiB packed, 1 MiB is the most"):
            pack(map=len, params=bytes(2 << 20))


SHARED: list[Any] = []
