//! Reply codes of close and return (0-9-1 §1.5 "constants"), under the names that RabbitMQ prints.

/// Why a method, a channel or a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyCode {
    /// 200: a close without a fault.
    Success,
    /// 311: the content is larger than the peer takes.
    ContentTooLarge,
    /// 312: a mandatory message found no queue; only in basic.return.
    NoRoute,
    /// 313: an immediate message found no consumer.
    NoConsumers,
    /// 320: an operator or a shutdown closed the connection.
    ConnectionForced,
    /// 402: the virtual host is not known or not usable.
    InvalidPath,
    /// 403: the user may not do this.
    AccessRefused,
    /// 404: the queue or exchange does not exist.
    NotFound,
    /// 405: another connection owns the queue.
    ResourceLocked,
    /// 406: the state or the arguments do not allow it.
    PreconditionFailed,
    /// 501: bytes that are not a frame.
    FrameError,
    /// 502: a frame whose fields are malformed.
    SyntaxError,
    /// 503: a method that is unknown, or not this peer's to send.
    CommandInvalid,
    /// 504: a channel that is not open, or is already.
    ChannelError,
    /// 505: a frame of a kind that cannot come now.
    UnexpectedFrame,
    /// 506: the peer ran out of something.
    ResourceError,
    /// 530: refused whatever the permissions.
    NotAllowed,
    /// 540: known, but not offered.
    NotImplemented,
    /// 541: a fault of the broker itself.
    InternalError,
}

impl ReplyCode {
    /// Every code, in the order of the numbers.
    pub const ALL: [Self; 19] = [
        Self::Success,
        Self::ContentTooLarge,
        Self::NoRoute,
        Self::NoConsumers,
        Self::ConnectionForced,
        Self::InvalidPath,
        Self::AccessRefused,
        Self::NotFound,
        Self::ResourceLocked,
        Self::PreconditionFailed,
        Self::FrameError,
        Self::SyntaxError,
        Self::CommandInvalid,
        Self::ChannelError,
        Self::UnexpectedFrame,
        Self::ResourceError,
        Self::NotAllowed,
        Self::NotImplemented,
        Self::InternalError,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Success => 200,
            Self::ContentTooLarge => 311,
            Self::NoRoute => 312,
            Self::NoConsumers => 313,
            Self::ConnectionForced => 320,
            Self::InvalidPath => 402,
            Self::AccessRefused => 403,
            Self::NotFound => 404,
            Self::ResourceLocked => 405,
            Self::PreconditionFailed => 406,
            Self::FrameError => 501,
            Self::SyntaxError => 502,
            Self::CommandInvalid => 503,
            Self::ChannelError => 504,
            Self::UnexpectedFrame => 505,
            Self::ResourceError => 506,
            Self::NotAllowed => 530,
            Self::NotImplemented => 540,
            Self::InternalError => 541,
        }
    }

    /// The name that stands before the explanation in every reply text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "REPLY_SUCCESS",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Finds the code of a number; `None` for one that the protocol does not define.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reply| reply.code() == code)
    }

    /// Whether the code ends the whole connection; the others end one channel, and 200 nothing.
    pub const fn is_hard(self) -> bool {
        match self {
            Self::ConnectionForced
            | Self::InvalidPath
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => true,
            Self::Success
            | Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => false,
        }
    }

    /// The reply text that clients look for: `NOT_FOUND - no queue 'q' in vhost '/'`.
    pub fn text(self, explanation: &str) -> String {
        format!("{} - {explanation}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_its_code_again() {
        for reply in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_code(reply.code()), Some(reply));
        }
        assert_eq!(ReplyCode::from_code(0), None);
        assert_eq!(ReplyCode::from_code(500), None);
    }

    #[test]
    fn hard_and_soft_are_as_the_specification_lists_them() {
        let hard: Vec<u16> = ReplyCode::ALL
            .into_iter()
            .filter(|reply| reply.is_hard())
            .map(ReplyCode::code)
            .collect();
        assert_eq!(
            hard,
            [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541]
        );
    }

    #[test]
    fn a_reply_text_is_name_dash_explanation() {
        assert_eq!(
            ReplyCode::NotFound.text("no queue 'q' in vhost '/'"),
            "NOT_FOUND - no queue 'q' in vhost '/'"
        );
    }
}
