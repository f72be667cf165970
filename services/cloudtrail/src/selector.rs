//! Which events a trail takes.
//!
//! AWS: "Logging management events"; "Logging data events".

use cloudtrail_api::{
    AdvancedEventSelector, AdvancedFieldSelector, DataResource, EventSelector,
    GetEventSelectorsInput, GetEventSelectorsOutput, GetInsightSelectorsInput,
    GetInsightSelectorsOutput, PutEventSelectorsInput, PutEventSelectorsOutput, ReadWriteType,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::event::{Event, OBJECT};
use crate::store::{Advanced, Basic, Field, Selectors, TRAILS, Trail, find};

/// AWS: PutEventSelectors (5 selectors, 250 data resources, 500 conditions).
const SELECTORS_MAX: usize = 5;
const RESOURCES_MAX: usize = 250;
const CONDITIONS_MAX: usize = 500;
/// AWS: EventSelector (`ExcludeManagementEventSources`).
const EXCLUDABLE: [&str; 2] = ["kms.amazonaws.com", "rdsdata.amazonaws.com"];
/// AWS: AdvancedFieldSelector (`Field`), of management events and of data events.
const MANAGEMENT_FIELDS: [&str; 6] =
    ["eventCategory", "eventSource", "eventName", "eventType", "readOnly", "userIdentity.arn"];
const DATA_FIELDS: [&str; 8] = [
    "eventCategory",
    "eventSource",
    "eventName",
    "eventType",
    "readOnly",
    "resources.type",
    "resources.ARN",
    "userIdentity.arn",
];

/// Whether a trail takes an event.
pub(crate) fn takes(trail: &Trail, event: &Event) -> bool {
    if event.is_global() && !trail.global_events {
        return false;
    }
    match &trail.selectors {
        Selectors::Basic(all) => all.iter().any(|it| it.takes(event)),
        Selectors::Advanced(all) => all.iter().any(|it| it.takes(event)),
    }
}

impl Basic {
    fn takes(&self, event: &Event) -> bool {
        if self.read_only.is_some_and(|wanted| wanted != event.is_read_only()) {
            return false;
        }
        if event.is_data {
            let values = self.objects.as_deref().unwrap_or_default();
            let named = event.data_resources();
            return named
                .iter()
                .filter(|(kind, _)| *kind == OBJECT)
                .any(|(_, arn)| values.iter().any(|value| covers(value, arn)));
        }
        let source = event.text("eventSource");
        self.management && !self.excluded_sources.iter().any(|excluded| excluded == source)
    }
}

/// Whether a value of `AWS::S3::Object` stands for an object: all objects, those of a bucket, or
/// those below a prefix.
fn covers(value: &str, arn: &str) -> bool {
    matches!(value, "arn:aws:s3" | "arn:aws:s3:::") || arn.starts_with(value)
}

impl Advanced {
    fn takes(&self, event: &Event) -> bool {
        self.fields.iter().all(|field| field.holds(event))
    }
}

impl Field {
    fn holds(&self, event: &Event) -> bool {
        let values: Vec<String> = match self.field.as_str() {
            "eventCategory" => {
                vec![if event.is_data { "Data" } else { "Management" }.to_owned()]
            }
            "readOnly" => vec![event.is_read_only().to_string()],
            "resources.type" => of_resources(event, |(kind, _)| kind),
            "resources.ARN" => of_resources(event, |(_, arn)| arn),
            "userIdentity.arn" => {
                let arn = event.json.get("userIdentity").and_then(|it| it.get("arn"));
                vec![arn.and_then(|arn| arn.as_str()).unwrap_or_default().to_owned()]
            }
            name => vec![event.text(name).to_owned()],
        };
        values.iter().any(|value| self.allows(value))
    }

    fn allows(&self, value: &str) -> bool {
        let positive =
            !self.equals.is_empty() || !self.starts_with.is_empty() || !self.ends_with.is_empty();
        let wanted = self.equals.iter().any(|it| it == value)
            || self.starts_with.iter().any(|it| value.starts_with(it.as_str()))
            || self.ends_with.iter().any(|it| value.ends_with(it.as_str()));
        let unwanted = self.not_equals.iter().any(|it| it == value)
            || self.not_starts_with.iter().any(|it| value.starts_with(it.as_str()))
            || self.not_ends_with.iter().any(|it| value.ends_with(it.as_str()));
        (!positive || wanted) && !unwanted
    }
}

fn of_resources<'a>(event: &'a Event, part: impl Fn((&'a str, &'a str)) -> &'a str) -> Vec<String> {
    // The object comes first; its bucket only tells whose it is.
    event.data_resources().into_iter().take(1).map(|it| part(it).to_owned()).collect()
}

/// Tells which events a trail takes.
///
/// AWS: GetEventSelectors.
pub(crate) async fn get_event_selectors(
    ctx: Ctx,
    input: GetEventSelectorsInput,
) -> Result<GetEventSelectorsOutput> {
    let trail = ctx.store.read(|tx| find(tx, &ctx, &input.trail_name)).await?;
    let (event_selectors, advanced_event_selectors) = to_wire(&trail.selectors);
    let trail_arn = Some(trail.arn);
    Ok(GetEventSelectorsOutput { trail_arn, event_selectors, advanced_event_selectors })
}

/// Sets which events a trail takes.
///
/// AWS: PutEventSelectors.
///
/// # Errors
///
/// [`Error::InvalidEventSelectors`].
pub(crate) async fn put_event_selectors(
    ctx: Ctx,
    input: PutEventSelectorsInput,
) -> Result<PutEventSelectorsOutput> {
    let selectors = match (&*input.event_selectors, &*input.advanced_event_selectors) {
        ([], []) => return Err(refuse("You must specify event selectors or advanced selectors.")),
        (basic, []) => Selectors::Basic(read_basic(basic)?),
        ([], advanced) => Selectors::Advanced(read_advanced(advanced)?),
        (_, _) => {
            return Err(refuse("You cannot specify both event selectors and advanced selectors."));
        }
    };
    let trail = ctx
        .store
        .write(|tx| {
            let mut trail = find(tx, &ctx, &input.trail_name)?;
            trail.selectors = selectors.clone();
            tx.put(&TRAILS, &trail)?;
            Ok::<_, Error>(trail)
        })
        .await?;
    let (event_selectors, advanced_event_selectors) = to_wire(&trail.selectors);
    let trail_arn = Some(trail.arn);
    Ok(PutEventSelectorsOutput { trail_arn, event_selectors, advanced_event_selectors })
}

/// Tells that a trail has no insights.
///
/// AWS: GetInsightSelectors.
///
/// # Errors
///
/// [`Error::InsightNotEnabled`] always.
pub(crate) async fn get_insight_selectors(
    ctx: Ctx,
    input: GetInsightSelectorsInput,
) -> Result<GetInsightSelectorsOutput> {
    if input.event_data_store.is_some() {
        return Err(Error::UnsupportedOperation(
            "Event data stores are not supported in this region.".to_owned(),
        ));
    }
    let name = input.trail_name.ok_or_else(|| {
        Error::InvalidParameter("You must specify a trail or an event data store.".to_owned())
    })?;
    let trail = ctx.store.read(|tx| find(tx, &ctx, &name)).await?;
    Err(Error::InsightNotEnabled(trail.name))
}

fn refuse(text: impl Into<String>) -> Error {
    Error::InvalidEventSelectors(text.into())
}

fn read_basic(given: &[EventSelector]) -> Result<Vec<Basic>> {
    if given.len() > SELECTORS_MAX {
        return Err(refuse(format!("A trail can have {SELECTORS_MAX} event selectors.")));
    }
    let all: Result<Vec<Basic>> = given.iter().map(read_one).collect();
    let all = all?;
    let resources: usize = all.iter().filter_map(|it| Some(it.objects.as_ref()?.len())).sum();
    if resources > RESOURCES_MAX {
        return Err(refuse(format!("A trail can have {RESOURCES_MAX} data resources.")));
    }
    Ok(all)
}

fn read_one(given: &EventSelector) -> Result<Basic> {
    let mut objects = None;
    for resource in &given.data_resources {
        let kind = resource.type_.as_deref().unwrap_or_default();
        if kind != OBJECT {
            return Err(refuse(format!("Data events of {kind} are not available in this region.")));
        }
        if resource.values.iter().any(|value| !value.starts_with("arn:aws:s3")) {
            return Err(refuse("A value of AWS::S3::Object must be an ARN of S3."));
        }
        objects.get_or_insert_with(Vec::new).extend(resource.values.iter().cloned());
    }
    let excluded = &given.exclude_management_event_sources;
    if let Some(other) = excluded.iter().find(|it| !EXCLUDABLE.contains(&it.as_str())) {
        return Err(refuse(format!("Events of {other} cannot be excluded.")));
    }
    Ok(Basic {
        read_only: match given.read_write_type {
            None | Some(ReadWriteType::All) => None,
            Some(ReadWriteType::ReadOnly) => Some(true),
            Some(ReadWriteType::WriteOnly) => Some(false),
        },
        management: given.include_management_events.unwrap_or(true),
        objects,
        excluded_sources: excluded.clone(),
    })
}

fn read_advanced(given: &[AdvancedEventSelector]) -> Result<Vec<Advanced>> {
    let all: Result<Vec<Advanced>> = given.iter().map(read_advanced_one).collect();
    let all = all?;
    let count = |field: &Field| {
        [
            &field.equals,
            &field.starts_with,
            &field.ends_with,
            &field.not_equals,
            &field.not_starts_with,
            &field.not_ends_with,
        ]
        .iter()
        .map(|values| values.len())
        .sum::<usize>()
    };
    if all.iter().flat_map(|it| &it.fields).map(count).sum::<usize>() > CONDITIONS_MAX {
        return Err(refuse(format!("A trail can have {CONDITIONS_MAX} conditions.")));
    }
    Ok(all)
}

fn read_advanced_one(given: &AdvancedEventSelector) -> Result<Advanced> {
    let category = given.field_selectors.iter().find(|it| it.field == "eventCategory");
    let category = category.map(|it| it.equals.as_slice());
    let is_of = |name: &str| category.is_some_and(|values| values == [name]);
    let known: &[&str] = if is_of("Management") {
        &MANAGEMENT_FIELDS
    } else if is_of("Data") {
        &DATA_FIELDS
    } else {
        return Err(refuse(
            "An advanced selector must have eventCategory equal to Management or Data.",
        ));
    };
    let is_data = known.contains(&"resources.type");
    let mut fields = Vec::new();
    for it in &given.field_selectors {
        if !known.contains(&it.field.as_str()) {
            return Err(refuse(format!("The field {} is not valid here.", it.field)));
        }
        if it.field == "resources.type" && it.equals != [OBJECT] {
            return Err(refuse("Only data events of AWS::S3::Object are available."));
        }
        if it.field == "readOnly" && !it.equals.iter().all(|v| v == "true" || v == "false") {
            return Err(refuse("readOnly can only equal true or false."));
        }
        fields.push(Field {
            field: it.field.clone(),
            equals: it.equals.clone(),
            starts_with: it.starts_with.clone(),
            ends_with: it.ends_with.clone(),
            not_equals: it.not_equals.clone(),
            not_starts_with: it.not_starts_with.clone(),
            not_ends_with: it.not_ends_with.clone(),
        });
    }
    if is_data && !fields.iter().any(|it| it.field == "resources.type") {
        return Err(refuse("A selector of data events must have resources.type."));
    }
    Ok(Advanced { name: given.name.clone(), fields })
}

fn to_wire(selectors: &Selectors) -> (Vec<EventSelector>, Vec<AdvancedEventSelector>) {
    match selectors {
        Selectors::Basic(all) => (all.iter().map(basic_to_wire).collect(), Vec::new()),
        Selectors::Advanced(all) => (Vec::new(), all.iter().map(advanced_to_wire).collect()),
    }
}

fn basic_to_wire(it: &Basic) -> EventSelector {
    let data = |values: &Vec<String>| DataResource {
        type_: Some(OBJECT.to_owned()),
        values: values.clone(),
    };
    EventSelector {
        read_write_type: Some(match it.read_only {
            None => ReadWriteType::All,
            Some(true) => ReadWriteType::ReadOnly,
            Some(false) => ReadWriteType::WriteOnly,
        }),
        include_management_events: Some(it.management),
        data_resources: it.objects.iter().map(data).collect(),
        exclude_management_event_sources: it.excluded_sources.clone(),
    }
}

fn advanced_to_wire(it: &Advanced) -> AdvancedEventSelector {
    let field = |it: &Field| AdvancedFieldSelector {
        field: it.field.clone(),
        equals: it.equals.clone(),
        starts_with: it.starts_with.clone(),
        ends_with: it.ends_with.clone(),
        not_equals: it.not_equals.clone(),
        not_starts_with: it.not_starts_with.clone(),
        not_ends_with: it.not_ends_with.clone(),
    };
    AdvancedEventSelector {
        name: it.name.clone(),
        field_selectors: it.fields.iter().map(field).collect(),
    }
}
