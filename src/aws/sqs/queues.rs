//! CreateQueue, GetQueueUrl, ListQueues, Get/SetQueueAttributes, DeleteQueue, PurgeQueue.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::address::QueueAddress;
use super::address::is_account;
use super::attributes;
use super::attributes::Given;
use super::context::Context;
use super::context::answer;
use super::context::refusal;
use super::errors;
use super::redrive::RedrivePolicy;
use super::settings;
use super::settings::Told;
use super::types::AttributesAnswer;
use super::types::CreateQueue;
use super::types::GetQueueAttributes;
use super::types::GetQueueUrl;
use super::types::ListQueues;
use super::types::ListQueuesAnswer;
use super::types::QueueRequest;
use super::types::QueueUrlAnswer;
use super::types::SetQueueAttributes;
use super::types::required;
use crate::auth::Action;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::invalid_parameter;
use crate::core::declare::Declared;
use crate::core::declare::DeleteIf;
use crate::core::model::names::QueueName;
use crate::core::queue::Queue;
use crate::core::queue::clear::Purge;

/// Any of them lets a caller see that a queue exists.
const ANY: [Action; 3] = [Action::Read, Action::Write, Action::Configure];
/// Most queue URLs of an answer.
const MAX_RESULTS: i64 = 1_000;

/// Makes a queue, or finds the one that has the same attributes.
pub(super) async fn create(context: Context<'_>, request: CreateQueue) -> Result<Value, AwsError> {
    let name = required(request.queue_name, "QueueName")?;
    let attributes = request.attributes.unwrap_or_default();
    let given = Given::parse(&attributes)?;
    attributes::check_queue_name(&name)?;
    let address = context.own(&name);
    let vhost = context.vhost(&address.account)?;
    context.permit_any(&vhost, &[Action::Configure], &name)?;
    if let Some(Some(policy)) = &given.redrive {
        check_redrive(context, &address, policy)?;
    }
    let now = context.now();
    context
        .gateway
        .recent
        .check_created(vhost.name().as_str(), &name, now)?;
    let queue_name =
        QueueName::parse(&name).map_err(|error| invalid_parameter(error.to_string()))?;
    let tags = request.tags.unwrap_or_default();
    let declared = context
        .core()
        .declare_queue(
            &vhost,
            &queue_name,
            || settings::native(&given, tags, now),
            now,
        )
        .map_err(|error| refusal(&error))?;
    let mut lsn = declared.lsn;
    if let Declared::Existing(queue) = declared.value {
        let holds = queue.settings();
        if let Some(attribute) = settings::difference(&holds, &given, &address) {
            let text = format!(
                "A queue already exists with the same name and a different value for attribute {attribute}"
            );
            return Err(AwsError::new(&errors::QUEUE_NAME_EXISTS, text));
        }
        // The first word of this door about another's queue sets what it says, and makes it durable.
        if Told::of(&holds).is_none() || !holds.durable {
            let changed =
                context
                    .core()
                    .update_queue(&queue, |s| settings::change(s, &given, now), now);
            lsn = changed.map_err(|error| refusal(&error))?.lsn.or(lsn);
        }
    }
    context.written(lsn).await?;
    answer(QueueUrlAnswer {
        queue_url: context.url(&address),
    })
}

/// A dead-letter queue must be another one that exists in the same account, allows its use, and is the
/// caller's to write to.
fn check_redrive(
    context: Context<'_>,
    source: &QueueAddress,
    policy: &RedrivePolicy,
) -> Result<(), AwsError> {
    let fail = |reason: &str| errors::invalid_value("RedrivePolicy", policy.to_text(), reason);
    if policy.target.account != source.account {
        return Err(fail(
            "Dead-letter target owner should be same as the source.",
        ));
    }
    if policy.target == *source {
        return Err(fail("Dead letter target must not be the source itself."));
    }
    let vhost = context.vhost(&source.account)?;
    let target = vhost
        .queue(&policy.target.name)
        .map_err(|_| fail("Dead letter target does not exist."))?;
    context.permit_any(&vhost, &[Action::Write], &policy.target.name)?;
    if !target.settings().durable {
        // What was promised to be kept would be lost there with the next restart.
        return Err(fail("Dead letter target is not durable."));
    }
    if !Told::redrive_allow(Told::of(&target.settings()).as_ref()).allows(source) {
        return Err(fail(
            "The source queue is not allowed by the dead-letter queue's RedriveAllowPolicy.",
        ));
    }
    Ok(())
}

/// The URL of a queue that exists.
pub(super) fn get_url(context: Context<'_>, request: GetQueueUrl) -> Result<Value, AwsError> {
    let name = required(request.queue_name, "QueueName")?;
    let mut address = context.own(&name);
    if let Some(owner) = request.owner.filter(|owner| !owner.is_empty()) {
        if !is_account(&owner) {
            return Err(errors::invalid_value(
                "QueueOwnerAWSAccountId",
                owner,
                "It is not an account id.",
            ));
        }
        address.account = owner;
    }
    let found = context.find(address, &ANY)?;
    answer(QueueUrlAnswer {
        queue_url: context.url(&found.address),
    })
}

/// URLs of the queues that the caller may see, by name.
pub(super) fn list(context: Context<'_>, request: ListQueues) -> Result<Value, AwsError> {
    if let Some(most) = request
        .max_results
        .filter(|most| !(1..=MAX_RESULTS).contains(most))
    {
        let reason = "MaxResults must be an integer between 1 and 1000.";
        return Err(errors::invalid_value("MaxResults", most, reason));
    }
    let most = usize::try_from(request.max_results.unwrap_or(MAX_RESULTS)).unwrap_or(1);
    let prefix = request.queue_name_prefix.unwrap_or_default();
    let after = match &request.next_token {
        Some(token) => Some(read_token(token)?),
        None => None,
    };
    let vhost = context.vhost(&context.caller.account)?;
    let mut names = Vec::new();
    let mut from = after
        .clone()
        .filter(|after| *after > prefix)
        .unwrap_or_else(|| prefix.clone());
    // In portions, because the caller may not see them all.
    'portions: loop {
        let portion = vhost.queues_from(&from, most + 1);
        let is_last = portion.len() <= most;
        for queue in &portion {
            let name = queue.name().as_str();
            if !name.starts_with(prefix.as_str()) || names.len() > most {
                break 'portions;
            }
            let is_new = after.as_deref().is_none_or(|after| name > after);
            if is_new
                && names
                    .last()
                    .is_none_or(|last: &String| last.as_str() < name)
                && is_seen(context, queue)
            {
                names.push(name.to_owned());
            }
        }
        match portion.last() {
            Some(last) if !is_last => from = format!("{}\0", last.name()),
            Some(_) | None => break,
        }
    }
    let has_more = names.len() > most;
    names.truncate(most);
    let next = names
        .last()
        .filter(|_| has_more && request.max_results.is_some());
    let next_token = next.map(|last| URL_SAFE_NO_PAD.encode(last));
    let queue_urls = names
        .iter()
        .map(|name| context.url(&context.own(name)))
        .collect();
    answer(ListQueuesAnswer {
        queue_urls,
        next_token,
    })
}

fn is_seen(context: Context<'_>, queue: &Queue) -> bool {
    let Some(identity) = &context.caller.identity else {
        return true;
    };
    let auth = &context.gateway.auth;
    let vhost = queue.vhost().as_str();
    ANY.iter().any(|action| {
        auth.permit(&identity.user, vhost, *action, queue.name().as_str())
            .is_ok()
    })
}

fn read_token(token: &str) -> Result<String, AwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| invalid_parameter("Invalid or expired next token."))
}

/// What a queue is and holds.
pub(super) fn get_attributes(
    context: Context<'_>,
    request: GetQueueAttributes,
) -> Result<Value, AwsError> {
    let url = required(request.queue_url, "QueueUrl")?;
    let asked = request.attribute_names.unwrap_or_default();
    attributes::check_asked(&asked)?;
    let found = context.find(QueueAddress::from_url(&url)?, &ANY)?;
    let region = &context.caller.region;
    let started_ms = context.gateway.clock.started_ms();
    let mut shown = settings::show(&found.queue.settings(), &found.address, region, started_ms);
    let counts = found.queue.counts();
    for (name, value) in [
        ("ApproximateNumberOfMessages", counts.ready.to_string()),
        (
            "ApproximateNumberOfMessagesNotVisible",
            counts.leased.to_string(),
        ),
        (
            "ApproximateNumberOfMessagesDelayed",
            counts.delayed.to_string(),
        ),
        ("QueueArn", found.address.to_arn(region)),
    ] {
        shown.insert(name.to_owned(), value);
    }
    if !asked.iter().any(|name| name == "All") {
        shown.retain(|name, _| asked.contains(name));
    }
    answer(AttributesAnswer { attributes: shown })
}

/// Changes a queue's attributes.
pub(super) async fn set_attributes(
    context: Context<'_>,
    request: SetQueueAttributes,
) -> Result<Value, AwsError> {
    let url = required(request.queue_url, "QueueUrl")?;
    let given = Given::parse(&required(request.attributes, "Attributes")?)?;
    let found = context.find(QueueAddress::from_url(&url)?, &[Action::Configure])?;
    if let Some(Some(policy)) = &given.redrive {
        check_redrive(context, &found.address, policy)?;
    }
    let now = context.now();
    let changed =
        context
            .core()
            .update_queue(&found.queue, |s| settings::change(s, &given, now), now);
    context
        .written(changed.map_err(|error| refusal(&error))?.lsn)
        .await?;
    Ok(Value::Null)
}

/// Deletes a queue with all that is in it.
pub(super) async fn delete(context: Context<'_>, request: QueueRequest) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url, Action::Configure)?;
    let now = context.now();
    let deleted = context
        .core()
        .delete_queue(&found.vhost, &found.queue, DeleteIf::default(), now);
    let deleted = deleted.map_err(|error| refusal(&error))?;
    context
        .gateway
        .recent
        .deleted(found.vhost.name().as_str(), &found.address.name, now);
    context.written(deleted.lsn).await?;
    Ok(Value::Null)
}

/// Empties a queue, leased and delayed messages included.
pub(super) async fn purge(context: Context<'_>, request: QueueRequest) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url, Action::Read)?;
    let now = context.now();
    context
        .gateway
        .recent
        .purge(found.vhost.name().as_str(), &found.address.name, now)?;
    let purged = context
        .core()
        .purge(&found.queue, Purge::All, now)
        .map_err(|error| refusal(&error))?;
    context.written(purged.lsn).await?;
    Ok(Value::Null)
}
