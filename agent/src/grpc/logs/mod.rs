//! `LogService`.

mod request;
mod stream;

use std::io;

use tonic::{Request, Response, Status};
use tweendeck_proto::v1::log_service_server::LogService;
use tweendeck_proto::v1::{ReadLogRequest, ReadLogResponse, StreamLogRequest};
use tweendeck_runtime::log::Reader;

use super::serve::Api;
use super::status::{LogRefusal, Refusal};
use crate::blocking;
use crate::logs::{self, Place};
use request::{Asked, Begin};

#[tonic::async_trait]
impl LogService for Api {
    async fn read_log(&self, request: Request<ReadLogRequest>) -> Result<Response<ReadLogResponse>, Status> {
        let request = request.into_inner();
        let (asked, _) = self.asked(Asked::read(&request)?, &request.name, &request.uid)?;
        let Asked { uid, begin, bounds, path, .. } = asked;
        let name = request.name;
        let read = blocking::run(move || {
            let mut reader = begin.reader(&path)?;
            let page = logs::read(&mut reader, &bounds)?;
            Ok::<_, io::Error>((page, reader.positions()))
        });
        let read = read.await.map_err(|error| Refusal::Internal(error.to_string()))?;
        let (page, positions) = read.map_err(|error| unreadable(name, &error))?;
        Ok(Response::new(ReadLogResponse {
            entries: page.entries,
            next_cursor: Place { uid, positions }.to_string(),
            at_end: page.at_end,
        }))
    }

    type StreamLogStream = stream::Items;

    async fn stream_log(&self, request: Request<StreamLogRequest>) -> Result<Response<stream::Items>, Status> {
        let request = request.into_inner();
        let (asked, handle) = self.asked(Asked::stream(&request)?, &request.name, &request.uid)?;
        Ok(Response::new(stream::begin(asked, handle, self.notifier().clone(), self.stopping())))
    }
}

impl Begin {
    /// A reader where it is to begin. Reads files, so it may block.
    fn reader(&self, path: &std::path::Path) -> io::Result<Reader> {
        let mut reader = Reader::new(path, self.positions());
        match self {
            Self::At(_) => {}
            Self::Last(_, count) => reader.seek_last(*count)?,
            Self::Since(_, since) => reader.seek_time(*since)?,
        }
        Ok(reader)
    }
}

fn unreadable(name: String, error: &io::Error) -> Refusal {
    Refusal::Log(LogRefusal::Unreadable { name, why: error.to_string() })
}
