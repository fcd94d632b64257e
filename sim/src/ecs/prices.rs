//! What things cost: one table for the bill and for the price route (huawei-ecs reference §10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::ApiError;

/// Prices per hour. Pay-per-use is billed by the second; the price is listed for the hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Such as `CNY`.
    pub currency: String,
    /// Of an hour of a server, by flavor. A flavor that is not here is not for sale and costs nothing.
    pub flavors: BTreeMap<String, f64>,
    /// Of an hour of a GB, by volume type.
    pub volumes: BTreeMap<String, f64>,
}

impl Default for Prices {
    /// The examples of obs-scaler's `config.yaml`: no unit prices were found offline.
    fn default() -> Self {
        let table = |rows: &[(&str, f64)]| {
            let row = |(name, price): &(&str, f64)| ((*name).to_owned(), *price);
            rows.iter().map(row).collect()
        };
        Self {
            currency: "CNY".to_owned(),
            flavors: table(&[
                ("ki1.8xlarge.4", 4.2),
                ("ki1.16xlarge.4", 8.4),
                ("c7.8xlarge.4", 5.6),
                ("c7.16xlarge.4", 11.2),
                ("c7.32xlarge.4", 22.4),
            ]),
            volumes: table(&[
                ("SSD", 0.001),
                ("SAS", 0.0007),
                ("GPSSD", 0.0007),
                ("ESSD", 0.0014),
            ]),
        }
    }
}

/// Millionths of the currency, so that sums are exact.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a cast of a float saturates, and no price is near the bounds"
)]
fn micro(price: f64) -> i64 {
    (price * 1e6).round() as i64
}

impl Prices {
    /// An hour of a server, in millionths.
    pub(super) fn server(&self, flavor: &str) -> i64 {
        self.flavors.get(flavor).copied().map_or(0, micro)
    }

    /// An hour of a disk, in millionths.
    pub(super) fn volume(&self, kind: &str, size_gb: u32) -> i64 {
        self.volumes.get(kind).copied().map_or(0, micro) * i64::from(size_gb)
    }

    /// What is wrong with the table, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut all = self.flavors.iter().chain(&self.volumes);
        match all.find(|(_, price)| !(0.0..=1e6).contains(*price)) {
            Some((name, price)) => Err(format!("price of {name}: {price} is not 0 to 1000000")),
            None => Ok(()),
        }
    }

    /// `POST /v2/bills/ratings/on-demand-resources` (WEB bcloud_01001): one product that is not known fails
    /// the whole batch.
    pub(super) fn rate(&self, body: &Value) -> Result<Value, ApiError> {
        let inquiry = Inquiry::deserialize(body)
            .map_err(|why| ApiError::gateway(400, "CBC.0100", why.to_string()))?;
        if !(1..=100).contains(&inquiry.product_infos.len()) {
            return Err(ApiError::gateway(
                400,
                "CBC.0100",
                "product_infos: 1 to 100",
            ));
        }
        let mut rated = Vec::new();
        let mut sum = 0.0;
        for product in &inquiry.product_infos {
            let amount = self.amount(product)?;
            sum += amount;
            rated.push(json!({
                "id": product.id, "product_id": format!("OFFI-{}", product.resource_spec),
                "amount": amount, "discount_amount": 0.0, "official_website_amount": amount,
                "measure_id": 1,
            }));
        }
        Ok(json!({
            "amount": sum, "discount_amount": 0.0, "official_website_amount": sum,
            "measure_id": 1, "currency": self.currency, "product_rating_results": rated,
        }))
    }

    fn amount(&self, product: &Product) -> Result<f64, ApiError> {
        let unknown = || {
            let text = format!("Can not find product {}", product.resource_spec);
            ApiError::gateway(400, "CBC.99006006", text)
        };
        let unit = match product.resource_type.as_str() {
            "hws.resource.type.vm" => product
                .resource_spec
                .strip_suffix(".linux")
                .and_then(|flavor| self.flavors.get(flavor)),
            "hws.resource.type.volume" => self.volumes.get(&product.resource_spec),
            _ => None,
        };
        let size = product.resource_size.unwrap_or(1.0);
        Ok(unit.ok_or_else(unknown)? * product.usage_value * product.subscription_num * size)
    }
}

#[derive(Deserialize)]
struct Inquiry {
    product_infos: Vec<Product>,
}

#[derive(Deserialize)]
struct Product {
    id: String,
    resource_type: String,
    resource_spec: String,
    resource_size: Option<f64>,
    usage_value: f64,
    subscription_num: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(spec: &str) -> Value {
        json!({"id": spec, "cloud_service_type": "hws.service.type.ec2",
            "resource_type": "hws.resource.type.vm", "resource_spec": spec, "region": "cn-north-4",
            "usage_factor": "Duration", "usage_value": 1, "usage_measure_id": 4, "subscription_num": 1})
    }

    #[test]
    fn one_unknown_product_fails_the_whole_batch() {
        let prices = Prices::default();
        let ask = |specs: &[&str]| {
            let infos: Vec<Value> = specs.iter().map(|spec| product(spec)).collect();
            prices.rate(&json!({"project_id": "p", "product_infos": infos}))
        };
        let answer = ask(&["ki1.8xlarge.4.linux"]).unwrap();
        assert_eq!(answer["product_rating_results"][0]["amount"], 4.2);
        let refused = ask(&["ki1.8xlarge.4.linux", "kc9.linux"]).unwrap_err();
        assert_eq!(refused.code(), "CBC.99006006");
        assert!(ask(&[]).is_err());
    }
}
