//! What takes long: a check, a backup. It is begun, asked after, and given up; one at a time.

use std::path::PathBuf;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::transport::http;

use super::Management;
use super::Task;
use super::answer::Answer;
use super::answer::Refusal;
use super::answer::json;
use super::answer::parse;

/// Where a backup goes.
#[derive(Deserialize)]
struct Target {
    /// As the broker sees it; absolute, for it does not know where whoever asks is.
    folder: PathBuf,
}

impl Management {
    pub(super) fn begin_check(&self) -> Answer {
        self.begin(Task::Check)
    }

    pub(super) fn begin_backup(&self, body: &Bytes) -> Answer {
        let Target { folder } = parse(body)?;
        if !folder.is_absolute() {
            return Err(Refusal::bad_request("the folder's path is not absolute"));
        }
        self.begin(Task::Backup(folder))
    }

    fn begin(&self, task: Task) -> Answer {
        self.operator()?.begin(task).map_err(Refusal::busy)?;
        Ok(http::empty(StatusCode::ACCEPTED))
    }

    pub(super) fn work(&self) -> Answer {
        match self.operator()?.work() {
            Some(work) => Ok(json(StatusCode::OK, &work)),
            None => Err(Refusal::not_found()),
        }
    }

    pub(super) fn give_up(&self) -> Answer {
        self.operator()?.give_up();
        Ok(http::empty(StatusCode::NO_CONTENT))
    }
}
