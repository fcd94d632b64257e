"""Tags, power, and the end."""

from datetime import datetime, timedelta, timezone

from huaweicloudsdkecs.v2 import (
    BatchDeleteServerTagsRequest, BatchDeleteServerTagsRequestBody, BatchRebootSeversOption, BatchRebootServersRequest,
    BatchRebootServersRequestBody, BatchStartServersOption, BatchStartServersRequest, BatchStartServersRequestBody,
    BatchStopServersOption, BatchStopServersRequest, BatchStopServersRequestBody, ServerId, ServerTag, ShowServerRequest,
    ShowServerTagsRequest, UpdateServerAutoTerminateTimeRequest, UpdateServerAutoTerminateTimeRequestBody,
)

from . import orders
from .buying import listed, used
from .cloud import until


def tags(cloud, report, state):
    id = state.ids[0]
    cloud.sdk.batch_create_server_tags(orders.add_tags(id, order="7", pool="changed"))
    report.same("status of adding", cloud.status, 204)
    expected = {"owner": "probe", "pool": "changed", "empty": "", "order": "7"}
    report.same("tags, one added and one replaced", of(cloud, id), expected)
    report.same("the same in the list", sorted(listed(cloud, server_id=id)[0].tags),
                ["empty", "order=7", "owner=probe", "pool=changed"])
    report.same("found by the new tag", [s.id for s in listed(cloud, tags="order=7")], [id])
    body = BatchDeleteServerTagsRequestBody(action="delete", tags=[ServerTag(key="order", value="7")])
    cloud.sdk.batch_delete_server_tags(BatchDeleteServerTagsRequest(server_id=id, body=body))
    report.same("status of taking away", cloud.status, 204)
    report.same("tags, one taken away", of(cloud, id), {k: v for k, v in expected.items() if k != "order"})
    refused = cloud.refusal(cloud.sdk.batch_create_server_tags, orders.add_tags(id, **{"a b": "c"}))
    report.same("a blank in a key", refused and refused.status_code, 400)
    refused = cloud.refusal(cloud.sdk.batch_create_server_tags, orders.add_tags(id, **{f"k{n}": "" for n in range(11)}))
    report.same("more than ten tags", refused and refused.status_code, 400)
    refused = cloud.refusal(cloud.sdk.batch_create_server_tags, orders.add_tags(orders.IMAGE, a="b"))
    report.same("tags of an unknown server", refused and (refused.status_code, refused.error_code), (404, "Ecs.0114"))


def of(cloud, id):
    found = cloud.sdk.show_server_tags(ShowServerTagsRequest(server_id=id)).tags
    return {tag.key: tag.value for tag in found}


def power(cloud, report, state):
    id = state.ids[1]
    named = [ServerId(id=id)]
    stop = BatchStopServersRequest(body=BatchStopServersRequestBody(os_stop=BatchStopServersOption(servers=named, type="SOFT")))
    start = BatchStartServersRequest(body=BatchStartServersRequestBody(os_start=BatchStartServersOption(servers=named)))
    reboot = BatchRebootServersRequest(body=BatchRebootServersRequestBody(reboot=BatchRebootSeversOption(servers=named, type="SOFT")))
    refused = cloud.refusal(cloud.sdk.batch_start_servers, start)
    report.same("start of one that runs", refused and (refused.status_code, refused.error_code), (400, "Ecs.0100"))
    for what, ask, order, expected in (
        ("stop", cloud.sdk.batch_stop_servers, stop, ("SHUTOFF", "stopped", 4)),
        ("start", cloud.sdk.batch_start_servers, start, ("ACTIVE", "active", 1)),
        ("reboot", cloud.sdk.batch_reboot_servers, reboot, ("ACTIVE", "active", 1)),
    ):
        report.same(f"job of {what}", cloud.job(ask(order).job_id)["status"], "SUCCESS")
        report.same(f"state after {what}", power_of(cloud, id), expected)
        if what == "stop":
            report.same("listed as SHUTOFF", [s.id for s in listed(cloud, status="SHUTOFF")], [id])


def power_of(cloud, id):
    server = cloud.sdk.show_server(ShowServerRequest(server_id=id)).server
    return server.status, server.os_ext_st_svm_state, server.os_ext_st_spower_state


def end_of_life(cloud, report, state):
    """The cloud deletes a server by itself at the time that it was given; an empty one takes that back."""
    id = state.ids[2]
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    # the seconds are cut off
    for text, shown in ((f"{tomorrow:%Y-%m-%dT%H:%M}:05Z", f"{tomorrow:%Y-%m-%dT%H:%M}:00Z"), ("", "")):
        body = UpdateServerAutoTerminateTimeRequestBody(auto_terminate_time=text)
        cloud.sdk.update_server_auto_terminate_time(UpdateServerAutoTerminateTimeRequest(server_id=id, body=body))
        report.holds("status", cloud.status, lambda status: status in (200, 204), "200 or 204")
        server = cloud.sdk.show_server(ShowServerRequest(server_id=id)).server
        report.same(f"auto_terminate_time after {text!r}", server.auto_terminate_time, shown)
    body = UpdateServerAutoTerminateTimeRequestBody(auto_terminate_time="2020-01-01T00:00:00Z")
    late = UpdateServerAutoTerminateTimeRequest(server_id=id, body=body)
    refused = cloud.refusal(cloud.sdk.update_server_auto_terminate_time, late)
    report.same("a time that is over", refused and refused.status_code, 400)


def delete(cloud, report, state):
    """The two with data disks first, which stay; then all others."""
    answer = cloud.sdk.delete_servers(orders.delete(state.more, volumes=False))
    report.same("status", cloud.status, 200)
    doomed = cloud.sdk.show_server(ShowServerRequest(server_id=state.more[0])).server
    report.same("one that is being deleted", (doomed.status, doomed.os_ext_st_stask_state), ("ACTIVE", "deleting"))
    end = cloud.job(answer.job_id)
    report.same("job", (end["status"], end["job_type"], end["entities"]["sub_jobs_total"]), ("SUCCESS", "deleteServer", 2))
    report.same("its servers", sorted(s["entities"]["server_id"] for s in end["entities"]["sub_jobs"]), sorted(state.more))
    until("two servers are gone", lambda: gone(cloud, state.more))
    rest = [id for id in state.ids if id not in state.more]
    report.same("those left", sorted(s.id for s in listed(cloud)), sorted(rest))
    report.same("in use", used(cloud), (state.used[0] - 2, state.used[1] - 128))
    again = cloud.refusal(cloud.sdk.delete_servers, orders.delete(state.more))
    report.same("a second delete", again and (again.status_code, again.error_code), (404, "Ecs.0114"))
    report.same("job of the rest", cloud.job(cloud.sdk.delete_servers(orders.delete(rest)).job_id)["status"], "SUCCESS")
    until("all servers are gone", lambda: gone(cloud, rest))
    report.same("servers at the end", listed(cloud), [])
    report.same("in use at the end", used(cloud), (0, 0))
    books(cloud, report, state)


def gone(cloud, ids):
    answers = [cloud.refusal(cloud.sdk.show_server, ShowServerRequest(server_id=id)) for id in ids]
    return all(answer and (answer.status_code, answer.error_code) == (404, "Ecs.0114") for answer in answers)


def books(cloud, report, state):
    """The simulator's own ledger, which tests of the scaler rest on."""
    ledger = cloud.ledger()
    report.same("servers ever bought", len(ledger["servers"]), len(state.ids))
    report.same("servers that bill on", [s["id"] for s in ledger["servers"] if s["deleted_at"] is None], [])
    kept = [v["kind"] for s in ledger["servers"] for v in s["volumes"] if v["deleted_at"] is None]
    report.same("disks that bill on, of servers deleted without delete_volume", kept, ["data", "data"])
