//! What reaches S3 as browsers send it, by kind.

use kernel::ServiceError;
use kernel::web::{WebKind, WebRequest, WebResponse};
use protocol::ByteStream;

use crate::Ctx;
use crate::{cors, post, website};

/// Answers a request that the model does not describe.
pub(crate) async fn answer(ctx: Ctx, request: WebRequest) -> Result<WebResponse, ServiceError> {
    match request.kind {
        WebKind::Page => Ok(website::serve(&ctx, &request).await),
        WebKind::Preflight => cors::preflight(&ctx, &request).await,
        WebKind::Form => {
            let mut answer = post::accept(&ctx, &request).await?;
            answer.headers.extend(cors::headers_for(&ctx, &request).await?);
            Ok(answer)
        }
        WebKind::Headers => {
            let headers = cors::headers_for(&ctx, &request).await?;
            Ok(WebResponse { status: 200, headers, body: ByteStream::default() })
        }
    }
}
