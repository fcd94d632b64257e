//! The body of a creation: the same order gives the same bytes, as the client token demands.

use super::EcsError;
use super::types;
use crate::cloud::CreateRequest;
use crate::config::{CreateApi, Ecs, Pool};
use crate::model::{Order, TAG_ORDER, TAG_OWNER, TAG_POOL};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The most user data the cloud takes, in bytes before base64.
const MAX_USER_DATA: usize = 32 * 1024;

/// The longest name of a batch, to which the cloud appends `-0001` and so on.
const MAX_NAME: usize = 59;

/// The most servers in one call that every edition of the reference allows.
const MAX_COUNT: u32 = 100;

/// The request for an order: of the order its id, flavor, zone and count, of the pool its name and
/// architecture, of the cloud's configuration the rest. Servers are named as the order says; in one of
/// an old journal `{prefix}-{pool}-{first 8 of the order's id}`, which the cloud numbers as it will.
/// `user_data` is cloud-init's document, not encoded.
///
/// # Errors
/// [`EcsError::Invalid`] says which part the cloud would refuse.
pub(super) fn write(
    order: &Order,
    pool: &Pool,
    ecs: &Ecs,
    owner: &str,
    user_data: &str,
) -> Result<CreateRequest, EcsError> {
    check(order, owner, user_data).map_err(EcsError::Invalid)?;
    let name = name(ecs, order).map_err(EcsError::Invalid)?;
    let image = ecs
        .images
        .get(&pool.arch)
        .ok_or_else(|| EcsError::Invalid(format!("no image for {}", pool.arch)))?;
    let server = server(order, ecs, owner, &name, image, &STANDARD.encode(user_data));
    let body = json!({ "server": server }).to_string();
    Ok(CreateRequest::new(order.id.clone(), body))
}

fn check(order: &Order, owner: &str, user_data: &str) -> Result<(), String> {
    types::tag_value("owner", owner)?;
    let id = order.id.as_str();
    if !is_client_token(id) {
        return Err(format!("order id {id:?} is not a lower-case UUID"));
    }
    if !(1..=MAX_COUNT).contains(&order.count) {
        return Err(format!("{} servers: 1 to {MAX_COUNT}", order.count));
    }
    if user_data.len() > MAX_USER_DATA {
        let length = user_data.len();
        return Err(format!(
            "user data of {length} bytes: at most {MAX_USER_DATA}"
        ));
    }
    Ok(())
}

/// 8-4-4-4-12 lower-case hex digits (page "Request Idempotency").
fn is_client_token(id: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && id.split('-').all(hex)
}

fn name(ecs: &Ecs, order: &Order) -> Result<String, String> {
    let name = match &order.names {
        Some(names) => names.asked(order.count),
        None => {
            let short: String = order.id.as_str().chars().take(8).collect();
            format!("{}-{}-{short}", ecs.naming.prefix, order.pool)
        }
    };
    let lawful = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-[,]".contains(&b);
    if name.len() > MAX_NAME || !name.bytes().all(lawful) {
        return Err(format!(
            "server name {name:?}: at most {MAX_NAME} of a-z, 0-9 and '-'"
        ));
    }
    Ok(name)
}

/// `POST /v1/{project}/cloudservers`, page "Creating an ECS (Pay-per-Use)". `isAutoRename` is sent
/// as `false`, number each name, since the pages disagree on its default. Volumes go with their
/// server: there is only the system disk.
fn server(
    order: &Order,
    ecs: &Ecs,
    owner: &str,
    name: &str,
    image: &str,
    user_data: &str,
) -> Value {
    let groups: Vec<Value> = ecs
        .security_groups
        .iter()
        .map(|id| json!({ "id": id }))
        .collect();
    let mut server = json!({
        "name": name,
        "imageRef": image,
        "flavorRef": order.flavor.as_str(),
        "vpcid": ecs.vpc_id,
        "nics": [{ "subnet_id": ecs.subnet_id }],
        "security_groups": groups,
        "root_volume": { "volumetype": ecs.root_volume_type, "size": ecs.root_volume_gib },
        "key_name": ecs.key_name,
        "count": order.count,
        "isAutoRename": false,
        "user_data": user_data,
        "server_tags": [
            { "key": TAG_OWNER, "value": owner },
            { "key": TAG_POOL, "value": order.pool.as_str() },
            { "key": TAG_ORDER, "value": order.id.as_str() },
        ],
        "extendparam": { "chargingMode": postpaid(ecs.create_api) },
    });
    if let (Some(zone), Some(fields)) = (&order.zone, server.as_object_mut()) {
        fields.insert("availability_zone".to_owned(), json!(zone.as_str()));
    }
    server
}

/// Paid by the second: a number in the one edition, a word in the other.
fn postpaid(api: CreateApi) -> Value {
    match api {
        CreateApi::V1 => json!(0),
        CreateApi::V1_1 => json!("postPaid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::ecs::tests::{config, order, pool};
    use crate::model::OrderId;

    fn request(order: &Order, user_data: &str) -> Result<CreateRequest, EcsError> {
        write(order, &pool(), &config("http://unused"), "me", user_data)
    }

    #[test]
    fn an_order_becomes_the_request_of_the_reference() {
        let request = request(&order(3), "#cloud-config\n").unwrap();
        let body: Value = serde_json::from_str(request.body()).unwrap();
        let expected = json!({"server": {
            "name": "bw-arm-l1-46436810",
            "imageRef": "1189efbf-d48b-46ad-a823-94b942e2a000",
            "flavorRef": "ki1.8xlarge.4",
            "vpcid": "0dae26c9-9a70-4392-93f3-87d53115d171",
            "nics": [{"subnet_id": "157ee789-03ea-45b1-a698-76c92660dd83"}],
            "security_groups": [{"id": "507ca48f-814c-4293-8706-300564d54620"}],
            "availability_zone": "cn-north-4a",
            "root_volume": {"volumetype": "SSD", "size": 40},
            "key_name": "build-key",
            "count": 3,
            "isAutoRename": false,
            "user_data": "I2Nsb3VkLWNvbmZpZwo=",
            "server_tags": [
                {"key": "obs-scaler-owner", "value": "me"},
                {"key": "obs-scaler-pool", "value": "arm-l1"},
                {"key": "obs-scaler-order", "value": "46436810-d999-454c-bd85-e515fd258600"}],
            "extendparam": {"chargingMode": 0}
        }});
        assert_eq!(body, expected);
    }

    #[test]
    fn the_other_edition_of_the_call_has_a_word_for_how_it_is_paid() {
        let ecs = config::Ecs {
            create_api: CreateApi::V1_1,
            ..config("http://unused")
        };
        let request = write(&order(1), &pool(), &ecs, "me", "").unwrap();
        let paid = r#""extendparam":{"chargingMode":"postPaid"}"#;
        assert!(request.body().contains(paid), "{}", request.body());
    }

    #[test]
    fn the_cloud_numbers_as_the_order_says_and_one_server_has_its_plain_name() {
        let named = |count| {
            let names = crate::model::Numbering {
                stem: "bw-arm-l1-".to_owned(),
                first: 41,
                digits: 3,
            };
            let order = Order {
                names: Some(names),
                ..order(count)
            };
            let request = request(&order, "#cloud-config\n").unwrap();
            let body: Value = serde_json::from_str(request.body()).unwrap();
            body["server"]["name"].clone()
        };
        assert_eq!(named(1), "bw-arm-l1-041");
        assert_eq!(named(3), "bw-arm-l1-[41,3]");
    }

    #[test]
    fn the_same_order_gives_the_same_bytes() {
        let once = request(&order(3), "x").unwrap();
        assert_eq!(once.sha256(), request(&order(3), "x").unwrap().sha256());
        assert_ne!(once.sha256(), request(&order(3), "y").unwrap().sha256());
    }

    #[test]
    fn what_the_cloud_would_refuse_is_not_asked() {
        let mut token = order(1);
        token.id = OrderId::new("46436810-D999-454C-BD85-E515FD258600");
        for (order, data) in [
            (order(0), String::new()),
            (order(101), String::new()),
            (token, String::new()),
            (order(1), "x".repeat(MAX_USER_DATA + 1)),
        ] {
            let refused = request(&order, &data);
            assert!(matches!(refused, Err(EcsError::Invalid(_))), "{refused:?}");
        }
        assert!(request(&order(1), &"x".repeat(MAX_USER_DATA)).is_ok());
    }

    #[test]
    fn the_host_key_in_the_user_data_stands_in_no_debug_output() {
        let request = request(&order(1), "secret").unwrap();
        let shown = format!("{request:?}");
        assert!(!shown.contains(&STANDARD.encode("secret")), "{shown}");
    }
}
