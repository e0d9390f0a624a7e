//! GetCgroupValue and SetCgroupValue: any file of a container's own cgroup, by name.

use tonic_types::FieldViolation;
use tweendeck_proto::v1::SetCgroupValueRequest;
use tweendeck_runtime::cgroup::value::{AccessError, Key, MAX_VALUE, Value};
use tweendeck_runtime::cgroup::{self, Cgroup};

use super::mutation;
use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::blocking;
use crate::causes::causes;
use crate::journal::{Change, Commit, Record};
use crate::workload::CommandError;

impl Api {
    /// What the kernel has under a key.
    pub(super) async fn cgroup_value(&self, name: &str, key: &str) -> Result<Value, Refusal> {
        let mut violations = Violations::default();
        validate::container_name(name, &mut violations);
        let key = parse(key, &mut violations);
        violations.finish()?;
        let record = self.find(name)?.view();
        match key {
            Some(key) => self.in_cgroup(&record, move |cgroup| cgroup.value(&key)).await,
            None => Err(Refusal::Internal("a key that was neither taken nor refused".to_owned())),
        }
    }

    /// Writes a value under a key, and gives what the kernel has then.
    pub(super) async fn set_cgroup_value_of(&self, request: SetCgroupValueRequest) -> Result<Value, Refusal> {
        let bare = SetCgroupValueRequest { request_id: String::new(), ..request.clone() };
        let SetCgroupValueRequest { name, key, value, uid, etag, request_id, validate_only } = request;
        let mut violations = Violations::default();
        let parsed = parse(&key, &mut violations);
        if let Some(why) = parsed.as_ref().and_then(Key::not_to_be_written) {
            violations.add("key", why);
        }
        let fits = (1..=MAX_VALUE).contains(&value.len());
        violations.require(fits, "value", "must be 1 to 4096 bytes on one line");
        let terms =
            mutation::terms("SetCgroupValue", &bare, &name, [&uid, &etag, &request_id], validate_only, violations)?;
        let Some(key) = parsed else {
            return Err(Refusal::Internal("a key that was neither taken nor refused".to_owned()));
        };
        let record = self.find(&name)?.view();
        let journal = |error| Refusal::Journal { name: name.clone(), error };
        if let Some(request) = terms.request.clone()
            && self.registry().journal().request(request).await.map_err(journal)?.is_some()
        {
            return self.in_cgroup(&record, move |cgroup| cgroup.value(&key)).await;
        }
        let refused = |error| Refusal::Command { name: name.clone(), error };
        terms.precondition.check(&record).map_err(refused)?;
        if validate_only {
            let check = move |cgroup: &Cgroup| cgroup.check_value(&key, &value).and_then(|()| cgroup.value(&key));
            return self.in_cgroup(&record, check).await;
        }
        tracing::info!(container = name, key = key.name(), value, "a value of its cgroup is set");
        let now = self.in_cgroup(&record, move |cgroup| cgroup.set_value(&key, &value)).await?;
        if terms.request.is_some() {
            let change = Change::None(Box::new((*record).clone()));
            self.registry().journal().commit(Commit { change, request: terms.request }).await.map_err(journal)?;
        }
        Ok(now)
    }

    /// Does something with the cgroup of a container that runs.
    async fn in_cgroup(
        &self,
        record: &Record,
        work: impl FnOnce(&Cgroup) -> Result<Value, AccessError> + Send + 'static,
    ) -> Result<Value, Refusal> {
        let (name, state) = (record.name().to_owned(), record.state.visible());
        let absent = |why| Refusal::Command { name: name.clone(), error: CommandError::WrongState { state, why } };
        if !record.state.is_live() {
            return Err(absent("it does not run, so it has no cgroup"));
        }
        let host = self.registry().host().clone();
        let path = record.cgroup_path().to_owned();
        let version = host.hierarchies.version().to_string();
        let done = blocking::run(move || work(&cgroup::open(&host.hierarchies, &path)?));
        match done.await.map_err(|error| Refusal::Internal(error.to_string()))? {
            Ok(value) => Ok(value),
            Err(AccessError::Unsupported(why)) => {
                let violations = vec![FieldViolation::new("key", why)];
                Err(Refusal::Unsupported { violations, controller: String::new(), cgroup_version: version })
            }
            Err(error @ AccessError::ReadOnly(_)) => Err(field("key", &error)),
            Err(error @ (AccessError::Value(_) | AccessError::Refused { .. })) => Err(field("value", &error)),
            Err(AccessError::Cgroup(error)) if error.is_gone() => Err(absent("its cgroup is being made or removed")),
            Err(error @ (AccessError::TooLong(_) | AccessError::Cgroup(_))) => {
                Err(Refusal::Internal(format!("a value of the cgroup of {name:?}: {}", causes(&error))))
            }
        }
    }
}

fn parse(key: &str, violations: &mut Violations) -> Option<Key> {
    Key::parse(key).map_err(|error| violations.add("key", error.to_string())).ok()
}

fn field(name: &str, error: &AccessError) -> Refusal {
    Refusal::Fields(vec![FieldViolation::new(name, error.to_string())])
}
