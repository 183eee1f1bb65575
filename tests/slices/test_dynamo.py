"""The client that every row passes: it says what botocore's says, and bears what a network does."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
)
from pynamodb.attributes import BinaryAttribute, BinarySetAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist, GetError, PutError, QueryError
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.identity import service as identity
from chalicelib.kernel.errors import Conflict, Stale, Unavailable
from chalicelib.runtime import aws, dynamo
from chalicelib.runtime.jobs import JobRow
from chalicelib.runtime.meter import measured
from chalicelib.runtime.transaction import Transaction
from infra import declare
from tests import engine, faulty
from tests.builders import identity as people
from tests.faulty import Line

TABLE = JobRow.Meta.table_name
EVERYTHING: dict[str, Any] = {
    "text": {"S": "剪刀手 ✂️ é \u2028 \x7f \\ \" '"},
    "empty": {"S": ""},
    "largest": {"N": "99999999999999999999999999999999999999"},
    "smallest": {"N": "-99999999999999999999999999999999999999"},
    "exact": {"N": "1234567890123456789.0123456789012345678"},
    "numbers": {"NS": ["1", "22222222222222222222222222222222222222"]},
    "texts": {"SS": ["a", "邻里"]},
    "yes": {"BOOL": True},
    "none": {"NULL": True},
    "nested": {"M": {"list": {"L": [{"N": "1"}, {"S": "x"}, {"M": {}}, {"L": []}]}}},
    "large": {"S": "里" * 120_000},
}


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with faulty.line() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", made.url)
        yield made


@pytest.fixture
def over(line: Line) -> dynamo.DynamoDB:
    """A client over the bad line."""
    return dynamo.DynamoDB()


@pytest.fixture(autouse=True)
def nothing_is_left(tables: None) -> Iterator[None]:
    """What is written here is of every kind, fractions too, and whoever looks at all tables must not find it."""
    yield
    for item in engine.admin().scan(TableName=TABLE)["Items"]:
        if item["pk"]["S"].startswith("test-"):
            engine.admin().delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})


def key() -> dict[str, Any]:
    return {"pk": {"S": f"test-{secrets.token_hex(6)}"}, "sk": {"S": "1"}}


def put(at: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"TableName": TABLE, "Item": {**at, **attributes}}


def add(at: dict[str, Any]) -> dict[str, Any]:
    values = {":one": {"N": "1"}}
    return {"TableName": TABLE, "Key": at, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": values}


def stored(at: dict[str, Any]) -> dict[str, Any]:
    """What stands there, read by botocore's own client."""
    found: dict[str, Any] = engine.admin().get_item(TableName=TABLE, Key=at, ConsistentRead=True).get("Item", {})
    return found


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what says how it came."""
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "ConsumedCapacity")}


def reads(at: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    named = {"TableName": TABLE, "Key": at, "ConsistentRead": True}
    query = {"TableName": TABLE, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": at["pk"]}}
    narrowed = {**query, "ProjectionExpression": "#t, numbers", "ExpressionAttributeNames": {"#t": "text"}, "Limit": 1}
    return [
        ("GetItem", named),
        ("GetItem", {**named, "Key": key()}),
        ("Query", {**query, "ConsistentRead": True}),
        ("Query", narrowed),
        ("Query", {**query, "Select": "COUNT"}),
        ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [at, key()]}}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": TABLE, "Key": at}}]}),
    ]


def test_what_it_reads_is_what_botocore_reads() -> None:
    """Every kind of value, up to the largest number and a large text, through every operation that reads."""
    at = key()
    dynamo.client().call("PutItem", put(at, **EVERYTHING))
    there = stored(at)
    for kind, name in (("NS", "numbers"), ("SS", "texts")):
        assert sorted(there.pop(name)[kind]) == sorted(EVERYTHING[name][kind])
    assert there == {**at, **{name: value for name, value in EVERYTHING.items() if name not in ("numbers", "texts")}}
    for operation, arguments in reads(at):
        theirs = engine.admin()._make_api_call(operation, arguments)
        assert plain(dynamo.client().call(operation, arguments)) == plain(theirs), operation
    scanned = {item["pk"]["S"] for item in dynamo.client().call("Scan", {"TableName": TABLE})["Items"]}
    assert at["pk"]["S"] in scanned


def test_what_it_writes_is_what_botocore_would_have_written() -> None:
    """Put, update, delete, a batch and a transaction leave the same rows behind, and answer the same."""
    for_ours, for_theirs = key(), key()

    def story(at: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        change = {**add(at), "ReturnValues": "ALL_NEW"}
        batch = {"RequestItems": {TABLE: [{"PutRequest": {"Item": {**at, "sk": {"S": "2"}}}}]}}
        return [
            ("PutItem", {**put(at, **EVERYTHING), "ReturnValues": "ALL_OLD"}),
            ("UpdateItem", change),
            ("TransactWriteItems", {"TransactItems": [{"Update": add(at)}, {"Put": put({**at, "sk": {"S": "3"}})}]}),
            ("BatchWriteItem", batch),
            ("DeleteItem", {"TableName": TABLE, "Key": {**at, "sk": {"S": "3"}}, "ReturnValues": "ALL_OLD"}),
        ]

    def told(answer: dict[str, Any], at: dict[str, Any]) -> str:
        return json.dumps(plain(answer), sort_keys=True).replace(at["pk"]["S"], "pk")

    for (operation, ours), (_, theirs) in zip(story(for_ours), story(for_theirs), strict=True):
        answered = dynamo.client().call(operation, ours)
        assert told(answered, for_ours) == told(engine.admin()._make_api_call(operation, theirs), for_theirs)
    assert {**stored(for_ours), **for_theirs} == stored(for_theirs)
    assert stored(for_ours)["n"] == {"N": "2"}


def refused(at: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    absent = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    items = [{"Put": put(key())}, {"Put": {**put(at), **absent}}]
    return [
        ("PutItem", {**put(at), **absent}),
        ("UpdateItem", {**add(key()), "ConditionExpression": "attribute_exists(pk)"}),
        ("TransactWriteItems", {"TransactItems": items}),
        ("TransactWriteItems", {"TransactItems": [{"Put": put(at)}, {"Update": add(at)}]}),
        ("GetItem", {"TableName": "linli-nothing", "Key": at}),
        ("Query", {"TableName": TABLE, "KeyConditionExpression": "nonsense ="}),
        ("UpdateItem", {**add(at), "UpdateExpression": "ADD sk :one"}),
    ]


@pytest.mark.parametrize("index", range(7))
def test_what_it_is_refused_is_told_as_botocore_tells_it(index: int) -> None:
    """The same exception, code and words, with the old items and the reasons of a cancelled transaction."""
    at = key()
    dynamo.client().call("PutItem", put(at, text=EVERYTHING["text"]))
    operation, arguments = refused(at)[index]
    with pytest.raises(ClientError) as ours:
        dynamo.client().call(operation, arguments)
    with pytest.raises(ClientError) as theirs:
        engine.admin()._make_api_call(operation, arguments)
    mine: Any = ours.value.response
    other: Any = theirs.value.response
    assert str(ours.value) == str(theirs.value)
    assert mine["Error"] == other["Error"]
    assert mine.get("CancellationReasons") == other.get("CancellationReasons")
    assert mine.get("Item") == other.get("Item")
    assert mine["ResponseMetadata"]["HTTPStatusCode"] == other["ResponseMetadata"]["HTTPStatusCode"]


def test_pynamodb_sees_no_difference(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own exceptions, with the code of the cause."""
    row = JobRow(key()["pk"]["S"], "lease", until=1)
    with pytest.raises(DoesNotExist):
        JobRow.get(row.pk, "lease")
    row.save()
    with pytest.raises(PutError) as refused_put:
        row.save(JobRow.pk.does_not_exist())
    assert refused_put.value.cause_response_code == "ConditionalCheckFailedException"
    assert [found.until for found in JobRow.batch_get([(row.pk, "lease")])] == [1]
    monkeypatch.setattr(dynamo, "_client", dynamo.DynamoDB())
    line.faults = ["busy"] * 3 + ["words"] * 3
    with pytest.raises(QueryError) as throttled:
        list(JobRow.query(row.pk))
    assert throttled.value.cause_response_code == faulty.BUSY
    with pytest.raises(GetError) as broken:
        JobRow.get(row.pk, "lease")
    assert isinstance(broken.value.cause, BotoCoreError)


def test_a_transaction_whose_answer_is_lost_applies_once(line: Line, over: dynamo.DynamoDB) -> None:
    """It is sent again under the same token, its own or the caller's."""
    for token in ({}, {"ClientRequestToken": secrets.token_hex(16)}):
        at = key()
        line.faults = ["lose", "lose"]
        line.bodies.clear()
        over.call("TransactWriteItems", {"TransactItems": [{"Update": add(at)}], **token})
        assert stored(at)["n"] == {"N": "1"}
        assert len(line.bodies) == 3
        assert len({body["ClientRequestToken"] for body in line.bodies}) == 1


def test_a_condition_bears_a_lost_answer(line: Line, monkeypatch: pytest.MonkeyPatch, over: dynamo.DynamoDB) -> None:
    """Sent again, a single put meets itself and knows it; another one there is told, and a first try that meets the
    same is not its own."""
    monkeypatch.setattr(dynamo, "_client", over)

    class Stands(Conflict):
        code = "stands"

    def commit(row: JobRow) -> None:
        tx = Transaction()
        tx.put_new(row, Stands())
        tx.commit()

    row = JobRow(key()["pk"]["S"], "lease", until=7)
    line.faults = ["lose"]
    commit(row)
    assert len(line.bodies) == 2
    for faults, until in (([], 7), (["lose"], 8)):
        line.faults = list(faults)
        with pytest.raises(Stands):
            commit(JobRow(row.pk, "lease", until=until))
    line.faults = ["fail"] * 3 + ["busy"] * 18
    again = Transaction()
    again.put(row)
    with pytest.raises(ClientError):
        again.commit()
    with pytest.raises(Unavailable):
        again.commit()


def test_a_profile_whose_change_is_sent_twice_is_changed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that meets itself is told by what stands; another change of the same reading is stale."""
    seen = identity.account(people.person().account_id)
    over = dynamo.DynamoDB()
    monkeypatch.setattr(dynamo, "_client", over)
    line.faults = ["lose"]
    assert identity.change_profile(seen, display_name="Once", locale=None).version == seen.version + 1
    with pytest.raises(Stale):
        identity.change_profile(seen, display_name="Twice", locale=None)
    assert identity.account(seen.id).display_name == "Once"


@pytest.mark.parametrize("fault", ["busy", "fail", "page", "lose", "spoil", "cut", "words"])
def test_two_troubles_in_a_row_are_borne(fault: str, line: Line, over: dynamo.DynamoDB) -> None:
    """The third try answers; each of them is signed anew and says the same."""
    at = key()
    over.call("PutItem", put(at, text=EVERYTHING["text"]))
    line.bodies.clear()
    line.headers.clear()
    line.faults = [fault, fault]
    answer = over.call("GetItem", {"TableName": TABLE, "Key": at, "ConsistentRead": True})
    assert answer["Item"]["text"] == EVERYTHING["text"]
    assert len(line.bodies) == 3
    assert line.bodies[0] == line.bodies[1] == line.bodies[2]
    assert all(sent["authorization"].startswith("AWS4-HMAC-SHA256 ") for sent in line.headers)


@pytest.mark.parametrize(
    ("fault", "raised", "code"),
    [
        ("busy", ClientError, faulty.BUSY),
        ("fail", ClientError, "InternalServerError"),
        ("page", ClientError, "502"),
        ("lose", HTTPClientError, ""),
        ("spoil", ChecksumError, ""),
        ("cut", HTTPClientError, ""),
        ("words", HTTPClientError, ""),
    ],
)
def test_three_troubles_in_a_row_are_told(
    fault: str, raised: type[Exception], code: str, line: Line, over: dynamo.DynamoDB
) -> None:
    """Not a fourth try: the caller has only seconds."""
    line.faults = [fault] * 3
    with pytest.raises(raised) as failed:
        over.call("GetItem", {"TableName": TABLE, "Key": key()})
    assert len(line.bodies) == 3
    if isinstance(failed.value, ClientError):
        assert failed.value.response["Error"]["Code"] == code


def test_a_refusal_is_not_tried_again(line: Line, over: dynamo.DynamoDB) -> None:
    """Nor what no repetition can mend."""
    at = key()
    over.call("PutItem", put(at))
    for operation, arguments in refused(at):
        line.bodies.clear()
        with pytest.raises(ClientError):
            over.call(operation, arguments)
        assert len(line.bodies) == 1, operation


def test_while_the_store_is_down_calls_are_sent_once(line: Line, over: dynamo.DynamoDB) -> None:
    """Retries are rationed, and earned again by successes: a store that is down is not asked three times by all."""
    over._quota.acquire(490)
    line.faults = ["fail"]
    with pytest.raises(ClientError):
        over.call("GetItem", {"TableName": TABLE, "Key": key()})
    assert len(line.bodies) == 1
    for _ in range(4):
        over.call("GetItem", {"TableName": TABLE, "Key": key()})
    line.faults = ["fail"]
    over.call("GetItem", {"TableName": TABLE, "Key": key()})
    assert over._quota.available_capacity == 14


def test_connections_are_kept_and_replaced(line: Line, over: dynamo.DynamoDB) -> None:
    """Many calls share one; one that the other side closed meanwhile costs no error."""
    for _ in range(10):
        over.call("GetItem", {"TableName": TABLE, "Key": key()})
    assert line.connections == 1
    line.faults = ["close"] * 5
    for _ in range(6):
        over.call("GetItem", {"TableName": TABLE, "Key": key()})
    assert line.connections == 6


def test_threads_share_a_client() -> None:
    """Each gets its own answer."""

    def one(number: int) -> bool:
        at = key()
        client.call("PutItem", put(at, n={"N": str(number)}))
        return bool(client.call("GetItem", {"TableName": TABLE, "Key": at})["Item"]["n"]["N"] == str(number))

    client = dynamo.DynamoDB()
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(300)))


def test_an_engine_that_is_away_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As botocore says it, so that the caller becomes 503 and may try again."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{engine.free_port()}")
    with pytest.raises(EndpointConnectionError):
        dynamo.DynamoDB().call("GetItem", {"TableName": TABLE, "Key": key()})


def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    """A read has its seconds; then it is tried elsewhere or told."""
    gate = threading.Event()
    monkeypatch.setattr(faulty._Handler, "_forward", lambda self, body: (gate.wait(5), (200, b"{}"))[1])
    client = aws.Client(aws.DYNAMODB, read_seconds=0.1, tries=2)
    with pytest.raises(HTTPClientError) as failed:
        client.call("GetItem", {"TableName": TABLE, "Key": key()})
    gate.set()
    assert "Read timeout" in str(failed.value)
    assert len(line.bodies) == 2


def test_units_are_counted_on_the_way(line: Line, over: dynamo.DynamoDB) -> None:
    """Each call once, however often it was sent; what was refused too."""
    at = key()
    line.faults = ["busy", "pass"]
    with measured() as used:
        over.call("PutItem", put(at))
        over.call("GetItem", {"TableName": TABLE, "Key": at, "ConsistentRead": True})
        with pytest.raises(ClientError):
            over.call("PutItem", {**put(at), "ConditionExpression": "attribute_not_exists(pk)"})
    assert (used.write_units, used.read_units) == (1.0, 1.0)
    assert used.calls == {"PutItem": 2, "GetItem": 1}
    assert used.refused == {"ConditionalCheckFailedException": 1}


def test_lambdas_credentials_sign(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, region and session token come from the environment, and the trace goes on."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLAMBDA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-this-session")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    dynamo.DynamoDB().call("GetItem", {"TableName": TABLE, "Key": key()})
    (sent,) = line.headers
    assert "Credential=AKIDLAMBDA/" in sent["authorization"]
    assert "/us-east-1/dynamodb/aws4_request" in sent["authorization"]
    assert "x-amz-security-token" in sent["authorization"]
    assert sent["x-amz-security-token"] == "of-this-session"
    assert sent["x-amzn-trace-id"] == "Root=1-5759e988-bd862e3fe1be46a994272793"


class _Giver(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        role = {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(role).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_other_credentials_are_found_by_botocore(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a container's role, which it renews by itself; without any, the caller is told."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(NoCredentialsError):
        dynamo.DynamoDB().call("GetItem", {"TableName": TABLE, "Key": key()})
    server = HTTPServer(("127.0.0.1", 0), _Giver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_address[1]}/role")
    dynamo.DynamoDB().call("GetItem", {"TableName": TABLE, "Key": key()})
    server.shutdown()
    server.server_close()
    assert "Credential=AKIDROLE/" in line.headers[-1]["authorization"]


def test_where_a_service_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set, or the region's public address, as botocore has it."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    for region in ("us-east-1", "ap-southeast-1", "cn-north-1"):
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        from botocore.session import get_session

        assert aws.DYNAMODB.endpoint.rstrip("/") == get_session().create_client("dynamodb").meta.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/")
    assert aws.DYNAMODB.endpoint == "http://127.0.0.1:1/"
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:2")
    assert aws.DYNAMODB.endpoint == "http://127.0.0.1:2/"


@pytest.mark.parametrize("indexed_first", [True, False])
def test_rows_that_share_a_table_share_its_indexes(indexed_first: bool) -> None:
    """Whichever kind of row a process meets first: a sweep that began with the other kind found no index any more."""
    name = dynamo.table_name(f"shared_{indexed_first}")

    class ByMark(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
        class Meta:
            index_name = "by_mark"
            projection = KeysOnlyProjection()

        mark = UnicodeAttribute(hash_key=True)

    class Marked(dynamo.Row):
        class Meta:
            table_name = name

        by_mark = ByMark()
        mark = UnicodeAttribute()

    class Plain(dynamo.Row):
        class Meta:
            table_name = name

    for row in (Marked, Plain) if indexed_first else (Plain, Marked):
        row._get_connection()
    meta = Marked._get_connection().get_meta_table()
    assert meta.get_index_hash_keyname("by_mark") == "mark"
    assert meta.get_attribute_type("mark") == "S"
    assert len(meta.data["GlobalSecondaryIndexes"]) == 1


def test_no_row_holds_bytes() -> None:
    """JSON has none: they would need a coding that this client does not know."""
    kinds = (BinaryAttribute, BinarySetAttribute)
    assert not [row for row in declare._rows() for kept in row.get_attributes().values() if isinstance(kept, kinds)]
    with pytest.raises(TypeError):
        dynamo.client().call("PutItem", put(key(), raw={"B": b"x"}))
