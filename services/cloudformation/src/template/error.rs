//! What can be wrong with a template or its parameters, in CloudFormation's words.

/// A template that cannot be used, or parameters that do not fit it.
///
/// All of these reach the caller as the `ValidationError` code; the text is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The JSON text does not parse.
    #[error("Template format error: JSON not well-formed. (line {line}, column {column})")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The YAML text does not parse.
    #[error("Template format error: YAML not well-formed. (line {line}, column {column})")]
    Yaml {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A mapping names a key twice, of which one would be lost.
    #[error("Template format error: duplicate key '{key}'. (line {line}, column {column})")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The template is not an object, or too deep, or too large once its aliases are expanded.
    #[error("Template format error: unsupported structure.")]
    Structure,
    /// A value is null.
    #[error("[{path}] 'null' values are not allowed in templates")]
    Null {
        /// Where, as `/Resources/Queue/Properties`.
        path: String,
    },
    /// A fault of a section or member, worded by the place that found it.
    #[error("Template format error: {0}")]
    Format(String),
    /// A wrong use of an intrinsic function, worded by the place that found it.
    #[error("Template error: {0}")]
    Function(String),
    /// Members of the template that no section is called by.
    #[error("Invalid template property or properties [{}]", .0.join(", "))]
    UnknownSections(Vec<String>),
    /// A member of a resource that CloudFormation does not have.
    #[error("Invalid template resource property '{0}'")]
    UnknownResourceMember(String),
    /// A member of a parameter that CloudFormation does not have.
    #[error("Invalid template parameter property '{0}'")]
    UnknownParameterMember(String),
    /// Names that no resource or parameter has, in the given block.
    #[error(
        "Template format error: Unresolved resource dependencies [{}] in the {block} block of the template",
        .names.join(", ")
    )]
    Unresolved {
        /// The names.
        names: Vec<String>,
        /// `Resources` or `Outputs`.
        block: &'static str,
    },
    /// Resources that wait for each other.
    #[error("Circular dependency between resources: [{}]", .0.join(", "))]
    Circular(Vec<String>),
    /// Types that no service here owns.
    #[error("Template format error: Unrecognized resource types: [{}]", .0.join(", "))]
    UnknownTypes(Vec<String>),
    /// A macro that does not exist here.
    #[error("No transform named {0} found.")]
    UnknownTransform(String),
    /// More of something than a template may have.
    #[error(
        "Template format error: Number of {what}, {count}, is greater than maximum allowed, {max}"
    )]
    TooMany {
        /// `resources`, `parameters`, `mappings` or `outputs`.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Parameters without a default for which no value came.
    #[error("Parameters: [{}] must have values", .0.join(", "))]
    ParametersMissing(Vec<String>),
    /// Values for parameters that the template lacks.
    #[error("Parameters: [{}] do not exist in the template", .0.join(", "))]
    ParametersUnknown(Vec<String>),
    /// A parameter's value breaks its declaration.
    #[error("{0}")]
    Parameter(String),
    /// A rule's assertion does not hold.
    #[error("Template constraint violation: {0}")]
    Rule(String),
    /// No stack of the region exports the name.
    #[error("No export named {0} found.")]
    NoExport(String),
    /// A dynamic reference that is malformed or stands where it must not.
    #[error("{0}")]
    Dynamic(String),
}

impl TemplateError {
    pub(crate) fn format(text: impl Into<String>) -> Self {
        Self::Format(text.into())
    }

    pub(crate) fn function(text: impl Into<String>) -> Self {
        Self::Function(text.into())
    }
}
