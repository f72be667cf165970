//! Public parameters: the ids of the region's images.
//!
//! AWS: "Discovering public parameters in Parameter Store".

use ec2_api::{DescribeImagesInput, Filter};
use ssm_api::{Parameter as Shown, ParameterType};

use crate::Ctx;
use crate::error::{Error, Result};

/// Public parameters and the names of the images they stand for; the newest counts.
const IMAGES: &[(&str, &str)] = &[
    ("/aws/service/debian/release/12/latest/amd64", "debian-12-amd64-*"),
    ("/aws/service/skyhold/lamp/latest/amd64", "skyhold-lamp-debian-12-*"),
];

/// The public parameter called `name`.
pub(crate) async fn find(ctx: &Ctx, name: &str) -> Result<Shown> {
    let (_, pattern) =
        IMAGES.iter().find(|(known, _)| *known == name).ok_or(Error::ParameterNotFound)?;
    let filter = Filter { name: Some("name".to_owned()), values: vec![(*pattern).to_owned()] };
    let input = DescribeImagesInput { filters: vec![filter], ..DescribeImagesInput::default() };
    let client = ctx.service_client("ssm.amazonaws.com").await?;
    let images = client.call(input).await?.images;
    let newest = images.into_iter().max_by_key(|image| image.creation_date.clone());
    let image = newest.ok_or(Error::ParameterNotFound)?;
    Ok(Shown {
        name: Some(name.to_owned()),
        type_: Some(ParameterType::String),
        value: image.image_id,
        version: Some(1),
        last_modified_date: image.creation_date.and_then(|date| date.parse().ok()),
        arn: Some(format!("arn:aws:ssm:{}::parameter{name}", ctx.region)),
        data_type: Some("aws:ec2:image".to_owned()),
        ..Shown::default()
    })
}
