"""The bodies that the probe sends, made of the SDK's own models."""

import base64

from huaweicloudsdkecs.v2 import (
    BatchAddServerTag, BatchCreateServerTagsRequest, BatchCreateServerTagsRequestBody, CreatePostPaidServersRequest,
    CreatePostPaidServersRequestBody, CreateServersRequest, CreateServersRequestBody, DeleteServersRequest,
    DeleteServersRequestBody, PostPaidServer, PostPaidServerDataVolume, PostPaidServerExtendParam, PostPaidServerNic,
    PostPaidServerRootVolume, PostPaidServerSecurityGroup, PostPaidServerTag, PrePaidServer, PrePaidServerExtendParam,
    PrePaidServerNic, PrePaidServerRootVolume, ServerId,
)

IMAGE = "1189efbf-d48b-46ad-a823-94b942e2a000"
VPC = "0dae26c9-9a70-4392-93f3-87d53115d171"
SUBNET = "157ee789-03ea-45b1-a698-76c92660dd83"
GROUP = "507ca48f-814c-4293-8706-300564d54620"
FLAVOR = "ki1.8xlarge.4"
ZONE = "cn-north-4a"
NAME = "probe"
USER_DATA = base64.b64encode(b"#cloud-config\n").decode()


def server(**changes):
    """A server of v1, pay-per-use."""
    fields = {
        "name": NAME, "image_ref": IMAGE, "flavor_ref": FLAVOR, "vpcid": VPC,
        "nics": [PostPaidServerNic(subnet_id=SUBNET)], "security_groups": [PostPaidServerSecurityGroup(id=GROUP)],
        "root_volume": PostPaidServerRootVolume(volumetype="SSD", size=40), "is_auto_rename": False,
        "key_name": "build-key", "user_data": USER_DATA,
        "server_tags": [tag("owner", "probe"), tag("pool", "aarch64-l1"), tag("empty", "")],
        "extendparam": PostPaidServerExtendParam(charging_mode=0),
    }
    return PostPaidServer(**fields | changes)


def create(token=None, dry_run=None, **changes):
    body = CreatePostPaidServersRequestBody(dry_run=dry_run, server=server(**changes))
    return CreatePostPaidServersRequest(x_client_token=token, body=body)


def create_v1_1(dry_run=None, **changes):
    """The same of v1.1, where the charging mode is a word."""
    fields = {
        "name": NAME, "image_ref": IMAGE, "flavor_ref": FLAVOR, "vpcid": VPC, "is_auto_rename": False,
        "nics": [PrePaidServerNic(subnet_id=SUBNET)], "count": 1,
        "root_volume": PrePaidServerRootVolume(volumetype="SSD", size=40),
        "extendparam": PrePaidServerExtendParam(charging_mode="postPaid"),
    }
    return CreateServersRequest(body=CreateServersRequestBody(dry_run=dry_run, server=PrePaidServer(**fields | changes)))


def delete(ids, volumes=True):
    named = [ServerId(id=id) for id in ids]
    return DeleteServersRequest(body=DeleteServersRequestBody(servers=named, delete_volume=volumes))


def add_tags(id, **tags):
    pairs = [BatchAddServerTag(key=key, value=value) for key, value in tags.items()]
    body = BatchCreateServerTagsRequestBody(action="create", tags=pairs)
    return BatchCreateServerTagsRequest(server_id=id, body=body)


def tag(key, value):
    return PostPaidServerTag(key=key, value=value)


def data_disk(gigabytes):
    return PostPaidServerDataVolume(volumetype="SAS", size=gigabytes)
