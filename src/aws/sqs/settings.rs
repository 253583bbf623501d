//! SQS attributes and a queue's settings, both ways.
//!
//! What the core enforces is in its settings; what only SQS knows stands in the queue's vocabulary under
//! `sqs`, with everything that this door was told, so that equivalence compares only that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use super::address::QueueAddress;
use super::attributes;
use super::attributes::Given;
use super::attributes::NumberRule;
use super::redrive;
use super::redrive::RedriveAllowPolicy;
use super::redrive::RedrivePolicy;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;
use crate::core::queue::settings::DeadLetterTarget;
use crate::core::queue::settings::QueueSettings;

/// This door's key in a queue's vocabulary.
const VOCABULARY: &str = "sqs";

/// What this door was told about a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// When the queue was first seen by this door.
    pub(super) created_ms: u64,
    /// When this door last changed it.
    pub(super) modified_ms: u64,
    /// Whether CreateQueue made it: then AWS' defaults hold for what was not said.
    pub(super) is_native: bool,
    /// Numbers by attribute name.
    pub(super) numbers: BTreeMap<String, u32>,
    /// Texts by attribute name.
    pub(super) texts: BTreeMap<String, String>,
    /// Account and region of the RedrivePolicy's ARN.
    pub(super) redrive_arn: Option<(String, String)>,
    /// The RedriveAllowPolicy as it came.
    pub(super) redrive_allow: Option<String>,
    /// Tags of CreateQueue.
    pub(super) tags: BTreeMap<String, String>,
}

impl Told {
    /// What a queue's vocabulary holds; `None` when this door was never told anything.
    pub(super) fn of(settings: &QueueSettings) -> Option<Self> {
        settings.vocabulary.get(VOCABULARY)
    }

    /// A number that holds for a queue.
    pub(super) fn number(told: Option<&Self>, rule: &NumberRule) -> u32 {
        told.and_then(|told| told.numbers.get(rule.name))
            .copied()
            .unwrap_or(rule.default)
    }

    /// Who may use the queue for dead letters.
    pub(super) fn redrive_allow(told: Option<&Self>) -> RedriveAllowPolicy {
        let text = told
            .and_then(|told| told.redrive_allow.as_deref())
            .unwrap_or_default();
        // It was checked when it came.
        redrive::parse_redrive_allow(text).unwrap_or_default()
    }
}

/// The numbers alone of [`Told`].
#[derive(Deserialize)]
struct Numbers<'a> {
    #[serde(borrow, default)]
    numbers: BTreeMap<&'a str, u32>,
}

/// A number that holds for a queue, read where it lies: every send and receive asks for one.
pub(super) fn number(settings: &QueueSettings, rule: &NumberRule) -> u32 {
    let told: Option<Numbers<'_>> = settings.vocabulary.get(VOCABULARY);
    told.and_then(|told| told.numbers.get(rule.name).copied())
        .unwrap_or(rule.default)
}

/// The settings of a queue that CreateQueue makes.
pub(super) fn native(
    given: &Given,
    tags: BTreeMap<String, String>,
    now: CoreTime,
) -> QueueSettings {
    let mut settings = QueueSettings::new(true);
    let told = Told {
        created_ms: now.as_ms(),
        is_native: true,
        tags,
        ..Told::default()
    };
    settings.retention_ms = Some(u64::from(attributes::RETENTION.default) * 1_000);
    write(&mut settings, told, given, now);
    settings
}

/// Changes a queue's settings by what this door is told now. The queue becomes durable, and so does what
/// is sent to it: SQS knows nothing else.
pub(super) fn change(settings: &mut QueueSettings, given: &Given, now: CoreTime) {
    let told = Told::of(settings).unwrap_or_else(|| Told {
        created_ms: now.as_ms(),
        ..Told::default()
    });
    write(settings, told, given, now);
}

fn write(settings: &mut QueueSettings, mut told: Told, given: &Given, now: CoreTime) {
    settings.durable = true;
    settings.force_durable = true;
    told.modified_ms = now.as_ms();
    for (name, number) in &given.numbers {
        told.numbers.insert((*name).to_owned(), *number);
    }
    if let Some(seconds) = given.number(&attributes::DELAY) {
        settings.delay_ms = u64::from(seconds) * 1_000;
    }
    if let Some(seconds) = given.number(&attributes::RETENTION) {
        settings.retention_ms = Some(u64::from(seconds) * 1_000);
    }
    for (name, text) in &given.texts {
        if text.is_empty() {
            told.texts.remove(*name);
        } else {
            told.texts.insert((*name).to_owned(), text.clone());
        }
    }
    match &given.redrive {
        None => {}
        Some(None) => {
            settings.receive_limit = None;
            settings.dead_letter.remove(&Cause::ReceiveLimit);
            told.redrive_arn = None;
        }
        Some(Some(policy)) => {
            settings.receive_limit = Some(policy.max_receive_count);
            let target = DeadLetterTarget::Queue(policy.target.name.clone());
            settings.dead_letter.insert(Cause::ReceiveLimit, target);
            told.redrive_arn = Some((policy.target.account.clone(), policy.region.clone()));
        }
    }
    if let Some((_, text)) = &given.redrive_allow {
        told.redrive_allow = (!text.is_empty()).then(|| text.clone());
    }
    settings.vocabulary.insert(VOCABULARY, &told);
}

/// The redrive policy that holds, as this door prints it.
pub(super) fn redrive_policy(
    settings: &QueueSettings,
    own: &QueueAddress,
    region: &str,
) -> Option<RedrivePolicy> {
    let max_receive_count = settings.receive_limit?;
    let DeadLetterTarget::Queue(name) = settings.dead_letter.get(&Cause::ReceiveLimit)? else {
        return None;
    };
    let told = Told::of(settings).and_then(|told| told.redrive_arn);
    let (account, region) = told.unwrap_or_else(|| (own.account.clone(), region.to_owned()));
    Some(RedrivePolicy {
        target: QueueAddress {
            account,
            name: name.clone(),
        },
        region,
        max_receive_count,
    })
}

/// The first given attribute whose value differs from what holds, for CreateQueue on a queue that
/// exists: only what is given is compared.
pub(super) fn difference(
    settings: &QueueSettings,
    given: &Given,
    own: &QueueAddress,
) -> Option<&'static str> {
    let told = Told::of(settings)?;
    for (name, number) in &given.numbers {
        let rule = attributes::number_rule(name)?;
        if Told::number(Some(&told), rule) != *number {
            return Some(rule.name);
        }
    }
    for (name, text) in &given.texts {
        let holds = told.texts.get(*name).map_or("", String::as_str);
        if holds != text && !(*name == "SqsManagedSseEnabled" && holds.is_empty()) {
            return Some(name);
        }
    }
    let holds = redrive_policy(settings, own, "");
    if let Some(policy) = &given.redrive {
        let same = match (policy, &holds) {
            (Some(a), Some(b)) => {
                a.target == b.target && a.max_receive_count == b.max_receive_count
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            return Some("RedrivePolicy");
        }
    }
    if let Some((policy, _)) = &given.redrive_allow
        && *policy != Told::redrive_allow(Some(&told))
    {
        return Some("RedriveAllowPolicy");
    }
    None
}

/// Every attribute that GetQueueAttributes can return but for counts and the ARN.
pub(super) fn show(
    settings: &QueueSettings,
    own: &QueueAddress,
    region: &str,
    started_ms: u64,
) -> BTreeMap<String, String> {
    let told = Told::of(settings);
    let told = told.as_ref();
    let mut shown = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        shown.insert(name.to_owned(), value);
    };
    for rule in [
        &attributes::VISIBILITY_TIMEOUT,
        &attributes::MAXIMUM_MESSAGE_SIZE,
        &attributes::RECEIVE_WAIT,
    ] {
        put(rule.name, Told::number(told, rule).to_string());
    }
    put(
        attributes::DELAY.name,
        (settings.delay_ms / 1_000).to_string(),
    );
    // Without retention nothing vanishes by age: the longest that AWS knows is the nearest truth.
    let longest = u64::from(*attributes::RETENTION.range.end());
    put(
        attributes::RETENTION.name,
        settings
            .retention_ms
            .map_or(longest, |ms| ms / 1_000)
            .to_string(),
    );
    // A queue that this door never saw has no date; the broker's start stands for it.
    let created = told.map_or(started_ms, |told| told.created_ms);
    put("CreatedTimestamp", (created / 1_000).to_string());
    put(
        "LastModifiedTimestamp",
        (told.map_or(created, |told| told.modified_ms) / 1_000).to_string(),
    );
    if let Some(policy) = redrive_policy(settings, own, region) {
        put("RedrivePolicy", policy.to_text());
    }
    let Some(told) = told else {
        put("SqsManagedSseEnabled", "false".to_owned());
        return shown;
    };
    if let Some(text) = &told.redrive_allow {
        put("RedriveAllowPolicy", text.clone());
    }
    for (name, text) in &told.texts {
        put(name, text.clone());
    }
    if told.texts.contains_key("KmsMasterKeyId") {
        put(
            attributes::KMS_REUSE.name,
            Told::number(Some(told), &attributes::KMS_REUSE).to_string(),
        );
    }
    if !told.texts.contains_key("SqsManagedSseEnabled") {
        // On by default in AWS; here nothing is encrypted at rest, and saying so is honest.
        put("SqsManagedSseEnabled", "false".to_owned());
    }
    shown
}
