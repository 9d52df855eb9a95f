//! librdkafka's errors in the project's terms.

use qicore_data::{Error, ErrorKind, RetryAdvice};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// An error of the driver, for the operation that it failed.
pub(super) fn mapped(operation: &'static str, error: KafkaError) -> Error {
    let (code, message) = match &error {
        // The value may be a password.
        KafkaError::ClientConfig(_, _, name, _) => {
            let message = format!("librdkafka does not take the value of {name}");
            return Error::config(operation, message);
        }
        // Settings that do not go together.
        KafkaError::ClientCreation(_) | KafkaError::Subscription(_) => {
            return Error::config(operation, error.to_string());
        }
        KafkaError::Transaction(error) => (Some(error.code()), error.string()),
        error => (error.rdkafka_error_code(), error.to_string()),
    };
    let (kind, retry) = code.map_or((ErrorKind::Unavailable, RetryAdvice::Backoff), of_code);
    let mapped = Error::new(kind, operation, message).with_retry(retry);
    match kind {
        ErrorKind::Schema => mapped.with(
            "advice",
            "`qicore topics apply FILE.toml` makes the topics of a pipeline",
        ),
        _ => mapped,
    }
}

/// Whether it is about a group only. The driver looks for the group of a reader that has none too, and reads on without.
pub(super) fn is_of_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed)
}

/// What a code is about, and whether another try can help.
pub(super) fn of_code(code: Code) -> (ErrorKind, RetryAdvice) {
    use RetryAdvice::{Backoff, Never};
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SecurityDisabled => (ErrorKind::Unauthorized, Never),
        // Topics never lose partitions: a broker that has just been started does not know all of them yet.
        Code::UnknownPartition => (ErrorKind::Unavailable, Backoff),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic => (ErrorKind::Schema, Never),
        Code::MessageSizeTooLarge | Code::InvalidTimestamp | Code::InvalidRecord | Code::InvalidMessageSize => {
            (ErrorKind::Rejected, Never)
        }
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => (ErrorKind::Fenced, Never),
        Code::InvalidArgument
        | Code::InvalidConfig
        | Code::PolicyViolation
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions
        | Code::InvalidTransactionTimeout
        | Code::InvalidSessionTimeout
        | Code::InvalidGroupId
        | Code::InconsistentGroupProtocol => (ErrorKind::Config, Never),
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedCompressionType => {
            (ErrorKind::Unsupported, Never)
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut | Code::TimedOutQueue => {
            (ErrorKind::Timeout, Backoff)
        }
        Code::QueueFull => (ErrorKind::RateLimited, Backoff),
        _ => (ErrorKind::Unavailable, Backoff),
    }
}
