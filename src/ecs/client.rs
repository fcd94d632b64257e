//! The calls that this program makes.

use super::ask::{Answer, Ask};
use super::error::EcsError;
use super::jobs;
use super::list::{self, Listing, MAX_PAGES, Next, PAGE};
use super::services::Service;
use super::transport::{Observer, Transport};
use super::types::{self, Record};
use crate::clock::Clock;
use crate::cloud::{CreateRequest, Created, JobStatus};
use crate::config::{self, CreateApi};
use crate::model::{Class, Fleet, Server, ServerId, TAG_OWNER};
use serde_json::{Value, json};

/// The most servers that one deletion may name.
const MAX_DELETE: usize = 1000;

/// A client of one project of ECS, on behalf of one owner.
pub struct EcsClient {
    pub(super) transport: Transport,
    pub(super) config: config::Ecs,
    pub(super) owner: String,
}

impl EcsClient {
    /// A client that calls nothing yet. `owner` is the value of the owner tag.
    ///
    /// # Errors
    /// [`EcsError::Setup`] where the endpoint is no URL, or no TLS can be had;
    /// [`EcsError::Invalid`] where the owner is no tag value.
    pub fn new(config: &config::Ecs, owner: String, clock: Clock) -> Result<Self, EcsError> {
        types::tag_value("owner", &owner).map_err(EcsError::Invalid)?;
        Ok(Self {
            transport: Transport::new(config, clock)?,
            config: config.clone(),
            owner,
        })
    }

    /// The same client, telling `observer` of every finished call.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.transport.observer = Some(observer);
        self
    }

    /// Every server that carries our owner tag, in whatever state: all pages of
    /// `GET /v1/{project}/cloudservers/detail`, by `marker` (its `offset` is a page number).
    ///
    /// # Errors
    /// Any error of any page, and any record that cannot be understood: a list is whole or an
    /// error, since a server left out is forgotten while it costs money.
    pub async fn list(&self) -> Result<Fleet, EcsError> {
        let tag = format!("{TAG_OWNER}={}", self.owner);
        let (records, last) = self.servers("list", &[("tags", tag.as_str())]).await?;
        list::fleet(&records, &self.owner).map_err(|why| last.garbled(why))
    }

    /// Every server that these filters let through, and the last answer.
    pub(super) async fn servers(
        &self,
        operation: &'static str,
        filters: &[(&str, &str)],
    ) -> Result<(Vec<Value>, Answer), EcsError> {
        let path = self.v1("/cloudservers/detail");
        let listing = Listing::new("servers", PAGE);
        self.pages(operation, Service::Ecs, &path, filters, listing)
            .await
    }

    /// Every page: by `marker`, the last record of the page before. Where the cloud does not know it, as older
    /// editions of the reference have it, a list of servers goes on by page number (`offset`, from 1 on), and
    /// one of flavors is whole.
    pub(super) async fn pages(
        &self,
        operation: &'static str,
        service: Service,
        path: &str,
        filters: &[(&str, &str)],
        mut listing: Listing,
    ) -> Result<(Vec<Value>, Answer), EcsError> {
        let limit = listing.page().to_string();
        let mut place: Option<(&str, String)> = None;
        for number in 1..=MAX_PAGES {
            let mut query = vec![("limit", limit.as_str())];
            query.extend_from_slice(filters);
            query.extend(place.as_ref().map(|(name, value)| (*name, value.as_str())));
            let ask = Ask {
                query: &query,
                ..Ask::get(operation, service, path.to_owned())
            };
            let page = self.transport.send(&ask).await?;
            let next = listing.add(&page.body);
            place = match (next.map_err(|why| page.garbled(why))?, place) {
                (Next::Done, _) => return Ok((listing.into_records(), page)),
                (Next::Again, _) if listing.is_numbered() => Some(("offset", number.to_string())),
                (Next::Again, _) => return Ok((listing.into_records(), page)),
                // The first page came twice, so the number of pages asked for is one too high.
                (Next::After(_), Some(("offset", _))) => Some(("offset", number.to_string())),
                (Next::After(last), _) => Some(("marker", last)),
            };
        }
        Err(EcsError::Garbled {
            operation,
            why: format!("no end after {MAX_PAGES} pages"),
            request_id: None,
        })
    }

    /// Orders servers: `POST /v1/{project}/cloudservers` with the order's id as client token.
    /// Repeated within 8 hours it gives the first answer again, and buys nothing more.
    ///
    /// # Errors
    /// Ask [`EcsError::outcome_known`] before anything else is bought.
    pub async fn create(&self, request: &CreateRequest) -> Result<Created, EcsError> {
        let ask = Ask {
            token: Some(request.order().as_str()),
            ..Ask::post("create", Service::Ecs, self.create_path(), request.body())
        };
        let answer = self.transport.send(&ask).await?;
        let ids = answer.body.get("serverIds").and_then(Value::as_array);
        let ids = ids.into_iter().flatten().filter_map(Value::as_str);
        Ok(Created {
            job: job_id(&answer)?,
            servers: ids.map(ServerId::new).collect(),
        })
    }

    /// Where a job stands: `GET /v1/{project}/jobs/{job}`.
    ///
    /// # Errors
    /// [`Class::Gone`] for a job that the cloud does not know (any more); any other of a call.
    pub async fn job(&self, job: &str) -> Result<JobStatus, EcsError> {
        let path = self.v1(&format!("/jobs/{}", segment(job)?));
        let answer = self.get(jobs::OPERATION, Service::Ecs, path).await?;
        jobs::read(&answer.body).map_err(|why| answer.garbled(why))
    }

    /// One server: `GET /v1/{project}/cloudservers/{server}`; `None` where there is none. A new
    /// one may be missing while it is built.
    ///
    /// # Errors
    /// [`EcsError::NotOurs`] for a server without our owner tag; any other of a call.
    pub async fn show(&self, server: &ServerId) -> Result<Option<Server>, EcsError> {
        let path = self.v1(&format!("/cloudservers/{}", segment(server.as_str())?));
        let answer = match self.get("show", Service::Ecs, path).await {
            Err(error) if error.class() == Class::Gone => return Ok(None),
            result => result?,
        };
        let record = answer.body.get("server").unwrap_or(&Value::Null);
        match types::read(record, &self.owner) {
            Ok(Record::Ours(shown)) if shown.id == *server => Ok(Some(*shown)),
            Ok(Record::Ours(shown)) => Err(answer.garbled(format!("it shows {}", shown.id))),
            Ok(Record::NotOurs) => Err(EcsError::NotOurs(server.to_string())),
            Ok(Record::Deleted) => Ok(None),
            Err(why) => Err(answer.garbled(why)),
        }
    }

    /// Deletes a server after a last look at it: the list that the decision rests on may be some time
    /// old, and a person may have pinned the server, or taken it from us, since.
    ///
    /// # Errors
    /// [`EcsError::Protected`] for one that is protected now; those of [`Self::show`] and
    /// [`Self::delete`].
    pub async fn delete_after_a_look(&self, server: &ServerId) -> Result<Vec<String>, EcsError> {
        match self.show(server).await? {
            None => Ok(Vec::new()),
            Some(shown) if shown.tags.protected => Err(EcsError::Protected(server.to_string())),
            Some(_) => self.delete(std::slice::from_ref(server)).await,
        }
    }

    /// Deletes servers with their volumes and addresses:
    /// `POST /v1/{project}/cloudservers/delete`. Gives the jobs that do it; none for servers that
    /// are gone already. A server may be listed for a while after its job has succeeded.
    ///
    /// Whether one unknown server fails the deletion of the others is not documented: where the
    /// cloud says so of several, each is deleted by itself.
    ///
    /// # Errors
    /// The first error; other servers may be under deletion nevertheless.
    pub async fn delete(&self, servers: &[ServerId]) -> Result<Vec<String>, EcsError> {
        let mut jobs = Vec::new();
        for batch in servers.chunks(MAX_DELETE) {
            match self.delete_batch(batch).await {
                Err(error) if error.class() == Class::Gone => {
                    jobs.extend(self.delete_each(batch).await?);
                }
                job => jobs.push(job?),
            }
        }
        Ok(jobs)
    }

    /// After a batch was refused because one of it is gone.
    async fn delete_each(&self, servers: &[ServerId]) -> Result<Vec<String>, EcsError> {
        let mut jobs = Vec::new();
        if servers.len() == 1 {
            return Ok(jobs);
        }
        for server in servers {
            match self.delete_batch(std::slice::from_ref(server)).await {
                Err(error) if error.class() == Class::Gone => {}
                job => jobs.push(job?),
            }
        }
        Ok(jobs)
    }

    async fn delete_batch(&self, servers: &[ServerId]) -> Result<String, EcsError> {
        let ids: Vec<Value> = servers
            .iter()
            .map(|server| json!({ "id": server.as_str() }))
            .collect();
        let body = json!({ "servers": ids, "delete_publicip": true, "delete_volume": true });
        let body = body.to_string();
        let path = self.v1("/cloudservers/delete");
        let ask = Ask::post("delete", Service::Ecs, path, &body);
        job_id(&self.transport.send(&ask).await?)
    }

    /// Where servers are created.
    pub(super) fn create_path(&self) -> String {
        match self.config.create_api {
            CreateApi::V1 => self.v1("/cloudservers"),
            CreateApi::V1_1 => format!("/v1.1/{}/cloudservers", self.transport.project),
        }
    }

    pub(super) async fn get(
        &self,
        operation: &'static str,
        service: Service,
        path: String,
    ) -> Result<Answer, EcsError> {
        let ask = Ask::get(operation, service, path);
        self.transport.send(&ask).await
    }

    /// A path of ECS' own API, and of those of VPC that are like it.
    pub(super) fn v1(&self, rest: &str) -> String {
        format!("/v1/{}{rest}", self.transport.project)
    }
}

fn job_id(answer: &Answer) -> Result<String, EcsError> {
    let job = answer.body.get("job_id").and_then(Value::as_str);
    job.filter(|job| !job.is_empty())
        .map(ToOwned::to_owned)
        .ok_or_else(|| answer.garbled("no job_id".to_owned()))
}

/// An id as part of a path: one that is empty, or holds anything but letters, digits and hyphens,
/// would ask for something else.
pub(super) fn segment(id: &str) -> Result<&str, EcsError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(EcsError::Invalid(format!("{id:?} is not an id")));
    }
    Ok(id)
}
