//! What each operation is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS
//! CloudTrail".

use kernel::Access;
use kernel::access::Need;

const NAME: &[&str] = &["arn:aws:cloudtrail:{region}:{account}:trail/{Name:arn}"];
const TRAIL_NAME: &[&str] = &["arn:aws:cloudtrail:{region}:{account}:trail/{TrailName:arn}"];
const ID: &[&str] = &["{ResourceId:arn}"];
const IDS: &[&str] = &["{ResourceIdList:arn}"];

macro_rules! rules {
    ($($operation:literal on $resources:expr),* $(,)?) => {
        &[$(Access::new(
            $operation,
            &[Need::on(concat!("cloudtrail:", $operation), $resources)],
        ),)*]
    };
}

pub(crate) const RULES: &[Access] = rules!(
    "LookupEvents" on &[],
    "CreateTrail" on NAME,
    "UpdateTrail" on NAME,
    "DeleteTrail" on NAME,
    "DescribeTrails" on &[],
    "GetTrail" on NAME,
    "ListTrails" on &[],
    "GetTrailStatus" on NAME,
    "StartLogging" on NAME,
    "StopLogging" on NAME,
    "GetEventSelectors" on TRAIL_NAME,
    "PutEventSelectors" on TRAIL_NAME,
    "GetInsightSelectors" on TRAIL_NAME,
    "ListPublicKeys" on &[],
    "AddTags" on ID,
    "RemoveTags" on ID,
    "ListTags" on IDS,
);
