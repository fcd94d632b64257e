//! Where the services of one region are.

use super::error::EcsError;
use reqwest::Url;

/// A service of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Elastic Cloud Server: servers.
    Ecs,
    /// Identity and Access Management: tokens.
    Iam,
    /// Virtual Private Cloud: networks and ports.
    Vpc,
    /// Elastic Volume Service: volumes.
    Evs,
    /// Image Management Service.
    Ims,
    /// Billing: prices, the same ones for every region.
    Bss,
}

/// The addresses of a region's services: `https://SERVICE.REGION.myhuaweicloud.com`, and billing at
/// `https://bss.myhuaweicloud.com` (page "Regions and Endpoints"). Behind an endpoint of another form, as a
/// simulator has, every service is at that one.
#[derive(Debug, Clone)]
pub(super) struct Services {
    ecs: String,
    /// Scheme and what follows `ecs.`.
    region: Option<(String, String)>,
}

impl Services {
    /// # Errors
    /// [`EcsError::Setup`] where it is no URL.
    pub(super) fn of(endpoint: &str) -> Result<Self, EcsError> {
        Url::parse(endpoint).map_err(|error| EcsError::Setup(error.to_string()))?;
        let split = endpoint.split_once("://ecs.");
        Ok(Self {
            ecs: endpoint.to_owned(),
            region: split.map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned())),
        })
    }

    /// The base URL, without a final slash.
    pub(super) fn base(&self, service: Service) -> String {
        let Some((scheme, rest)) = &self.region else {
            return self.ecs.clone();
        };
        let word = match service {
            Service::Ecs => return self.ecs.clone(),
            Service::Iam => "iam",
            Service::Vpc => "vpc",
            Service::Evs => "evs",
            Service::Ims => "ims",
            Service::Bss => {
                let domain = rest.split_once('.').map_or(rest.as_str(), |(_, d)| d);
                return format!("{scheme}://bss.{domain}");
            }
        };
        format!("{scheme}://{word}.{rest}")
    }

    /// The region's name, where the endpoint tells it.
    pub(super) fn region(&self) -> Option<&str> {
        let (_, rest) = self.region.as_ref()?;
        rest.split('.').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_of_a_region_stand_beside_each_other_and_billing_apart() {
        let services = Services::of("https://ecs.cn-north-4.myhuaweicloud.com").unwrap();
        let base = |service| services.base(service);
        assert_eq!(
            base(Service::Ecs),
            "https://ecs.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(
            base(Service::Vpc),
            "https://vpc.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(base(Service::Bss), "https://bss.myhuaweicloud.com");
        assert_eq!(services.region(), Some("cn-north-4"));
    }

    #[test]
    fn behind_another_endpoint_every_service_is_at_that_one() {
        let services = Services::of("http://127.0.0.1:8080").unwrap();
        assert_eq!(services.base(Service::Bss), "http://127.0.0.1:8080");
        assert_eq!(services.region(), None);
        assert!(Services::of("no url").is_err());
    }
}
