//! Messages as proto3 JSON, by the descriptors the contract carries.

use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::agent::Answer;
use crate::failure::Failure;

/// Turns answers into JSON. The descriptors are decoded once.
#[derive(Debug)]
pub(super) struct Json(DescriptorPool);

impl Json {
    pub(super) fn new() -> Result<Self, Failure> {
        let pool = DescriptorPool::decode(tweendeck_proto::FILE_DESCRIPTOR_SET);
        pool.map(Self).map_err(|error| Failure::Json(error.into()))
    }

    /// The message in one line.
    pub(super) fn line<M: Answer>(&self, message: &M) -> Result<String, Failure> {
        serde_json::to_string(&self.dynamic(message)?).map_err(|error| Failure::Json(error.into()))
    }

    /// The message indented.
    pub(super) fn document<M: Answer>(&self, message: &M) -> Result<String, Failure> {
        serde_json::to_string_pretty(&self.dynamic(message)?).map_err(|error| Failure::Json(error.into()))
    }

    fn dynamic<M: Answer>(&self, message: &M) -> Result<DynamicMessage, Failure> {
        let descriptor = self.0.get_message_by_name(M::NAME);
        let descriptor = descriptor.ok_or_else(|| Failure::Json(format!("there is no {}", M::NAME).into()))?;
        let mut dynamic = DynamicMessage::new(descriptor);
        dynamic.transcode_from(message).map_err(|error| Failure::Json(error.into()))?;
        Ok(dynamic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{self, Container, GetContainerResponse, watch_containers_response::Item};

    #[test]
    fn an_answer_is_proto3_json() {
        let container = Container {
            name: "web".to_owned(),
            create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            revision: 7,
            status: Some(v1::ContainerStatus { state: v1::ContainerState::Running.into(), ..Default::default() }),
            ..Default::default()
        };
        let text = Json::new().unwrap().line(&GetContainerResponse { container: Some(container) }).unwrap();
        let expected = r#"{"container":{"name":"web","status":{"state":"CONTAINER_STATE_RUNNING"},"createTime":"1970-01-01T00:00:00Z","revision":"7"}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn an_item_is_one_line() {
        let item = Some(Item::Bookmark(v1::Bookmark { sequence: 3 }));
        let response = v1::WatchContainersResponse { resume_token: "a:3\n".to_owned(), item };
        let text = Json::new().unwrap().line(&response).unwrap();
        assert_eq!(text, r#"{"resumeToken":"a:3\n","bookmark":{"sequence":"3"}}"#);
    }
}
