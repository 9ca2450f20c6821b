import gzip
import json
import re
import traceback
from urllib.parse import quote, quote_plus

import httpx
import msgspec
import pytest
import stamina

from ingest.transport.client import Banned, VendorClient, request_hash, retry_after
from trademl.errors import NotEntitled, RateLimited, Rejected, SchemaDrift, Unavailable

SECRET = "s3cr3t-key-value"
NOON = {"date": "Wed, 01 Jan 2020 12:00:00 GMT"}


class Host:
    """Answers a list of responses, one after another, and keeps the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client_of(host, **options):
    headers = {"APCA-API-SECRET-KEY": SECRET}
    transport = httpx.MockTransport(host)
    return VendorClient("alpaca", "https://host", headers=headers, transport=transport, **options)


def get(client, **page):
    return client.get("/v2/x", {"symbols": "A,B", "limit": 2}, msgspec.json.decode, page or None)


def on_rate_limit(**headers):
    return httpx.Response(429, json={"message": "too many requests."}, headers=headers)


def test_a_good_answer_carries_its_evidence():
    host = Host(httpx.Response(200, content=b'{"a":1}'))
    with client_of(host) as client:
        answer = get(client, page_token="dG9r")
    assert answer.value == {"a": 1}
    assert answer.source_uri == "https://host/v2/x?symbols=A,B&limit=2"
    assert answer.payload_sha256 == (
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )
    assert host.requests[0].url.params["page_token"] == "dG9r"
    assert host.requests[0].headers["apca-api-secret-key"] == SECRET


def test_pages_of_one_request_share_its_hash_and_another_request_does_not():
    with client_of(Host(httpx.Response(200, json={}))) as client:
        first, second = get(client, page_token="x"), get(client, page_token="y")
        other = client.get("/v2/x", {"symbols": "A"}, msgspec.json.decode)
    assert first.request_hash == second.request_hash != other.request_hash


@pytest.mark.parametrize(
    "trouble",
    [
        on_rate_limit(**{"Retry-After": "2"}),
        httpx.Response(503),
        httpx.Response(200, content=b'{"cut'),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed connection"),
    ],
)
def test_passing_trouble_is_tried_again(trouble):
    def decode(body):
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise Unavailable("malformed") from error

    host = Host(trouble, httpx.Response(200, json=[1]))
    with client_of(host) as client:
        assert client.get("/v2/x", {}, decode).value == [1]
        assert client.calls == 2


def test_a_storm_of_429_ends_in_one_clear_line_after_three_tries():
    host = Host(on_rate_limit(**{"Retry-After": "7"}))
    with client_of(host) as client, pytest.raises(RateLimited) as caught:
        get(client)
    assert client.calls == 3
    assert caught.value.retry_after == 7
    text = str(caught.value)
    assert "too many requests" in text
    assert "run again in 7 s" in text
    assert "\n" not in text
    assert "symbols" not in text


def test_the_wait_is_the_one_that_the_vendor_asks_for(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    reset = {"X-RateLimit-Reset": "1577880030", "Date": "Wed, 01 Jan 2020 12:00:00 GMT"}
    host = Host(
        on_rate_limit(**{"Retry-After": "7"}), on_rate_limit(**reset), httpx.Response(200, json={})
    )
    with stamina.set_testing(False), client_of(host) as client:
        get(client)
    assert waits == [7.0, 30.0]


def test_without_a_hint_the_wait_grows_and_stays_small(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    with (
        stamina.set_testing(False),
        client_of(Host(httpx.Response(500))) as client,
        pytest.raises(Unavailable, match="HTTP 500"),
    ):
        get(client)
    assert len(waits) == 2
    assert 0.5 <= waits[0] <= 1.5
    assert 1.0 <= waits[1] <= 2.0


def test_a_wait_that_is_too_long_is_left_to_the_caller():
    host = Host(on_rate_limit(**{"Retry-After": "3600"}))
    with client_of(host) as client, pytest.raises(RateLimited) as caught:
        get(client)
    assert client.calls == 1
    assert caught.value.retry_after == 3600


def test_a_ban_is_never_tried_again():
    body = {"code": -1003, "msg": "Way too much request weight used; IP banned"}
    host = Host(httpx.Response(418, json=body, headers={"Retry-After": "1"}))
    with client_of(host) as client, pytest.raises(Banned, match="IP banned"):
        get(client)
    assert client.calls == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
def test_a_refusal_is_not_tried_again_and_shows_no_secret(status):
    body = {"message": f"key {SECRET} refused\nfor good"}
    with (
        client_of(Host(httpx.Response(status, json=body))) as client,
        pytest.raises(Rejected, match=r"key \*\*\* refused for good") as caught,
    ):
        get(client)
    assert client.calls == 1
    assert SECRET not in str(caught.value)
    assert "symbols=" not in str(caught.value)


def test_keys_in_the_query_are_sent_and_kept_nowhere():
    refused = httpx.Response(403, json={"error": f"no rights for {SECRET}"})
    host = Host(httpx.Response(200, json={}), refused)
    transport = httpx.MockTransport(host)
    with VendorClient(
        "fmp", "https://host", query_keys={"apikey": SECRET}, transport=transport
    ) as client:
        answer = get(client)
        with pytest.raises(Rejected, match=r"no rights for \*\*\*"):
            get(client)
    assert host.requests[0].url.params["apikey"] == SECRET
    assert answer.source_uri == "https://host/v2/x?symbols=A,B&limit=2"
    assert answer.request_hash == get_hash("fmp")


def get_hash(vendor):
    return request_hash(vendor, "/v2/x", {"symbols": "A,B", "limit": 2})


def test_a_bearer_token_is_not_shown_without_its_word_either():
    host = Host(httpx.Response(401, json={"error": f"Unknown API Key {SECRET}"}))
    transport = httpx.MockTransport(host)
    with (
        VendorClient(
            "m", "https://h", headers={"Authorization": f"Bearer {SECRET}"}, transport=transport
        ) as client,
        pytest.raises(Rejected, match=r"Unknown API Key \*\*\*"),
    ):
        get(client)


def test_a_refusal_found_in_a_body_does_not_show_the_key():
    def decode(body):
        raise Rejected(f"refused: {body.decode()}")

    host = Host(httpx.Response(200, content=f"bad key {SECRET}".encode()))
    with client_of(host) as client, pytest.raises(Rejected, match=r"bad key \*\*\*$"):
        client.get("/v2/x", {}, decode)


ODD_KEY = 'PLANTED+key/=x "y\\zé'


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda request: str(request.url), id="the request's own address"),
        pytest.param(lambda _: quote(ODD_KEY), id="percent-encoded but for the slash"),
        pytest.param(lambda _: quote(ODD_KEY, safe=""), id="percent-encoded"),
        pytest.param(lambda _: quote_plus(ODD_KEY), id="form-encoded"),
        pytest.param(
            lambda _: re.sub("%..", lambda at: at[0].lower(), quote_plus(ODD_KEY)),
            id="in lower case",
        ),
        pytest.param(lambda _: json.dumps(ODD_KEY), id="JSON in plain text"),
        pytest.param(lambda _: json.dumps({"why": ODD_KEY}, ensure_ascii=False), id="JSON"),
    ],
)
def test_a_key_of_odd_characters_is_masked_however_it_is_written(written):
    kept = []

    def host(request):
        kept.append(request)
        return httpx.Response(400, content=f"bad request {written(request)}".encode())

    with (
        VendorClient(
            "v", "https://h", query_keys={"k": ODD_KEY}, transport=httpx.MockTransport(host)
        ) as client,
        pytest.raises(Rejected, match=r"\*\*\*") as caught,
    ):
        get(client)
    assert kept[0].url.params["k"] == ODD_KEY
    assert "planted" not in str(caught.value).lower()


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout])
def test_a_key_in_the_address_of_a_broken_connection_is_not_in_its_traceback(kind):
    def host(request):
        raise kind(f"cannot reach {request.url}")

    with (
        VendorClient(
            "v", "https://h", query_keys={"k": SECRET}, transport=httpx.MockTransport(host), tries=1
        ) as client,
        pytest.raises(Unavailable) as caught,
    ):
        get(client)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "cannot reach https://h/v2/x" in shown


def test_a_key_across_the_end_of_what_is_shown_is_masked_before_the_cut():
    body = ("x" * 195 + SECRET).encode()
    with (
        client_of(Host(httpx.Response(400, content=body))) as client,
        pytest.raises(Rejected) as caught,
    ):
        get(client)
    assert SECRET[:4] not in str(caught.value)
    assert "x" * 195 + "***" in str(caught.value)


def test_an_address_that_the_vendor_gives_is_asked_as_it_is():
    host = Host(httpx.Response(200, json={}))
    with client_of(host) as client:
        first = get(client)
        second = client.get(
            "/v2/x",
            {"symbols": "A,B", "limit": 2},
            msgspec.json.decode,
            following="/v2/y?cursor=a%3D",
        )
    assert str(host.requests[1].url) == "https://host/v2/y?cursor=a%3D"
    assert (second.source_uri, second.request_hash) == (first.source_uri, first.request_hash)


def test_a_vendor_may_mean_something_else_by_a_status():
    def classify_refusal(status, said):
        return NotEntitled if status == 403 and "upgrade" in said else None

    host = Host(httpx.Response(403, json={"message": "please upgrade"}), httpx.Response(403))
    with client_of(host, classify_refusal=classify_refusal) as client:
        with pytest.raises(NotEntitled, match="the plan or the place"):
            get(client)
        with pytest.raises(Rejected):
            get(client)
        assert client.calls == 2


def test_all_that_was_said_is_judged_and_little_of_it_shown():
    """A page with 403 is a firewall's, so an outage; its markup is not shown."""
    heard = []

    def classify_refusal(status, said):
        heard.append(said)

    page = f"<!DOCTYPE html>{'<style> a </style>' * 50}<h1>Too{' ' * 300}fast, {SECRET}</h1>"
    answer = httpx.Response(403, text=page + "x" * 300 + " the end")
    with (
        client_of(Host(answer), classify_refusal=classify_refusal) as client,
        pytest.raises(Unavailable) as caught,
    ):
        get(client)
    assert heard[0].endswith(" the end")
    assert SECRET not in heard[0]
    assert ": Too fast, *** xxxxx" in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize(("headers", "seconds"), [({}, 600.0), ({"Retry-After": "7200"}, 7200.0)])
def test_a_ban_that_a_vendor_speaks_of_lasts_as_long_as_it_says(headers, seconds):
    host = Host(httpx.Response(403, headers=headers))
    with (
        client_of(host, classify_refusal=lambda *_: Banned) as client,
        pytest.raises(Banned) as caught,
    ):
        get(client)
    assert (client.calls, caught.value.retry_after) == (1, seconds)


def test_without_a_hint_the_vendors_own_window_is_waited(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    host = Host(on_rate_limit(), httpx.Response(200, json={}))
    with stamina.set_testing(False), client_of(host, window=60.0) as client:
        get(client)
    assert waits == [60.0]


def test_drift_is_not_tried_again():
    def decode(body):
        raise SchemaDrift("new shape")

    with client_of(Host(httpx.Response(200, json={}))) as client:
        with pytest.raises(SchemaDrift):
            client.get("/v2/x", {}, decode)
        assert client.calls == 1


def test_compressed_bodies_are_hashed_as_they_read():
    packed = gzip.compress(b'{"a":1}')
    plain = httpx.Response(200, content=b'{"a":1}')
    zipped = httpx.Response(200, content=packed, headers={"Content-Encoding": "gzip"})
    with client_of(Host(plain, zipped)) as client:
        first, second = get(client), get(client)
    assert first.payload_sha256 == second.payload_sha256
    assert client.calls == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "Wed, 01 Jan 2020 12:01:30 GMT", **NOON}, 90.0),
        ({"retry-after": "Wed, 01 Jan 2020 11:00:00 GMT", **NOON}, 0.0),
        ({"retry-after": "Wed, 01 Jan 2020 12:01:30 GMT"}, None),
        ({"retry-after": "Wed, 01 Jan 99999999999999999999 12:01:30 GMT", **NOON}, None),
        ({"retry-after": "9" * 15}, 7 * 86_400.0),
        ({"x-ratelimit-reset": "9" * 15, **NOON}, None),
        *(
            ({"retry-after": text}, None)
            for text in ("soon", "-1", "nan", "inf", "1e9", "²", "9" * 400)
        ),
        ({"x-ratelimit-reset": "1577880030"}, None),
        ({"x-ratelimit-reset": "1577880030", "date": "no date"}, None),
        ({"x-ratelimit-reset": "1577880000", "date": "Wed, 01 Jan 2020 12:00:30 GMT"}, 0.0),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert retry_after(headers) == seconds


def test_urls_with_queries_are_not_logged(caplog):
    caplog.set_level("DEBUG", logger="trademl")
    with client_of(Host(httpx.Response(200, json={}))) as client:
        get(client)
    assert "symbols=" not in caplog.text


def test_a_question_by_post_has_the_identity_of_its_body_without_its_page():
    host = Host(httpx.Response(503), httpx.Response(200, json={}))
    body = {"columns": ["close"]}
    with client_of(host) as client:
        first = client.post("/scan", body, msgspec.json.decode, {"range": [0, 1]})
        second = client.post("/scan", body, msgspec.json.decode, {"range": [1, 2]})
        other = client.post("/scan", {"columns": ["open"]}, msgspec.json.decode)
    assert [request.method for request in host.requests] == ["POST"] * 4
    assert [msgspec.json.decode(request.content) for request in host.requests[:2]] == [
        {"columns": ["close"], "range": [0, 1]}
    ] * 2
    assert first.request_hash == second.request_hash != other.request_hash
    assert first.source_uri == "https://host/scan"


def test_keys_go_with_a_post_and_are_not_shown():
    host = Host(httpx.Response(400, json={"error": f"no {SECRET} and no other-key"}))
    transport = httpx.MockTransport(host)
    options = {"headers": {"X-Key": SECRET}, "query_keys": {"token": "other-key"}}
    client = VendorClient("v", "https://host", transport=transport, **options)
    with client, pytest.raises(Rejected) as caught:
        client.post("/scan", {}, msgspec.json.decode)
    assert host.requests[0].headers["x-key"] == SECRET
    assert host.requests[0].url.params["token"] == "other-key"
    assert "no *** and no ***" in str(caught.value)
