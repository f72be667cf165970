//! Configurations of buckets that are kept as they were given, in the form of the model: rules for
//! other origins, web sites, logging. What must be known at every request is in the bucket's own
//! record.

use protocol::{OperationInput, Value, schema, wire};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{Record, Table, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{BUCKETS, Bucket};

/// A configuration: the body of the request that set it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Configuration {
    /// The bucket's id, so that a bucket made anew has none of the old one's.
    pub(crate) bucket_id: String,
    pub(crate) bucket: String,
    /// The operation that sets it.
    pub(crate) operation: String,
    /// Its id among its like; empty where a bucket has but one.
    pub(crate) id: String,
    document: Json,
}

impl Record for Configuration {
    type Key = (String, String, String);

    fn key(&self) -> Self::Key {
        (self.bucket_id.clone(), self.operation.clone(), self.id.clone())
    }
}

pub(crate) const CONFIGURATIONS_NAME: &str = "s3.configurations";
pub(crate) const CONFIGURATIONS: Table<Configuration> = Table::global(CONFIGURATIONS_NAME);

fn document_of<I: OperationInput>(input: I) -> Result<Json> {
    let service = schema::service(s3_api::SERVICE);
    let found = service.and_then(|s| Some((s, s.operation(I::OPERATION)?)));
    let (service, operation) = found.ok_or(Error::NotImplemented(I::OPERATION))?;
    Ok(wire::body_document(service, operation, &input.into_value()))
}

/// The input that set the configuration; its bucket and id, which its path and query had, with it.
pub(crate) fn input_of<I: OperationInput>(kept: Configuration) -> Result<I> {
    let service = schema::service(s3_api::SERVICE);
    let found = service.and_then(|s| Some((s, s.operation(I::OPERATION)?)));
    let (service, operation) = found.ok_or(Error::NotImplemented(I::OPERATION))?;
    let mut fields = wire::body_of_document(service, operation, kept.document)?;
    fields.push("Bucket", Value::Text(kept.bucket));
    if !kept.id.is_empty() {
        fields.push("Id", Value::Text(kept.id));
    }
    let read = I::from_value(Value::Struct(fields));
    read.map_err(|error| Error::Inside(kernel::ServiceError::internal(error)))
}

/// Keeps what `input` sets, in the place of the configuration of the same id.
pub(crate) async fn keep<I: OperationInput>(
    ctx: &Ctx,
    bucket: &Bucket,
    id: &str,
    input: I,
) -> Result<()> {
    keep_with(ctx, bucket, id, input, |_| {}).await
}

/// As [`keep`], with a change of the bucket's own record.
pub(crate) async fn keep_with<I: OperationInput>(
    ctx: &Ctx,
    bucket: &Bucket,
    id: &str,
    input: I,
    apply: impl Fn(&mut Bucket) + Send + Sync,
) -> Result<()> {
    let kept = Configuration {
        bucket_id: bucket.id.clone(),
        bucket: bucket.name.clone(),
        operation: I::OPERATION.to_owned(),
        id: id.to_owned(),
        document: document_of(input)?,
    };
    ctx.store
        .write(|tx| {
            touch(tx, bucket, &apply)?;
            Ok(tx.put(&CONFIGURATIONS, &kept)?)
        })
        .await
}

fn touch(
    tx: &mut WriteTx<'_>,
    bucket: &Bucket,
    apply: &(impl Fn(&mut Bucket) + Send + Sync),
) -> Result<()> {
    let there = tx.get(&BUCKETS, &bucket.name)?.filter(|there| there.id == bucket.id);
    let mut there = there.ok_or_else(|| Error::NoSuchBucket(bucket.name.clone()))?;
    apply(&mut there);
    Ok(tx.put(&BUCKETS, &there)?)
}

/// The configuration that the input type `I` sets, if there is one of this id.
pub(crate) async fn kept<I: OperationInput>(
    ctx: &Ctx,
    bucket: &Bucket,
    id: &str,
) -> Result<Option<I>> {
    let key = (&bucket.id, I::OPERATION, id);
    let found = ctx.store.read(|tx| tx.get(&CONFIGURATIONS, key)).await?;
    found.map(input_of).transpose()
}

/// All configurations that the input type `I` sets, by their ids.
pub(crate) async fn all_kept<I: OperationInput>(ctx: &Ctx, bucket: &Bucket) -> Result<Vec<I>> {
    let prefix = (&bucket.id, I::OPERATION);
    let found = ctx.store.read(|tx| tx.scan(&CONFIGURATIONS, prefix)).await?;
    found.into_iter().map(input_of).collect()
}

/// Ends a configuration; tells whether there was one.
pub(crate) async fn end<I: OperationInput>(
    ctx: &Ctx,
    bucket: &Bucket,
    id: &str,
    apply: impl Fn(&mut Bucket) + Send + Sync,
) -> Result<bool> {
    ctx.store
        .write(|tx| {
            touch(tx, bucket, &apply)?;
            let key = (&bucket.id, I::OPERATION, id);
            let there = tx.contains(&CONFIGURATIONS, key)?;
            if there {
                tx.delete(&CONFIGURATIONS, key)?;
            }
            Ok(there)
        })
        .await
}

/// Ends all configurations of a bucket that goes.
pub(crate) fn end_all(tx: &mut WriteTx<'_>, bucket: &Bucket) -> Result<()> {
    for kept in tx.scan(&CONFIGURATIONS, (&bucket.id,))? {
        tx.delete(&CONFIGURATIONS, kept.key())?;
    }
    Ok(())
}
