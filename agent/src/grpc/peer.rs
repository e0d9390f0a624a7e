//! Who may call: on the unix socket, root and the agent's own user.

use tonic::service::Interceptor;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use super::status::Refusal;

/// Looks at the peer of every call. The kernel vouches for it (unix(7), `SO_PEERCRED`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    own_uid: u32,
}

impl Check {
    pub(super) fn new() -> Self {
        Self { own_uid: tweendeck_runtime::host::effective_uid() }
    }

    fn allows(self, uid: u32) -> bool {
        uid == 0 || uid == self.own_uid
    }
}

impl Interceptor for Check {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(unix) = request.extensions().get::<UdsConnectInfo>() else {
            // TCP, which the configuration allows on loopback only.
            return Ok(request);
        };
        match unix.peer_cred.map(|peer| peer.uid()) {
            Some(uid) if self.allows(uid) => Ok(request),
            Some(uid) => {
                Err(Refusal::Denied(format!("user {uid} may not call: be root, or the agent's own user")).into())
            }
            None => Err(Refusal::Denied("the caller's user is not known".into()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_agents_user_may_call() {
        let check = Check { own_uid: 991 };
        assert!(check.allows(0) && check.allows(991));
        assert!(!check.allows(1000) && !check.allows(u32::MAX));
    }
}
