//! What a service answers beside its model: web pages, the questions that browsers ask before a
//! call, forms, and what it notes of a call when the answer is on its way.
//!
//! AWS: "Hosting a static website using Amazon S3", "Using cross-origin resource sharing (CORS)",
//! "Browser-Based Uploads Using POST", "Logging requests with server access logging".

use std::sync::Arc;

use protocol::{ByteStream, ServiceError};

use crate::ctx::{Call, Caller, RequestInfo};
use crate::kernel::Kernel;
use crate::service::BoxFuture;

/// Why a request goes to the service as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebKind {
    /// A browser asks for a page at the service's web address.
    Page,
    /// A browser asks whether it may make a call for a page of another origin.
    Preflight,
    /// A browser sends a form.
    Form,
    /// A call was answered: which headers does the page that made it need? Only the headers of the
    /// answer count.
    Headers,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct WebRequest {
    /// What it is.
    pub kind: WebKind,
    /// `GET`, `OPTIONS`, …
    pub method: String,
    /// The resource that host name or path name first: a bucket. Empty when there is none.
    pub bucket: String,
    /// The rest of the path, decoded, without the slash before it.
    pub path: String,
    /// The query, as it came.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ByteStream,
}

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub struct WebResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ByteStream,
}

/// A call that was answered.
#[derive(Debug, Clone)]
pub struct Served {
    /// The operation of the model; empty for a web page.
    pub operation: String,
    /// `GET`, `PUT`, …
    pub method: String,
    /// The resource that host name or path name first: a bucket.
    pub bucket: String,
    /// The rest of the path, decoded.
    pub path: String,
    /// Path and query, as they came.
    pub uri: String,
    /// The status.
    pub status: u16,
    /// The error's code.
    pub error: Option<String>,
    /// How many bytes of body the answer announces.
    pub bytes: Option<u64>,
    /// How long the answer took, in milliseconds of the region's clock.
    pub duration_ms: i64,
    /// The entity's version, as the answer tells it.
    pub version_id: Option<String>,
    /// The `Referer` header.
    pub referer: Option<String>,
    /// `AuthHeader`, `QueryString`, or nothing for an unsigned call.
    pub auth: Option<&'static str>,
}

pub(crate) type WebHook = Arc<
    dyn Fn(Call, WebRequest) -> BoxFuture<'static, Result<WebResponse, ServiceError>> + Send + Sync,
>;
pub(crate) type ServedHook = Arc<dyn Fn(Call, Served) -> BoxFuture<'static, ()> + Send + Sync>;

impl WebRequest {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Kernel {
    /// Lets `service` answer a request that its model does not describe.
    ///
    /// # Errors
    ///
    /// The service's error; `NotImplemented` where the region has no such service.
    pub async fn web(
        self: &Arc<Self>,
        service: &str,
        caller: Caller,
        info: RequestInfo,
        request: WebRequest,
    ) -> Result<WebResponse, ServiceError> {
        let hook = self.service(service).and_then(|def| def.web_hook.clone());
        let Some(hook) = hook else {
            return Err(ServiceError::new(
                "NotImplemented",
                format!("{service} serves no web pages here."),
            )
            .status(501));
        };
        let call = Call::new(self.clone(), caller, info);
        // In a task of its own, as a call is: a lost connection does not stop it half-way.
        #[expect(clippy::disallowed_methods, reason = "a call outlives the one who waits for it")]
        let running = tokio::spawn(async move { hook(call, request).await });
        running.await.unwrap_or_else(|error| Err(ServiceError::internal(error)))
    }

    /// Whether `service` notes its calls when they are answered.
    pub fn notes_calls(&self, service: &str) -> bool {
        self.service(service).is_some_and(|def| def.served_hook.is_some())
    }

    /// Tells `service` that a call was answered.
    pub async fn served(
        self: &Arc<Self>,
        service: &str,
        caller: Caller,
        info: RequestInfo,
        served: Served,
    ) {
        if let Some(hook) = self.service(service).and_then(|def| def.served_hook.clone()) {
            hook(Call::new(self.clone(), caller, info), served).await;
        }
    }
}
