//! Events of the last 90 days.

use aws_lc_rs::digest::{SHA256, digest};
use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudtrail_api::{
    EventCategory, LookupAttribute, LookupAttributeKey, LookupEventsInput, LookupEventsOutput,
    Resource,
};
use kernel::audit::{AuditRecord, RECORDS};
use std::time::Duration;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;

/// How long events can be looked up.
///
/// AWS: LookupEvents ("the last 90 days").
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// AWS: LookupEvents (`MaxResults`, 50).
const PAGE_MAX: usize = 50;
/// Records that are read at once.
const READ_AT_ONCE: usize = 1000;
/// The first stretch of time that is searched, in milliseconds; each next one is twice as long.
const STRETCH_MS: i64 = 60_000;

/// A place among the records, the newest first.
type Place = (u64, String);

/// Lists management events, the newest first.
///
/// AWS: LookupEvents.
///
/// # Errors
///
/// [`Error::InvalidTimeRange`], [`Error::InvalidNextToken`].
pub(crate) async fn lookup_events(
    ctx: Ctx,
    input: LookupEventsInput,
) -> Result<LookupEventsOutput> {
    let size = input.max_results.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE_MAX);
    if let (Some(start), Some(end)) = (input.start_time, input.end_time)
        && start > end
    {
        return Err(Error::InvalidTimeRange);
    }
    let wanted = match input.lookup_attributes.as_slice() {
        [] => None,
        [one] => Some(one),
        _ => {
            return Err(Error::InvalidLookupAttributes(
                "You can specify only one lookup attribute.".to_owned(),
            ));
        }
    };
    if input.event_category == Some(EventCategory::Insight) {
        // Insights are not to be had here, so there are no events of theirs.
        return Ok(LookupEventsOutput::default());
    }
    ctx.kernel().settle_audit().await;
    let query = fingerprint(&input);
    let before = input.next_token.as_deref().map(|token| read_token(token, &query)).transpose()?;
    let oldest = ctx.now().as_millis() - i64::try_from(KEPT_FOR.as_millis()).unwrap_or(0);
    let from = input.start_time.map_or(oldest, |at| at.as_millis().max(oldest));
    // The end's second counts as a whole.
    let to = input.end_time.map_or(i64::MAX, |at| at.as_millis().saturating_add(999));
    let to = to.min(ctx.now().as_millis());
    let mut found = search(&ctx, wanted, (from, to), before, size + 1).await?;
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().map(|event| store::Record::key(&event.record));
    let next_token = last.filter(|_| more).map(|place| write_token(&place, &query));
    Ok(LookupEventsOutput { events: found.into_iter().map(to_wire).collect(), next_token })
}

/// The newest events of a range that lie before a place, in ever longer stretches of time.
async fn search(
    ctx: &Ctx,
    wanted: Option<&LookupAttribute>,
    (from, to): (i64, i64),
    before: Option<Place>,
    count: usize,
) -> Result<Vec<Event>> {
    let mut found: Vec<Event> = Vec::new();
    let newest = before.as_ref().and_then(|place| i64::try_from(place.0).ok());
    let mut end = newest.map_or(to, |newest| newest.min(to));
    let mut stretch = STRETCH_MS;
    while end >= from && found.len() < count {
        let start = end.saturating_sub(stretch).max(from);
        let mut part: Vec<Event> = Vec::new();
        for record in records(ctx, start, end).await? {
            let earlier = before.as_ref().is_none_or(|it| store::Record::key(&record) < *it);
            let event = Event::of(record);
            if earlier && !event.is_data && wanted.is_none_or(|it| is_wanted(&event, it)) {
                part.push(event);
            }
        }
        part.reverse();
        found.append(&mut part);
        end = start - 1;
        stretch = stretch.saturating_mul(2);
    }
    found.truncate(count);
    Ok(found)
}

/// The records of a range, in order.
async fn records(ctx: &Ctx, start: i64, end: i64) -> Result<Vec<AuditRecord>> {
    between(&ctx.store, start, end).await
}

/// The records between two moments (milliseconds since 1970, both counted), in order.
pub(crate) async fn between(
    store: &store::ScopedStore,
    start: i64,
    end: i64,
) -> Result<Vec<AuditRecord>> {
    let bound = |at: i64| u64::try_from(at).unwrap_or(0);
    let mut all = Vec::new();
    // No event's id is as great.
    let mut after: Place = (bound(start.saturating_sub(1)), "\u{10ffff}".to_owned());
    loop {
        let page = store.read(|tx| tx.scan_page(&RECORDS, Some(&after), READ_AT_ONCE)).await?;
        let full = page.records.len() == READ_AT_ONCE;
        for record in page.records {
            let place = store::Record::key(&record);
            if place.0 > bound(end) {
                return Ok(all);
            }
            after = place;
            all.push(record);
        }
        if !full {
            return Ok(all);
        }
    }
}

fn is_wanted(event: &Event, wanted: &LookupAttribute) -> bool {
    let value = wanted.attribute_value.as_str();
    match wanted.attribute_key {
        LookupAttributeKey::EventId => event.record.event_id == value,
        LookupAttributeKey::EventName => event.text("eventName") == value,
        LookupAttributeKey::ReadOnly => {
            value.eq_ignore_ascii_case(&event.is_read_only().to_string())
        }
        LookupAttributeKey::Username => event.user_name() == Some(value),
        LookupAttributeKey::ResourceType => {
            event.resources().iter().any(|(kind, _)| *kind == value)
        }
        LookupAttributeKey::ResourceName => event.resources().iter().any(|(_, name)| name == value),
        LookupAttributeKey::EventSource => event.text("eventSource") == value,
        LookupAttributeKey::AccessKeyId => event.access_key() == Some(value),
    }
}

fn to_wire(event: Event) -> cloudtrail_api::Event {
    let resource = |(kind, name): (&'static str, String)| Resource {
        resource_type: Some(kind.to_owned()),
        resource_name: Some(name),
    };
    cloudtrail_api::Event {
        event_id: Some(event.record.event_id.clone()),
        event_name: Some(event.text("eventName").to_owned()),
        read_only: Some(event.is_read_only().to_string()),
        access_key_id: event.access_key().map(str::to_owned),
        event_time: Some(Timestamp::from_secs(event.record.time.as_secs())),
        event_source: Some(event.text("eventSource").to_owned()),
        username: event.user_name().map(str::to_owned),
        resources: event.resources().into_iter().map(resource).collect(),
        cloud_trail_event: Some(event.json.to_string()),
    }
}

/// A token goes with the question that it was given out for.
fn fingerprint(input: &LookupEventsInput) -> String {
    let asked = (&input.lookup_attributes, input.start_time, input.end_time);
    let hash = digest(&SHA256, format!("{asked:?}").as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..12).unwrap_or_default())
}

fn write_token((time, id): &Place, query: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1:{query}:{time}:{id}"))
}

fn read_token(token: &str, query: &str) -> Result<Place> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let rest = text.strip_prefix("1:")?.strip_prefix(query)?.strip_prefix(':')?;
        let (time, id) = rest.split_once(':')?;
        Some((time.parse().ok()?, id.to_owned()))
    };
    read().ok_or(Error::InvalidNextToken)
}
