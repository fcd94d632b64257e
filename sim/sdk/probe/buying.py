"""What can be had, and buying it."""

import re
import time
import uuid

from huaweicloudsdkecs.v2 import (
    ListFlavorsRequest, ListServersDetailsRequest, NovaListAvailabilityZonesRequest, NovaShowKeypairRequest,
    ShowServerLimitsRequest, ShowServerRequest,
)

from . import orders
from .cloud import QUOTA

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}").fullmatch
JOB = re.compile(r"ff8080[0-9a-f]{26}").fullmatch
MILLIS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").fullmatch
ZONES = re.compile(r"[a-z0-9-]+\([a-z_]+\)(, ?[a-z0-9-]+\([a-z_]+\))*").fullmatch


def flavors(cloud, report):
    found = cloud.sdk.list_flavors(ListFlavorsRequest()).flavors
    report.same("status", cloud.status, 200)
    report.holds("X-Request-Id", cloud.last.headers.get("X-Request-Id"), bool, "an id")
    for raw in cloud.raw["flavors"]:
        # a text here and a number there: so the cloud has it
        report.holds(f"vcpus of {raw['id']}", raw["vcpus"], lambda n: n.isdigit(), "a text of digits")
        report.holds(f"ram of {raw['id']}", raw["ram"], lambda n: type(n) is int and n % 1024 == 0, "a number of MB")
        stock = raw["os_extra_specs"].get("cond:operation:az")
        report.holds(f"stock of {raw['id']}", stock, ZONES, "ZONE(STATE), …")
    arches = {f.id: f.os_extra_specs.ecsinstance_architecture for f in found}
    report.holds("architecture of ki1 (Kunpeng)", arches, lambda a: a[orders.FLAVOR] == "arm64", "arm64")
    report.holds("architecture of x86", arches, lambda a: None in a.values(), "absent on some flavor")
    stocked(cloud, report, found)


def stocked(cloud, report, found):
    stock = next(f for f in found if f.id == orders.FLAVOR).os_extra_specs.condoperationaz
    zone = stock.split("(")[0]
    there = cloud.sdk.list_flavors(ListFlavorsRequest(availability_zone=zone)).flavors
    report.holds(f"flavors in {zone}", [f.id for f in there], lambda ids: orders.FLAVOR in ids, f"{orders.FLAVOR} among them")
    none = cloud.sdk.list_flavors(ListFlavorsRequest(availability_zone="nowhere-1a")).flavors
    report.same("flavors in a zone that is not there", none, [])
    one = cloud.sdk.list_flavors(ListFlavorsRequest(flavor_id=orders.FLAVOR)).flavors
    report.same("flavors with that flavor_id", [f.id for f in one], [orders.FLAVOR])
    pages, last = [], {}
    for _ in found:
        page = cloud.sdk.list_flavors(ListFlavorsRequest(limit=2, **last)).flavors
        pages += [f.id for f in page]
        if len(page) < 2:
            break
        last = {"marker": pages[-1]}
    report.same("flavors two at a time, marker by marker", pages, [f.id for f in found])


def surroundings(cloud, report):
    """Zones and key pairs, of the native API: its errors have a form of their own."""
    zones = cloud.sdk.nova_list_availability_zones(NovaListAvailabilityZonesRequest()).availability_zone_info
    report.holds("zones", [zone.zone_name for zone in zones], lambda all: orders.ZONE in all, f"{orders.ZONE} among them")
    pair = cloud.sdk.nova_show_keypair(NovaShowKeypairRequest(keypair_name="build-key")).keypair
    report.same("key pair", (pair.name, pair.public_key.split()[0]), ("build-key", "ssh-ed25519"))


def used(cloud):
    """Servers and vCPU that count against the quota."""
    limits = cloud.sdk.show_server_limits(ShowServerLimitsRequest()).absolute
    return limits.total_instances_used, limits.total_cores_used


def limits(cloud, report):
    absolute = cloud.sdk.show_server_limits(ShowServerLimitsRequest()).absolute
    report.same("status", cloud.status, 200)
    report.same("maxTotalInstances", absolute.max_total_instances, QUOTA["instances"])
    report.same("maxTotalCores", absolute.max_total_cores, QUOTA["cores"])
    report.same("maxTotalRAMSize, which is unlimited", absolute.max_total_ram_size, -1)
    report.same("servers and vCPU in use", used(cloud), (0, 0))
    numbers = [value for key, value in cloud.raw["absolute"].items() if key != "limit_by_flavor"]
    report.holds("types", numbers, lambda all: all and {type(n) for n in all} == {int}, "numbers only")


def dry_run(cloud, report):
    for version, ask, order in (
        ("v1", cloud.sdk.create_post_paid_servers, orders.create),
        ("v1.1", cloud.sdk.create_servers, orders.create_v1_1),
    ):
        ask(order(dry_run=True, count=2))
        report.same(f"{version}: status", cloud.status, 202)
        report.same(f"{version}: ids", cloud.raw.get("serverIds", []), [])
        refused = cloud.refusal(ask, order(dry_run=True, flavor_ref="none.1xlarge.1"))
        report.same(f"{version}: unknown flavor", refused and (refused.status_code, refused.error_code), (400, "Ecs.0029"))
    time.sleep(0.5)  # a server would be listed after 0.25 s at the latest
    report.same("servers afterwards", listed(cloud), [])
    report.same("in use afterwards", used(cloud), (0, 0))


def listed(cloud, **filters):
    return cloud.sdk.list_servers_details(ListServersDetailsRequest(**filters)).servers


def create(cloud, report, state):
    """Three at once, with a token that comes again: the same, and with another count."""
    token, ask = str(uuid.uuid4()), cloud.sdk.create_post_paid_servers
    first = ask(orders.create(token, count=3))
    report.same("status", cloud.status, 200)
    report.holds("job_id", first.job_id, JOB, "ff8080 and 26 more hex digits")
    report.holds("serverIds", first.server_ids, lambda ids: len(set(ids)) == 3 and all(map(UUID, ids)), "3 UUIDs")
    state.ids, state.job = first.server_ids, first.job_id
    again = ask(orders.create(token, count=3))
    report.same("the same token again", (again.job_id, again.server_ids), (first.job_id, first.server_ids))
    for what, order, code in (
        ("the token with another count", orders.create(token, count=2), "Ecs.0122"),
        ("the token with another flavor", orders.create(token, count=3, flavor_ref="ki1.16xlarge.4"), "Ecs.0122"),
        ("a token that is no UUID", orders.create("probe-1"), "Ecs.0123"),
        ("a token in upper case", orders.create(str(uuid.uuid4()).upper()), "Ecs.0123"),
    ):
        refused = cloud.refusal(ask, order)
        report.same(what, refused and (refused.status_code, refused.error_code), (400, code))


def jobs(cloud, report, state):
    seen = []
    end = cloud.job(state.job, seen)
    report.holds("job as it went", [job["status"] for job in seen],
                 lambda all: set(all) <= {"INIT", "RUNNING", "SUCCESS"} and "RUNNING" in all, "INIT, RUNNING, then SUCCESS")
    report.same("end_time while it runs", {job["end_time"] for job in seen[:-1]}, {""})
    report.same("error_code while it runs", {job.get("error_code") for job in seen[:-1]}, {None})
    report.same("status", (end["status"], end["job_type"]), ("SUCCESS", "createServer"))
    report.holds("begin and end", (end["begin_time"], end["end_time"]), lambda t: all(map(MILLIS, t)) and t[0] < t[1], "two moments")
    subs = end["entities"]["sub_jobs"]
    report.same("sub_jobs_total", end["entities"]["sub_jobs_total"], 3)
    report.same("sub jobs", [(s["status"], s["job_type"]) for s in subs], [("SUCCESS", "createSingleServer")] * 3)
    report.same("their servers", sorted(s["entities"]["server_id"] for s in subs), sorted(state.ids))
    report.holds("their ids", [s["job_id"] for s in subs], lambda ids: len({*ids, state.job}) == 4 and all(map(JOB, ids)), "3 more job ids")
    report.same("servers bought, the repeated call included", len(listed(cloud)), 3)
    report.same("in use", used(cloud), (3, 96))


def numbering(cloud, report, state):
    """-0001 and on, from the highest; one server alone has the name as it is."""
    report.same("names of the first three", sorted(s.name for s in listed(cloud)),
                [f"{orders.NAME}-000{n}" for n in (1, 2, 3)])
    more = cloud.sdk.create_post_paid_servers(orders.create(
        count=2, flavor_ref="c7.16xlarge.4", server_tags=[orders.tag("owner", "other")],
        data_volumes=[orders.data_disk(100)]))
    alone = cloud.sdk.create_post_paid_servers(orders.create(count=1, name="构建-probe.x_1", description="一个"))
    word = cloud.sdk.create_servers(orders.create_v1_1(name="probe-v11"))
    report.same("v1.1: status", cloud.status, 200)
    same = cloud.sdk.create_post_paid_servers(orders.create(count=2, name="twin", is_auto_rename=True))
    own = cloud.sdk.create_post_paid_servers(orders.create(count=2, name="own-[7,3]"))
    for job in (more, alone, word, same, own):
        report.same("job", cloud.job(job.job_id)["status"], "SUCCESS")
    names = {s.id: s.name for s in listed(cloud)}
    report.same("names of two more", sorted(names[id] for id in more.server_ids), ["probe-0004", "probe-0005"])
    report.same("name of one alone", [names[id] for id in alone.server_ids], ["构建-probe.x_1"])
    report.same("name of one by v1.1", [names[id] for id in word.server_ids], ["probe-v11"])
    report.same("names with isAutoRename", [names[id] for id in same.server_ids], ["twin", "twin"])
    report.same("names numbered from 7 on, with 3 digits", sorted(names[id] for id in own.server_ids), ["own-007", "own-008"])
    state.more, state.alone = more.server_ids, alone.server_ids[0]
    state.ids += more.server_ids + alone.server_ids + word.server_ids + same.server_ids + own.server_ids
    state.used = used(cloud)
    report.same("in use", state.used, (11, 7 * 32 + 2 * 64 + 2 * 32))


def shape(cloud, report, state):
    """Which values are texts and which numbers, in a list and of one server."""
    listed(cloud, name="probe-0001")
    entry = cloud.raw["servers"][0]
    cloud.sdk.show_server(ShowServerRequest(server_id=entry["id"]))
    report.same("the one of the list and the one shown", cloud.raw["server"], entry)
    report.same("state", [entry[k] for k in ("status", "OS-EXT-STS:vm_state", "OS-EXT-STS:task_state", "OS-EXT-STS:power_state")],
                ["ACTIVE", "active", None, 1])
    flavor = entry["flavor"]
    report.same("flavor", [flavor[k] for k in ("id", "name", "vcpus", "ram")], [orders.FLAVOR, orders.FLAVOR, "32", "131072"])
    report.same("tags", sorted(entry["tags"]), ["empty", "owner=probe", "pool=aarch64-l1"])
    report.same("image and key", (entry["image"]["id"], entry["key_name"]), (orders.IMAGE, "build-key"))
    report.same("group", [group["id"] for group in entry["security_groups"]], [orders.GROUP])
    report.same("metadata", [entry["metadata"].get(k) for k in ("vpc_id", "charging_mode", "os_type")], [orders.VPC, "0", "Linux"])
    report.same("networks", list(entry["addresses"]), [orders.VPC])
    address = entry["addresses"][orders.VPC][0]
    report.same("address", (address["version"], address["OS-EXT-IPS:type"]), ("4", "fixed"))
    report.holds("port and MAC", address, lambda a: UUID(a["OS-EXT-IPS:port_id"]) and a["OS-EXT-IPS-MAC:mac_addr"].startswith("fa:16:3e:"), "a UUID, and fa:16:3e:…")
    disks = [(d["bootIndex"], d["delete_on_termination"]) for d in entry["os-extended-volumes:volumes_attached"]]
    report.same("disks", disks, [("0", "true")])
    report.same("locked, fault, user data", (entry["locked"], entry["fault"], entry["OS-EXT-SRV-ATTR:user_data"]), (False, None, orders.USER_DATA))
    second = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch
    report.holds("created and updated", (entry["created"], entry["updated"]), lambda t: all(map(second, t)), "YYYY-MM-DDTHH:MM:SSZ")
    micros = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}").fullmatch
    report.holds("launched", entry["OS-SRV-USG:launched_at"], micros, "YYYY-MM-DDTHH:MM:SS.ffffff")
