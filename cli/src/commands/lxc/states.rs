//! Starting, and what is around it, as `lxc-start` and `lxc-execute` share it.

use tweendeck_proto::v1::namespace::Source;
use tweendeck_proto::v1::{
    Container, ContainerSpec, ContainerState, DeleteContainerRequest, Namespace, StartContainerRequest,
};

use super::context::Context;
use super::definition::{Definition, annotate};
use super::trouble::Trouble;
use crate::failure::Failure;

impl Context {
    /// Makes the agent know what is to be started: one that is kept as it was defined, or one that goes when it has ended.
    pub(super) async fn prepare(
        &self,
        name: &str,
        definition: &Definition,
        mut spec: ContainerSpec,
    ) -> Result<Container, Trouble> {
        match &definition.stored {
            Some(stored) => annotate(&mut spec, stored),
            None if definition.container.is_none() => spec.ephemeral = true,
            None => {}
        }
        let known = definition.container.as_ref();
        // Left by a command that died before it could start it.
        let left = known.filter(|known| is_left(known));
        if let Some(Container { uid, .. }) = left {
            let (name, uid) = (name.to_owned(), uid.clone());
            self.call(DeleteContainerRequest { name, uid, allow_missing: true, ..Default::default() }).await?;
        }
        self.establish(name, known.filter(|_| left.is_none()), spec).await
    }

    /// Starts it, and waits until its command has been executed.
    pub(super) async fn begin(&self, container: &Container) -> Result<Container, Trouble> {
        let (name, uid) = (container.name.clone(), container.uid.clone());
        let request = StartContainerRequest { name, uid, ..Default::default() };
        let answer = Box::pin(self.agent.call_without_limit(request)).await?;
        Ok(answer.container.ok_or(Failure::Incomplete("container"))?)
    }
}

/// Whether it is one that should be gone: it was made to be started and to go, and was never started.
fn is_left(container: &Container) -> bool {
    let created = container.status.as_ref().is_some_and(|status| status.state() == ContainerState::Created);
    created && container.spec.as_ref().is_some_and(|spec| spec.ephemeral)
}

/// Joins namespaces of other containers: of `--share-net NAME`, or the PID of its first process.
pub(super) async fn share(
    spec: &mut ContainerSpec,
    shared: &[(String, String)],
    context: &Context,
) -> Result<(), Trouble> {
    for (kind, whose) in shared {
        let whose = owner(whose, context).await?;
        let namespaces = spec.namespaces.get_or_insert_default();
        let namespace = Some(Namespace { source: Some(Source::Container(whose)) });
        match kind.as_str() {
            "net" => {
                namespaces.network = namespace;
                spec.network = 0;
            }
            "ipc" => namespaces.ipc = namespace,
            "uts" => {
                namespaces.uts = namespace;
                spec.hostname.clear();
            }
            "pid" => {
                namespaces.pid = namespace;
                // They belong to that container's init.
                spec.wait_for_orphans = false;
            }
            other => return Err(Trouble::said(format!("--share-{other}: net, ipc, uts and pid can be shared"))),
        }
    }
    Ok(())
}

/// The container that is meant by its name, or by the PID of its first process on the node.
async fn owner(whose: &str, context: &Context) -> Result<String, Trouble> {
    let Ok(pid) = whose.parse::<i32>() else { return Ok(whose.to_owned()) };
    let is = |container: &Container| container.status.as_ref().is_some_and(|status| status.pid == pid);
    let found = context.all().await?.into_iter().find(is);
    found.map(|container| container.name).ok_or_else(|| Trouble::said(format!("no container has the PID {pid}")))
}
