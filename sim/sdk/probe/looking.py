"""Lists: pages both ways, and filters."""

from huaweicloudsdkecs.v2 import ListCloudServersRequest, ListServersDetailsRequest

from . import orders
from .buying import listed


def ids(cloud, **filters):
    """Ids of the page in their order, and the count beside it."""
    answer = cloud.sdk.list_servers_details(ListServersDetailsRequest(**filters))
    return [server.id for server in answer.servers], answer.count


def paging(cloud, report, state):
    whole, count = ids(cloud)
    report.same("all on one page", (sorted(whole), count), (sorted(state.ids), len(state.ids)))
    for size in (2, 4):
        numbered = [ids(cloud, offset=page, limit=size) for page in range(1, 7)]
        found = [id for page, _ in numbered for id in page]
        report.same(f"pages 1 to 6 of {size}", found, whole)
        report.same("their lengths", [len(page) for page, _ in numbered], [len(whole[at:at + size]) for at in range(0, 6 * size, size)])
        report.same("the count on each, which is that of all", {count for _, count in numbered}, {len(state.ids)})
        report.same(f"marker by marker, {size} at a time", by_marker(cloud, size), whole)
    report.same("page 0 and page 1", ids(cloud, offset=0, limit=2), ids(cloud, offset=1, limit=2))
    report.same("a marker at the end", ids(cloud, marker=whole[-1])[0], [])
    for limit in (0, 1001, -1):
        refused = cloud.refusal(ids_of, cloud, limit)
        report.same(f"limit {limit}", refused and refused.status_code, 400)


def ids_of(cloud, limit):
    return ids(cloud, limit=limit)


def by_marker(cloud, size):
    found, page = [], [None]
    while page and len(found) < 100:
        marker = {"marker": found[-1]} if found else {}
        page, _ = ids(cloud, limit=size, **marker)
        found += page
    return found


def filters(cloud, report, state):
    first, more = state.ids[:3], state.more
    address = next(iter(listed(cloud, server_id=first[0])[0].addresses.values()))[0].addr
    for asked, expected in (
        ({"name": "probe-000"}, first + more),
        ({"name": "probe.0001"}, [by_name(cloud, "probe-0001")]),
        ({"name": "构建"}, [state.alone]),
        ({"name": "nothing"}, []),
        ({"flavor": "c7.16xlarge.4"}, more),
        ({"tags": "owner=probe"}, [id for id in state.ids if id not in more and id not in untagged(cloud)]),
        ({"tags": "owner=prob"}, []),
        ({"tags": "owner", "not_tags": "pool"}, more),
        ({"tags": "owner=probe,pool=aarch64-l1", "name": "probe-000"}, first),
        ({"ip_eq": address}, first[:1]),
        ({"ip_eq": address.rsplit(".", 1)[0]}, []),
        ({"ip": address.rsplit(".", 1)[0]}, state.ids),
        ({"status": "ACTIVE"}, state.ids),
        ({"status": "SHUTOFF"}, []),
        ({"enterprise_project_id": "0"}, state.ids),
        ({"enterprise_project_id": "all_granted_eps"}, state.ids),
        ({"server_id": ",".join(first[:2]), "name": "overridden"}, first[:2]),
    ):
        found, count = ids(cloud, **asked)
        report.same(str(asked), (sorted(found), count), (sorted(expected), len(expected)))
    unknown(cloud, report, first[0])


def by_name(cloud, name):
    return next(server.id for server in listed(cloud) if server.name == name)


def untagged(cloud):
    return [server.id for server in listed(cloud) if not server.tags]


def unknown(cloud, report, known):
    """An unknown id among server_id comes back, with a fault and nothing else."""
    stranger = orders.IMAGE
    listed(cloud, server_id=f"{known},{stranger}")
    entry = next(server for server in cloud.raw["servers"] if server["id"] == stranger)
    report.same("what an unknown server_id has", sorted(entry), ["fault", "id"])


def flat(cloud, report, state):
    """The list of v1.1: flat names, numbers that are numbers, and only the fields that were asked for."""
    plain = cloud.sdk.list_cloud_servers(ListCloudServersRequest(limit=100))
    report.same("status", cloud.status, 200)
    report.same("servers", sorted(server.id for server in plain.servers), sorted(state.ids))
    report.same("fields that come only if asked for",
                {key for entry in cloud.raw["servers"] for key in entry} & {"tags", "addresses", "metadata", "launched_at"}, set())
    entry = cloud.raw["servers"][0]
    report.holds("flavor", entry["flavor"], lambda f: type(f["vcpus"]) is int and type(f["ram"]) is int, "vcpus and ram as numbers")
    report.holds("flat names", entry, lambda e: {"availability_zone", "vm_state", "status"} <= set(e), "availability_zone, vm_state, status")
    asked = ListCloudServersRequest(name="probe-0001", expect_fields=["tags", "addresses"])
    cloud.sdk.list_cloud_servers(asked)
    report.holds("with expect-fields", cloud.raw["servers"], lambda all: len(all) == 1 and "tags" in all[0] and "addresses" in all[0], "one server with tags and addresses")
    found, last = [], {}
    while len(found) < 100:
        page = cloud.sdk.list_cloud_servers(ListCloudServersRequest(limit=4, **last)).servers
        found += [server.id for server in page]
        if len(page) < 4:
            break
        last = {"marker": page[-1].id}
    report.same("marker by marker, 4 at a time", found, [server.id for server in plain.servers])
