//! `ResizeContainer`.

use tweendeck_proto::v1::{Container, ResizeContainerRequest};

use super::mutation::{self, Mutated};
use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::blocking;
use crate::workload::Op;

const AT: &str = "resources";

impl Api {
    pub(super) async fn resize(&self, request: ResizeContainerRequest) -> Result<Container, Refusal> {
        let ResizeContainerRequest { name, resources, uid, etag, request_id, validate_only } = &request;
        let host = self.registry().host().clone();
        let mut violations = Violations::default();
        match resources {
            Some(resources) => {
                validate::resources(AT, resources, host.memory_bytes, &mut violations);
                let text = "is not replaced with the limits: leave it out; AddDevice and RemoveDevice change it";
                violations.require(resources.devices.is_empty(), "resources.devices", text);
            }
            None => violations.add(AT, "is missing; an empty one lifts all limits"),
        }
        // What depends on the specification. It belongs to that container alone, so that one stays meant.
        let view = self.registry().get(name).map(|handle| handle.view());
        if let Some(view) = &view {
            validate::room_for_init(AT, view.spec().init(), resources.as_ref(), &mut violations);
        }
        let bare = ResizeContainerRequest { request_id: String::new(), ..request.clone() };
        let ids = [uid, etag, request_id];
        let mut terms = mutation::terms("ResizeContainer", &bare, name, ids, *validate_only, violations)?;
        if let Some(view) = view.filter(|_| uid.is_empty()) {
            view.uid().clone_into(&mut terms.precondition.uid);
        }
        let asked = resources.clone().unwrap_or_default();
        // A look at the kernel's files.
        let look = {
            let asked = asked.clone();
            move || validate::supported(AT, &host.hierarchies, Some(&asked))
        };
        blocking::run(look).await.map_err(|error| Refusal::Internal(error.to_string()))??;
        Ok(match self.mutate(name, Op::Resize(Box::new(asked)), terms).await? {
            Mutated::Now { record, .. } => record.container.clone(),
            Mutated::Before(container) => *container,
        })
    }
}
