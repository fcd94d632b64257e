//! What stands beside the servers: VPC, subnets, security groups, ports, images, key pairs, zones. What has
//! a well-formed id exists, unless a fault says that it is missing.

use serde_json::{Value, json};

use super::encoding::{self, is_uuid};
use super::error::ApiError;
use super::flavors::ZONES;
use super::order::Order;
use super::route::Operation;
use super::server::{Phase, Server};
use super::world::World;

/// The values of a query, in its order; empty ones are as good as none.
pub(super) fn asked(query: &str, name: &str) -> Option<String> {
    let found = encoding::pairs(query)
        .into_iter()
        .find(|(key, _)| key == name.as_bytes());
    found
        .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
        .filter(|value| !value.is_empty())
}

impl World {
    fn exists(&self, id: &str) -> bool {
        is_uuid(id) && !self.faults.is_missing(id)
    }

    /// The project has one VPC: the one that a call named first.
    fn note_vpc(&mut self, id: &str) {
        self.vpc.get_or_insert_with(|| id.to_owned());
    }

    /// `GET …/vpcs/{id}`
    pub(super) fn show_vpc(&mut self, id: &str) -> Result<Value, ApiError> {
        if !self.exists(id) {
            return Err(ApiError::bare(
                404,
                "VPC.0101",
                format!("VPC {id} does not exist"),
            ));
        }
        self.note_vpc(id);
        Ok(json!({"vpc": {
            "id": id, "name": "vpc", "cidr": "10.0.0.0/8", "status": "OK", "description": "",
            "enterprise_project_id": "0", "routes": [],
        }}))
    }

    /// `GET …/subnets/{id}`; the id of a subnet is that of its network.
    pub(super) fn show_subnet(&self, id: &str) -> Result<Value, ApiError> {
        if !self.exists(id) {
            let text = format!("subnet {id} does not exist");
            return Err(ApiError::bare(404, "VPC.0202", text));
        }
        Ok(json!({"subnet": {
            "id": id, "name": "subnet", "cidr": "10.0.0.0/16", "gateway_ip": "10.0.0.1",
            "status": "ACTIVE", "vpc_id": self.vpc, "neutron_network_id": id, "dhcp_enable": true,
            "neutron_subnet_id": id, "availability_zone": "",
        }}))
    }

    /// `GET …/security-groups/{id}`
    pub(super) fn show_security_group(&self, id: &str) -> Result<Value, ApiError> {
        if !self.exists(id) {
            let text = format!("security group {id} does not exist");
            return Err(ApiError::bare(404, "VPC.0602", text));
        }
        Ok(json!({"security_group": {
            "id": id, "name": "sg", "description": "", "enterprise_project_id": "0",
            "security_group_rules": [],
        }}))
    }

    /// `GET /v2.0/network-ip-availabilities/{network_id}`
    pub(super) fn show_addresses(&self, id: &str) -> Result<Value, ApiError> {
        if !self.exists(id) {
            let text = format!("network {id} does not exist");
            return Err(ApiError::bare(404, "VPC.0202", text));
        }
        let (total, used) = (self.addresses.total(), self.addresses.used());
        Ok(json!({"network_ip_availability": {
            "network_id": id, "network_name": "subnet", "total_ips": total, "used_ips": used,
            "subnet_ip_availability": [
                {"subnet_id": id, "subnet_name": "subnet", "cidr": "10.0.0.0/16", "ip_version": 4,
                 "total_ips": total, "used_ips": used},
            ],
        }}))
    }

    /// `GET …/ports?device_id=…`: those of servers that are there, and those that a failed rollback left.
    pub(super) fn list_ports(&self, query: &str) -> Value {
        if self.faults.forbids(Operation::Ports) {
            return json!({"ports": []});
        }
        let (device, id) = (asked(query, "device_id"), asked(query, "id"));
        let fits = |server: &&Server| {
            device.as_ref().is_none_or(|device| server.id == *device)
                && id.as_ref().is_none_or(|id| server.port_id == *id)
        };
        let all = self.servers.values().filter(|server| server.holds_port());
        let ports: Vec<Value> = all.filter(fits).map(port).collect();
        json!({"ports": ports})
    }

    /// `DELETE …/ports/{id}`: refused while a server has it. The code of that refusal is a guess.
    pub(super) fn delete_port(&mut self, id: &str) -> Result<(), ApiError> {
        let mut all = self.servers.values_mut();
        let owner = all.find(|server| server.port_id == id && server.holds_port());
        let Some(owner) = owner else {
            return Err(ApiError::bare(
                404,
                "VPC.0301",
                format!("port {id} does not exist"),
            ));
        };
        if owner.phase != Phase::Failed {
            return Err(ApiError::bare(
                409,
                "VPC.0303",
                format!("port {id} is in use"),
            ));
        }
        if let Some(ip) = owner.ip.take() {
            self.addresses.give_back(ip);
        }
        Ok(())
    }

    /// `GET …/os-keypairs/{name}`
    pub(super) fn show_key_pair(&self, name: &str) -> Result<Value, ApiError> {
        if self.faults.is_missing(name) {
            return Err(ApiError::not_found(format!("Keypair {name} not found")));
        }
        Ok(json!({"keypair": {
            "name": name, "type": "ssh", "id": 1, "deleted": false,
            "public_key": format!("{} Generated-by-Nova", self.public_key),
            "fingerprint": "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00",
        }}))
    }

    /// `GET /v2/cloudimages?id=…`: without an id, none. Only images that were said to be so are for arm.
    pub(super) fn list_images(&self, query: &str) -> Value {
        let id = asked(query, "id").filter(|id| self.exists(id));
        let image = |id: String| {
            let mut image = json!({
                "id": id, "name": "build-worker", "status": "active", "min_disk": 40, "min_ram": 0,
                "__imagetype": "private", "__os_type": "Linux", "__os_bit": "64",
                "visibility": "private", "protected": false,
            });
            if let (true, Some(map)) = (self.arm_images.contains(&id), image.as_object_mut()) {
                map.insert("__support_arm".to_owned(), json!("true"));
            }
            image
        };
        json!({"images": id.map(image).into_iter().collect::<Vec<_>>()})
    }

    /// What an order names has to be there; the codes are those of DOC24 错误码.md.
    pub(super) fn check_references(&mut self, order: &Order) -> Result<(), ApiError> {
        let subnets = order.nics.iter().map(|nic| ("Ecs.0038", &nic.subnet_id));
        let groups = order.security_groups.iter().map(|g| ("Ecs.0014", &g.id));
        let keys = order.key_name.iter().map(|key| ("Ecs.0314", key));
        let mut named = [("Ecs.0031", &order.image), ("Ecs.0014", &order.vpcid)]
            .into_iter()
            .chain(subnets)
            .chain(groups)
            .chain(keys);
        if let Some((code, id)) = named.find(|(_, id)| self.faults.is_missing(id)) {
            return Err(ApiError::service(400, code, format!("{id} does not exist")));
        }
        self.note_vpc(&order.vpcid);
        Ok(())
    }
}

/// `GET …/os-availability-zone`
pub(super) fn list_zones() -> Value {
    let zone =
        |name: &&str| json!({"zoneName": name, "zoneState": {"available": true}, "hosts": null});
    json!({"availabilityZoneInfo": ZONES.iter().map(zone).collect::<Vec<_>>()})
}

fn port(server: &Server) -> Value {
    let network = server.order.nics.first().map(|nic| nic.subnet_id.clone());
    json!({
        "id": server.port_id, "name": "", "device_id": server.id, "network_id": network,
        "status": if server.phase == Phase::Active { "ACTIVE" } else { "DOWN" },
        "admin_state_up": true, "device_owner": format!("compute:{}", server.zone),
        "fixed_ips": server.ip.iter()
            .map(|ip| json!({"ip_address": ip.to_string(), "subnet_id": network}))
            .collect::<Vec<_>>(),
    })
}
