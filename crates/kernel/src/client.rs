//! Calls from one service to another, inside the process but through the same path.

use std::sync::Arc;

use base::AccountId;
use protocol::{OperationInput, ServiceError, Shape};

use crate::ctx::{Caller, RequestInfo};
use crate::kernel::Kernel;

/// Calls operations as one caller. Authorization, events, quotas and audit hold as for any client.
#[derive(Clone)]
pub struct Client {
    kernel: Arc<Kernel>,
    caller: Caller,
    request: RequestInfo,
    /// The service that calls in its caller's name.
    through: Option<String>,
}

impl Client {
    pub(crate) fn new(kernel: Arc<Kernel>, caller: Caller, request: RequestInfo) -> Self {
        Self { kernel, caller, request, through: None }
    }

    /// Calls an operation.
    ///
    /// # Errors
    ///
    /// The called service's error, or that of authorization.
    pub async fn call<I: OperationInput>(&self, input: I) -> Result<I::Output, ServiceError> {
        let input = input.into_value();
        let (mut caller, request) = (self.caller.clone(), self.request.clone());
        if let Some(service) = &self.through {
            caller.facts.called_through(service);
        }
        let output = self.kernel.invoke(I::SERVICE, I::OPERATION, input, caller, request).await?;
        I::Output::from_value(output).map_err(ServiceError::internal)
    }

    /// The same client, of a service that calls in the name of its own caller: a forward access
    /// session.
    pub(crate) fn through(self, service: String) -> Self {
        Self { through: Some(service), ..self }
    }

    /// The account that the calls work in.
    pub fn account(&self) -> &AccountId {
        &self.caller.account
    }

    /// The same caller, marked as calling through `service` (`cloudformation.amazonaws.com`).
    pub fn via(&self, service: &str) -> Self {
        let mut caller = self.caller.clone();
        caller.invoked_by = Some(service.to_owned());
        caller.facts.called_through(service);
        let request = RequestInfo { user_agent: service.to_owned(), ..self.request.clone() };
        Self { kernel: self.kernel.clone(), caller, request, through: self.through.clone() }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}
