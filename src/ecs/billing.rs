//! What servers cost.

use super::ask::Ask;
use super::client::EcsClient;
use super::error::EcsError;
use super::services::Service;
use crate::model::{FlavorName, Price, PriceList};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most products in one inquiry (page "Querying the Price of a Pay-per-Use Product").
const MAX_PRODUCTS: usize = 100;

/// One product of the inquiry is not known, and the whole inquiry has failed for it.
const NO_SUCH_PRODUCT: [&str; 2] = ["CBC.99006006", "CBC.6006"];

/// The unit of the time that is asked for: hours.
const HOUR: u32 = 4;

impl EcsClient {
    /// The price of an hour of these flavors, paid as they are used:
    /// `POST /v2/bills/ratings/on-demand-resources`. An inquiry that fails for one product that the cloud
    /// does not know is halved until that product stands alone: it has no price.
    ///
    /// # Errors
    /// Any error of a call, an answer that leaves out a product, and two currencies.
    pub async fn price(&self, flavors: &[FlavorName]) -> Result<PriceList, EcsError> {
        let mut list = PriceList::default();
        let mut left: Vec<&[FlavorName]> = flavors.chunks(MAX_PRODUCTS).collect();
        while let Some(batch) = left.pop() {
            match self.price_batch(batch).await {
                Err(EcsError::Refused(why)) if NO_SUCH_PRODUCT.contains(&why.code.as_str()) => {
                    if batch.len() > 1 {
                        let (one, other) = batch.split_at(batch.len() / 2);
                        left.extend([one, other]);
                    }
                }
                prices => take(&mut list, prices?)?,
            }
        }
        Ok(list)
    }

    async fn price_batch(&self, flavors: &[FlavorName]) -> Result<PriceList, EcsError> {
        let region = self.region()?;
        let products: Vec<Value> = flavors
            .iter()
            .enumerate()
            .map(|(n, flavor)| product(n, flavor, region))
            .collect();
        let body = json!({
            "project_id": self.config.project_id,
            "inquiry_precision": 1,
            "product_infos": products,
        });
        let body = body.to_string();
        let path = "/v2/bills/ratings/on-demand-resources".to_owned();
        let ask = Ask {
            reads: true,
            ..Ask::post("price", Service::Bss, path, &body)
        };
        let answer = self.transport.send(&ask).await?;
        read(&answer.body, flavors).map_err(|why| answer.garbled(why))
    }

    fn region(&self) -> Result<&str, EcsError> {
        let region = self.config.region.as_deref();
        let region = region.or_else(|| self.transport.services.region());
        region.ok_or_else(|| EcsError::Invalid("no region: ecs.endpoint names none".to_owned()))
    }
}

fn product(n: usize, flavor: &FlavorName, region: &str) -> Value {
    json!({
        "id": n.to_string(),
        "cloud_service_type": "hws.service.type.ec2",
        "resource_type": "hws.resource.type.vm",
        "resource_spec": format!("{flavor}.linux"),
        "region": region,
        "usage_factor": "Duration",
        "usage_value": 1,
        "usage_measure_id": HOUR,
        "subscription_num": 1,
    })
}

fn take(list: &mut PriceList, more: PriceList) -> Result<(), EcsError> {
    if !list.currency.is_empty() && list.currency != more.currency {
        return Err(EcsError::Garbled {
            operation: "price",
            why: format!("prices in {} and in {}", list.currency, more.currency),
            request_id: None,
        });
    }
    list.currency = more.currency;
    list.flavors.extend(more.flavors);
    Ok(())
}

/// `amount` is what this customer pays; `official_website_amount` is what everybody else does.
fn read(answer: &Value, flavors: &[FlavorName]) -> Result<PriceList, String> {
    let currency = answer.get("currency").and_then(Value::as_str);
    let currency = currency.filter(|word| !word.is_empty());
    let results = answer
        .get("product_rating_results")
        .and_then(Value::as_array);
    let amounts: BTreeMap<&str, f64> = results
        .ok_or("no product_rating_results")?
        .iter()
        .filter_map(|result| Some((result.get("id")?.as_str()?, result.get("amount")?.as_f64()?)))
        .collect();
    let price = |(n, flavor): (usize, &FlavorName)| {
        let amount = amounts.get(n.to_string().as_str()).copied();
        let price = amount.and_then(Price::new);
        let price = price.ok_or_else(|| format!("no price for flavor {flavor}: {amount:?}"))?;
        Ok((flavor.clone(), price))
    };
    let prices: Result<_, String> = flavors.iter().enumerate().map(price).collect();
    Ok(PriceList {
        currency: currency.ok_or("no currency")?.to_owned(),
        flavors: prices?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flavors() -> Vec<FlavorName> {
        ["a", "b"].map(FlavorName::new).to_vec()
    }

    #[test]
    fn every_product_has_its_own_price_in_whatever_order() {
        let answer = json!({"currency": "CNY", "amount": 9.9, "product_rating_results": [
            {"id": "1", "product_id": "p", "amount": 2.5, "official_website_amount": 3},
            {"id": "0", "product_id": "q", "amount": 7}]});
        let list = read(&answer, &flavors()).unwrap();
        let of = |name: &str| list.flavors[&FlavorName::new(name)].per_hour();
        assert_eq!(
            (of("a"), of("b"), list.currency.as_str()),
            (7.0, 2.5, "CNY")
        );
    }

    #[test]
    fn a_price_that_is_missing_or_none_is_an_error_and_not_zero() {
        let one = |amount: Value| {
            json!({"currency": "CNY", "product_rating_results":
            [{"id": "0", "amount": amount}, {"id": "1", "amount": 1}]})
        };
        for wrong in [json!(null), json!(-1), json!("free"), json!(1e12)] {
            let error = read(&one(wrong), &flavors()).unwrap_err();
            assert!(error.contains("no price for flavor a"), "{error}");
        }
        assert!(read(&json!({"currency": "CNY"}), &flavors()).is_err());
        let none = json!({"product_rating_results": []});
        assert_eq!(read(&none, &[]), Err("no currency".to_owned()));
    }
}
