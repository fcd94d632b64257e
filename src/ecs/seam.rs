//! ECS as the [`Cloud`] that the rest of the program sees.

use super::client::EcsClient;
use super::request;
use crate::cloud::{
    Calling, Cloud, CreateRequest, Created, Error, Gone, JobStatus, Leftovers, ProjectServer,
};
use crate::config::Pool;
use crate::model::{FlavorName, Fleet, Order, PriceList, Quota, ServerId, Stock};
use std::net::IpAddr;

impl Cloud for EcsClient {
    fn prepare(&self, order: &Order, pool: &Pool, user_data: &str) -> Result<CreateRequest, Error> {
        let request = request::write(order, pool, &self.config, &self.owner, user_data);
        Ok(request?)
    }

    fn create<'a>(&'a self, request: &'a CreateRequest) -> Calling<'a, Created> {
        Box::pin(async move { Ok(self.create(request).await?) })
    }

    fn job<'a>(&'a self, job: &'a str) -> Calling<'a, JobStatus> {
        Box::pin(async move { Ok(self.job(job).await?) })
    }

    fn list(&self) -> Calling<'_, Fleet> {
        Box::pin(async move { Ok(self.list().await?) })
    }

    fn find<'a>(&'a self, ips: &'a [IpAddr]) -> Calling<'a, Vec<ProjectServer>> {
        Box::pin(async move { Ok(self.find(ips).await?) })
    }

    fn delete<'a>(&'a self, server: &'a ServerId) -> Calling<'a, Vec<String>> {
        Box::pin(async move { Ok(self.delete_after_a_look(server).await?) })
    }

    fn tag<'a>(&'a self, server: &'a ServerId, tags: &'a [(&'a str, &'a str)]) -> Calling<'a, ()> {
        Box::pin(async move { Ok(self.tag(server, tags).await?) })
    }

    fn untag<'a>(&'a self, server: &'a ServerId, keys: &'a [&'a str]) -> Calling<'a, ()> {
        Box::pin(async move { Ok(self.untag(server, keys).await?) })
    }

    fn stock(&self) -> Calling<'_, Stock> {
        Box::pin(async move { Ok(self.stock().await?) })
    }

    fn quota(&self) -> Calling<'_, Quota> {
        Box::pin(async move { Ok(self.quota().await?) })
    }

    fn price<'a>(&'a self, flavors: &'a [FlavorName]) -> Calling<'a, PriceList> {
        Box::pin(async move { Ok(self.price(flavors).await?) })
    }

    fn leftovers<'a>(&'a self, gone: &'a Gone) -> Calling<'a, Leftovers> {
        Box::pin(async move { Ok(self.leftovers(gone).await?) })
    }

    fn clear<'a>(&'a self, leftovers: &'a Leftovers) -> Calling<'a, ()> {
        Box::pin(async move { Ok(self.clear(leftovers).await?) })
    }
}
