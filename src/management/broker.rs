//! What only the running broker can tell or do.

use hyper::StatusCode;

use crate::transport::http;

use super::Management;
use super::Operator;
use super::answer::Answer;
use super::answer::Refusal;
use super::answer::json;

impl Management {
    pub(super) fn operator(&self) -> Result<&dyn Operator, Refusal> {
        self.operator.as_deref().ok_or_else(Refusal::no_broker)
    }

    pub(super) fn health(&self) -> Answer {
        Ok(json(StatusCode::OK, &self.operator()?.health()))
    }

    pub(super) fn config(&self) -> Answer {
        Ok(http::text(
            StatusCode::OK,
            "application/toml",
            self.operator()?.effective_config(),
        ))
    }

    pub(super) fn reload(&self) -> Answer {
        let reloaded = self.operator()?.reload();
        let status = if reloaded.problems.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        Ok(json(status, &reloaded))
    }
}
