//! What each operation promises, and how it is looked at.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, exit, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use crate::case::Case;
use crate::operation::{Operation, hook_log, sleeps, updated};

impl Case {
    /// Checks what was promised.
    pub(crate) async fn check(&self, api: &Api, agent: &Agent) {
        let name = &self.name;
        match self.operation {
            Operation::Create => assert_eq!(state(&api.get(name).await.unwrap()), ContainerState::Created),
            Operation::Run | Operation::Start => {
                let container = api.get(name).await.unwrap();
                assert_eq!((state(&container), container.status.unwrap().attempt), (ContainerState::Running, 1));
            }
            Operation::Batch => self.states(api, ContainerState::Running).await.unwrap(),
            Operation::Resize => {
                let told = api.get(name).await.unwrap().spec.unwrap().resources.unwrap().memory.unwrap();
                assert_eq!((told.max_bytes, self.memory_limit(api).await.as_str()), (Some(32 << 20), "33554432"));
                self.is_untouched(api).await;
            }
            Operation::Update => self.is_updated(api).await,
            Operation::Freeze => self.is_now(api, ContainerState::Frozen).await,
            Operation::Thaw => self.is_now(api, ContainerState::Running).await,
            Operation::Freeze => self.is_now(api, ContainerState::Frozen).await,
            Operation::Thaw => self.is_now(api, ContainerState::Running).await,
            Operation::Stop => self.ended(api, ExitReason::Signaled, 15).await,
            Operation::Kill => self.ended(api, ExitReason::Signaled, 9).await,
            Operation::Delete | Operation::Ephemeral => {
                assert_eq!(api.get(name).await.unwrap_err().code(), tonic::Code::NotFound);
            }
            Operation::Reserve => assert_eq!(self.free(api).await, Some(3)),
            Operation::Draw => assert_eq!(self.free(api).await, Some(2)),
            Operation::Release => assert_eq!(self.free(api).await, None),
            Operation::Restart => {
                let ended = exit(&api.get(name).await.unwrap());
                assert_eq!((ended.reason(), ended.signal, ended.attempt), (ExitReason::Signaled, 9, 1));
            }
            Operation::Probe => self.is_untouched(api).await,
            Operation::Exec => {
                // However often it was asked for.
                assert_eq!(self.exec(api, "cat /tmp/execs", "").await.unwrap(), b"once\n");
                self.is_untouched(api).await;
            }
            Operation::Value => {
                self.limit_is_told(api).await;
                assert_eq!(self.memory_limit(api).await, (40_u64 << 20).to_string());
                self.is_untouched(api).await;
            }
            Operation::Drift => self.is_held_again(api).await,
            Operation::Device => {
                assert_eq!(self.told_devices(api).await, 1);
                self.devices_are_told(api).await;
                self.is_untouched(api).await;
            }
            Operation::Hooks => {
                self.ended(api, ExitReason::Exited, 0).await;
                let log = std::fs::read_to_string(hook_log(agent)).unwrap();
                for moment in ["pre-start", "post-stop"] {
                    assert!(log.contains(&format!("{moment} {name} 1\n")), "{log}");
                }
            }
        }
    }

    /// The limit is what it was, and that it was not is told.
    async fn is_held_again(&self, api: &Api) {
        let drift = api.get(&self.name).await.unwrap().status.unwrap().limit_drift.unwrap();
        assert_eq!((drift.count, drift.repaired, drift.message.as_str()), (1, true, ""));
        self.limit_is_told(api).await;
        assert_eq!(self.memory_limit(api).await, (64_u64 << 20).to_string());
        self.is_untouched(api).await;
    }

    /// Once, however often it was asked for.
    async fn is_updated(&self, api: &Api) {
        let container = api.get(&self.name).await.unwrap();
        assert_eq!((state(&container), container.spec.as_ref()), (ContainerState::Created, Some(&updated())));
        assert_eq!(container.status.unwrap().id_range, None);
        let filter = EventFilter { name: self.name.clone(), ..Default::default() };
        let request = ListEventsRequest { filter: Some(filter), ..Default::default() };
        let events = api.events.clone().list_events(request).await.unwrap().into_inner().events;
        assert_eq!(events.iter().filter(|event| event.kinds().any(|kind| kind == EventKind::Updated)).count(), 1);
    }

    /// What must hold though something of the operation has failed: a container that was not asked to end has not, and limits are those that are told.
    pub(crate) async fn is_spared(&self, api: &Api) {
        match self.operation {
            Operation::Resize | Operation::Value | Operation::Drift => {
                self.limit_is_told(api).await;
                self.is_untouched(api).await;
            }
            Operation::Device => {
                self.devices_are_told(api).await;
                self.is_untouched(api).await;
            }
            Operation::Freeze | Operation::Thaw | Operation::Probe | Operation::Exec => self.is_untouched(api).await,
            // The one or the other, whole.
            Operation::Update => {
                let container = api.get(&self.name).await.unwrap();
                let (spec, ids) = (container.spec.unwrap(), container.status.unwrap().id_range);
                assert!(spec == sleeps() && ids.is_some() || spec == updated() && ids.is_none(), "{spec:?} {ids:?}");
            }
            Operation::Create
            | Operation::Run
            | Operation::Start
            | Operation::Stop
            | Operation::Kill
            | Operation::Delete
            | Operation::Ephemeral
            | Operation::Batch
            | Operation::Reserve
            | Operation::Draw
            | Operation::Release
            | Operation::Restart
            | Operation::Hooks => {}
        }
    }

    /// What is told is what the kernel has, by the time of the next audit.
    async fn limit_is_told(&self, api: &Api) {
        eventually_async("the limit is the one that is told", || async {
            let status = api.get(&self.name).await.unwrap().status.unwrap();
            let told = status.effective.unwrap().memory.unwrap().max_bytes.unwrap();
            (self.memory_limit(api).await == told.to_string()).then_some(())
        })
        .await;
    }

    async fn is_now(&self, api: &Api, wanted: ContainerState) {
        assert_eq!(state(&api.get(&self.name).await.unwrap()), wanted);
        self.is_untouched(api).await;
    }

    /// Devices that it is told to have.
    async fn told_devices(&self, api: &Api) -> usize {
        api.get(&self.name).await.unwrap().spec.unwrap().resources.unwrap().devices.len()
    }

    /// What is told is what opens inside, once what is under way is over.
    async fn devices_are_told(&self, api: &Api) {
        eventually_async("the device opens if it is told to", || async {
            let text = "[ -e /dev/log ] && : >/dev/log && echo opens || [ -e /dev/log ] || echo none";
            let found = self.exec(api, text, "").await.unwrap();
            let expected: &[u8] = if self.told_devices(api).await == 1 { b"opens\n" } else { b"none\n" };
            (found == expected).then_some(())
        })
        .await;
    }

    /// As the kernel has it.
    async fn memory_limit(&self, api: &Api) -> String {
        let name = &self.name;
        let v2 = api.cgroup_value(name, "memory.max").await;
        let value = v2.or(api.cgroup_value(name, "memory.limit_in_bytes").await);
        value.unwrap().value.trim().to_owned()
    }

    async fn is_untouched(&self, api: &Api) {
        let status = api.get(&self.name).await.unwrap().status.unwrap();
        assert_eq!((Some(status.pid), status.attempt), (self.before, 1));
    }

    async fn ended(&self, api: &Api, why: ExitReason, signal: i32) {
        let container = api.get(&self.name).await.unwrap();
        let ended = exit(&container);
        assert_eq!((state(&container), ended.reason(), ended.signal), (ContainerState::Stopped, why, signal));
        assert!(why != ExitReason::Exited || ended.code == 7, "{ended:?}");
        assert_eq!(ended.attempt, 1);
    }

    /// Places that are left in the reservation, if there is one.
    async fn free(&self, api: &Api) -> Option<u32> {
        let request = GetReservationRequest { name: self.name.clone() };
        let found = api.reservations.clone().get_reservation(request).await.ok()?;
        Some(found.into_inner().reservation.unwrap().free_containers)
    }
}
