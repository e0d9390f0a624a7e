//! `UpdateContainer`.

use tweendeck_proto::v1::{Container, ContainerSpec, UpdateContainerRequest};

use super::mutation::{self, Mutated};
use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::blocking;
use crate::host::Host;
use crate::workload::{Op, Terms};

impl Api {
    pub(super) async fn update(&self, request: UpdateContainerRequest) -> Result<Container, Refusal> {
        let host = self.registry().host().clone();
        let name = request.name.clone();
        let on_host = validate::looks_at_the_host(request.spec.as_ref());
        let work = move || check(&host, request);
        // A look at a directory may take as long as its file system likes.
        let (spec, terms) = if on_host {
            blocking::run(work).await.map_err(|error| Refusal::Internal(error.to_string()))??
        } else {
            work()?
        };
        Ok(match self.mutate(&name, Op::Update(Box::new(spec)), terms).await? {
            Mutated::Now { record, .. } => record.container.clone(),
            Mutated::Before(container) => *container,
        })
    }
}

/// As a new container of this specification is checked.
fn check(host: &Host, request: UpdateContainerRequest) -> Result<(ContainerSpec, Terms), Refusal> {
    let bare = UpdateContainerRequest { request_id: String::new(), ..request.clone() };
    let UpdateContainerRequest { name, spec, uid, etag, request_id, validate_only } = request;
    let mut violations = Violations::default();
    validate::spec(host, &name, spec.as_ref(), &mut violations);
    let ids = [&uid, &etag, &request_id];
    let terms = mutation::terms("UpdateContainer", &bare, &name, ids, validate_only, violations)?;
    let spec = spec.unwrap_or_default();
    validate::supported("spec.resources", &host.hierarchies, spec.resources.as_ref())?;
    validate::watchable("spec", &host.hierarchies, spec.pressure.as_ref())?;
    Ok((spec, terms))
}
