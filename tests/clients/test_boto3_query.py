"""SQS' Query protocol, which SDKs spoke until 2023 and old applications speak today.

boto3 brings serializer and parser of it still; they run here over the present service model with its protocol set back.
"""

from __future__ import annotations

import gzip
import json
import pathlib

import boto3
import botocore
import botocore.config
import botocore.exceptions
import botocore.session
import pytest

from clients import expected
from clients.test_boto3 import ATTRIBUTES, error_code, md5_of_attributes, receive, receive_one, send_all
from conftest import sqs_client


# What the present model has lost of the Query protocol's names: maps are `Attribute.1.Name`, `Attribute.1.Value`, and
# lists repeat the name of one member.
MAPS = {
    "QueueAttributeMap": "Attribute",
    "MessageSystemAttributeMap": "Attribute",
    "MessageBodyAttributeMap": "MessageAttribute",
    "MessageBodySystemAttributeMap": "MessageSystemAttribute",
}
LISTS = {
    "AttributeNameList": "AttributeName",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
}


def query_model(model: dict) -> dict:
    """Sets the protocol of a service model back to Query."""
    for key in ("protocols", "jsonVersion", "targetPrefix", "awsQueryCompatible"):
        model["metadata"].pop(key, None)
    model["metadata"]["protocol"] = "query"
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    for name, shape in model["shapes"].items():
        if name in MAPS:
            shape["key"]["locationName"], shape["value"]["locationName"] = "Name", "Value"
        elif shape["type"] == "list":
            shape["member"]["locationName"] = LISTS.get(name, shape["member"]["shape"])
        for member in shape.get("members", {}).values():
            if member["shape"] in MAPS:
                member["locationName"] = MAPS[member["shape"]]
    return model


def models_in(folder: pathlib.Path) -> None:
    """Writes an SQS model that knows the Query protocol alone, where botocore looks for models."""
    shipped = pathlib.Path(botocore.__file__).parent / "data" / "sqs" / "2012-11-05"
    model = json.loads(gzip.decompress((shipped / "service-2.json.gz").read_bytes()))
    target = folder / "sqs" / "2012-11-05"
    target.mkdir(parents=True)
    (target / "service-2.json").write_text(json.dumps(query_model(model)))
    rules = "endpoint-rule-set-1.json.gz"
    (target / rules).write_bytes((shipped / rules).read_bytes())


@pytest.fixture
def query(broker, tmp_path):
    models_in(tmp_path)
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.insert(0, str(tmp_path))
    client = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1", botocore_session=session
    ).client("sqs", endpoint_url=broker.aws_url, config=botocore.config.Config(retries={"total_max_attempts": 1}))
    assert client.meta.service_model.protocol == "query"
    return client


def test_create_send_receive_and_delete(query, name):
    url = query.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
    assert url in query.list_queues(QueueNamePrefix=name)["QueueUrls"]
    sent = query.send_message(QueueUrl=url, MessageBody="tab\tcr\r\n<&>ü", MessageAttributes=ATTRIBUTES)
    assert sent["MD5OfMessageAttributes"] == md5_of_attributes(ATTRIBUTES)
    message = receive_one(query, url)
    assert message["Body"] == "tab\tcr\r\n<&>ü"
    assert message["MessageAttributes"] == ATTRIBUTES
    query.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    again = receive_one(query, url, AttributeNames=["All"])  # the name of that time
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    query.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    attributes = query.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "7" and attributes["ApproximateNumberOfMessages"] == "0"


def test_batches(query, name):
    url = query.create_queue(QueueName=name)["QueueUrl"]
    send_all(query, url, [f"{n}" for n in range(10)])
    messages = receive(query, url)
    assert sorted(message["Body"] for message in messages) == [f"{n}" for n in range(10)]
    entries = [{"Id": f"{n}", "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    assert len(query.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10


def test_large_body(query, name):
    url = query.create_queue(QueueName=name)["QueueUrl"]
    # Three bytes a character on the wire: a form is longer than what it means.
    body = "%" * len(expected.LARGE_SQS)
    query.send_message(QueueUrl=url, MessageBody=body)
    assert receive_one(query, url)["Body"] == body


def test_error_texts(query, name):
    with pytest.raises(botocore.exceptions.ClientError) as missing:
        query.get_queue_url(QueueName=name)
    assert error_code(missing) == (400, "AWS.SimpleQueueService.NonExistentQueue")
    assert "The specified queue does not exist for this wsdl version" in str(missing.value)


def test_both_protocols_see_one_queue(query, broker, name):
    url = query.create_queue(QueueName=name)["QueueUrl"]
    query.send_message(QueueUrl=url, MessageBody="by form")
    by_json = sqs_client(broker)
    assert by_json.get_queue_url(QueueName=name)["QueueUrl"] == url
    message = receive_one(by_json, url)
    query.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert receive(by_json, url, WaitTimeSeconds=0) == []
