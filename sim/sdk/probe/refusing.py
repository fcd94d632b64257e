"""Calls that are refused: by the service, and by the gateway for their signature."""

import base64
import contextlib
from datetime import datetime, timedelta, timezone

from huaweicloudsdkecs.v2 import (
    ListServersDetailsRequest, PostPaidServerExtendParam, PostPaidServerRootVolume, ShowJobRequest,
    ShowServerLimitsRequest, ShowServerRequest,
)

from . import orders
from .buying import listed
from .cloud import PROJECT, QUOTA, Cloud, on_the_wire


def is_refused(cloud, report, what, refused, status, code, text=""):
    """An error of 4xx whose status, code and text are these, with the request's id."""
    found = refused and (refused.status_code, refused.error_code)
    report.same(what, found, (status, code))
    if refused:
        report.holds(f"text of {what}", refused.error_msg, lambda m: m and text in m, f"a text with {text!r}")
        report.same(f"X-Request-Id of {what}", refused.request_id, cloud.last.headers["X-Request-Id"])


def errors(cloud, report, state):
    ask = cloud.sdk.create_post_paid_servers
    for what, changes, code in (
        ("an unknown flavor", {"flavor_ref": "none.1xlarge.1"}, "Ecs.0029"),
        ("an image that is no UUID", {"image_ref": "openeuler"}, "Ecs.0031"),
        ("a VPC that is no UUID", {"vpcid": "vpc"}, "Ecs.0014"),
        ("a blank in the name", {"name": "a b"}, "Ecs.0914"),
        ("a name of 65 characters", {"name": "n" * 65}, "Ecs.0915"),
        ("count 0", {"count": 0}, "Ecs.0005"),
        ("count 101", {"count": 101}, "Ecs.0913"),
        ("more than the quota", {"count": QUOTA["instances"]}, "Ecs.0001"),
        ("no network card", {"nics": []}, "Ecs.0005"),
        ("a disk of no such type", {"root_volume": PostPaidServerRootVolume(volumetype="TAPE", size=40)}, "Ecs.0015"),
        ("user data of more than 32 KiB", {"user_data": base64.b64encode(b"#" * 32769).decode()}, "Ecs.0005"),
        ("an empty tag key", {"server_tags": [orders.tag("", "v")]}, "Ecs.0906"),
        ("v1.1's charging mode in v1", {"extendparam": PostPaidServerExtendParam(charging_mode="postPaid")}, "Ecs.0005"),
    ):
        is_refused(cloud, report, what, cloud.refusal(ask, orders.create(**changes)), 400, code)
    stranger = orders.IMAGE
    for what, ask, order, status, code in (
        ("delete of nothing", cloud.sdk.delete_servers, orders.delete([]), 400, "Ecs.0005"),
        ("delete of an unknown server", cloud.sdk.delete_servers, orders.delete([stranger]), 404, "Ecs.0114"),
        ("an unknown server", cloud.sdk.show_server, ShowServerRequest(server_id=stranger), 404, "Ecs.0114"),
        ("an unknown job", cloud.sdk.show_job, ShowJobRequest(job_id="ff8080" + "0" * 26), 400, "Common.0011"),
    ):
        is_refused(cloud, report, what, cloud.refusal(ask, order), status, code)
    with on_the_wire(lambda request: setattr(request, "url", request.url.replace("/v1/", "/v9/"))):
        is_refused(cloud, report, "a route that is not there", cloud.refusal(limits, cloud), 404, "APIGW.0101")
    other = Cloud(cloud.endpoint, project="f" * 32)
    is_refused(other, report, "another project", other.refusal(limits, other), 400, "Ecs.0023")
    report.same("servers that all this bought", len(listed(cloud)), len(state.ids))


def limits(cloud, **headers):
    call = cloud.sdk.show_server_limits_invoker(ShowServerLimitsRequest())
    for name, value in headers.items():
        call.add_header(name.replace("_", "-"), value)
    return call.invoke()


def signatures(cloud, report, state):
    for what, stranger, text in (
        ("a wrong secret", Cloud(cloud.endpoint, sk="wrong"), "verify aksk signature fail"),
        ("an unknown access key", Cloud(cloud.endpoint, ak="AKNOBODY"), "AKNOBODY"),
    ):
        is_refused(stranger, report, what, stranger.refusal(limits, stranger), 401, "APIGW.0301", text)
        limits(cloud)  # few bad ones in a row: more than five lock a key of the real gateway
    dates(cloud, report)
    for what, change, ask in (
        ("a body changed on the way", body, lambda: cloud.sdk.create_post_paid_servers(orders.create(count=1))),
        ("a query changed on the way", query, lambda: listed(cloud, name="probe", limit=2)),
        ("a path changed on the way", path, lambda: listed(cloud)),
        ("a header changed on the way", header("X-Sdk-Date", later()), lambda: limits(cloud)),
        ("a signed header left out", header("User-Agent", None), lambda: limits(cloud)),
        ("no signature at all", header("Authorization", None), lambda: limits(cloud)),
    ):
        with on_the_wire(change):
            refused = cloud.refusal(ask)
        is_refused(cloud, report, what, refused, 401, "APIGW.0301")
        limits(cloud)
    report.same("servers that all this bought", len(listed(cloud)), len(state.ids))
    odd_but_right(cloud, report)


def later(minutes=1):
    return (datetime.now(timezone.utc) + timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")


def dates(cloud, report):
    """15 minutes are forgiven, both ways. Whether a date too old is 0301 or 0303 is not documented."""
    for minutes in (-16, 16):
        refused = cloud.refusal(lambda: limits(cloud, X_Sdk_Date=later(minutes)))
        report.holds(f"a date {minutes} minutes off", refused and (refused.status_code, refused.error_code),
                     lambda r: r in [(401, "APIGW.0303"), (401, "APIGW.0301")], "401 APIGW.0303 or 0301")
    for minutes in (-14, 14):
        refused = cloud.refusal(lambda: limits(cloud, X_Sdk_Date=later(minutes)))
        report.same(f"a date {minutes} minutes off", refused, None)


def odd_but_right(cloud, report):
    """What a signer has to encode as the SDK does: blanks, signs, other scripts, empty values."""
    for name in ("a b", "a+b/c=d&e", "构建", "~.-_", "%41", ""):
        found = cloud.refusal(lambda: cloud.sdk.list_servers_details(ListServersDetailsRequest(name=name)))
        report.same(f"a filter by name {name!r}", found, None)
    refused = cloud.refusal(lambda: limits(cloud, X_Odd="  two  words  "))
    report.same("a signed header with blanks around it", refused, None)


def body(request):
    request.body = request.body.replace(b'"count": 1', b'"count": 2')
    if b'"count": 2' not in request.body:
        raise AssertionError(f"the SDK writes its bodies otherwise by now: {request.body[:200]}")


def query(request):
    request.url = request.url.replace("limit=2", "limit=3")


def path(request):
    request.url = request.url.replace(f"/v1/{PROJECT}/cloudservers/detail", f"/v1/{PROJECT}/cloudservers/limits")


def header(name, value):
    """Sets it, or takes it away."""
    def change(request):
        with contextlib.suppress(KeyError):
            del request.headers[name]
        if value:
            request.headers[name] = value
    return change
