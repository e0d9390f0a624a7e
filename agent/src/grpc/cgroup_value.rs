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
use crate::journal::Record;
use crate::workload::{CgroupValue, CommandError, Op};

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
        if validate_only {
            let record = self.find(&name)?.view();
            let refused = |error| Refusal::Command { name: name.clone(), error };
            terms.precondition.check(&record).map_err(refused)?;
            let check = move |cgroup: &Cgroup| cgroup.check_value(&key, &value).and_then(|()| cgroup.value(&key));
            return self.in_cgroup(&record, check).await;
        }
        let op = Op::SetCgroupValue(Box::new(CgroupValue { key: key.clone(), value }));
        match self.mutate(&name, op, terms).await {
            Ok(_) => self.in_cgroup(&self.find(&name)?.view(), move |cgroup| cgroup.value(&key)).await,
            Err(Refusal::Command { error: CommandError::CgroupValue(error), .. }) => {
                Err(self.refusal(&self.find(&name)?.view(), &error))
            }
            Err(refused) => Err(refused),
        }
    }

    /// Does something with the cgroup of a container that runs.
    async fn in_cgroup(
        &self,
        record: &Record,
        work: impl FnOnce(&Cgroup) -> Result<Value, AccessError> + Send + 'static,
    ) -> Result<Value, Refusal> {
        if !record.state.is_live() {
            return Err(absent(record, "it does not run, so it has no cgroup"));
        }
        let host = self.registry().host().clone();
        let path = record.cgroup_path().to_owned();
        let done = blocking::run(move || work(&cgroup::open(&host.hierarchies, &path)?));
        let done = done.await.map_err(|error| Refusal::Internal(error.to_string()))?;
        done.map_err(|error| self.refusal(record, &error))
    }

    fn refusal(&self, record: &Record, error: &AccessError) -> Refusal {
        match error {
            AccessError::Unsupported(why) => {
                let violations = vec![FieldViolation::new("key", why)];
                let cgroup_version = self.registry().host().hierarchies.version().to_string();
                Refusal::Unsupported { violations, controller: String::new(), cgroup_version }
            }
            AccessError::ReadOnly(_) => field("key", error),
            AccessError::Value(_) | AccessError::Refused { .. } => field("value", error),
            AccessError::Cgroup(gone) if gone.is_gone() => absent(record, "its cgroup is being made or removed"),
            AccessError::TooLong(_) | AccessError::Cgroup(_) => {
                Refusal::Internal(format!("a value of the cgroup of {:?}: {}", record.name(), causes(error)))
            }
        }
    }
}

fn absent(record: &Record, why: &'static str) -> Refusal {
    let error = CommandError::WrongState { state: record.state.visible(), why };
    Refusal::Command { name: record.name().to_owned(), error }
}

fn parse(key: &str, violations: &mut Violations) -> Option<Key> {
    Key::parse(key).map_err(|error| violations.add("key", error.to_string())).ok()
}

fn field(name: &str, error: &AccessError) -> Refusal {
    Refusal::Fields(vec![FieldViolation::new(name, error.to_string())])
}
