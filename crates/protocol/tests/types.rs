//! Generated types and the tree: what is absent, what is empty, what does not fit.

#![expect(missing_docs, reason = "a test has its own types")]

use std::collections::BTreeMap;

use protocol::{OperationInput, Shape, Value, enumeration, operation, structure};

const SERVICE: &str = "sqs";

enumeration! {
    pub enum Colour {
        Red = "RED",
        DarkBlue = "dark-blue",
    }
}

structure! {
    pub struct PaintInput {
        name: String = "Name", required;
        colour: Option<Colour> = "Colour", optional;
        coats: Option<i32> = "Coats", optional;
        parts: Vec<String> = "Parts", nonempty;
        tags: BTreeMap<String, String> = "Tags", nonempty;
        inner: Option<Box<PaintInput>> = "Inner", optional;
    }
}

structure! {
    pub struct PaintOutput {
        parts: Vec<String> = "Parts", always;
    }
}

operation!(PaintInput => PaintOutput, "Paint");

#[test]
fn types_become_values_and_come_back() {
    let input = PaintInput {
        name: "wall".into(),
        colour: Some(Colour::DarkBlue),
        tags: BTreeMap::from([("a".into(), "b".into())]),
        inner: Some(Box::default()),
        ..PaintInput::default()
    };
    let value = input.clone().into_value();
    assert_eq!(value.member("Colour"), Some(&Value::Text("dark-blue".into())));
    assert_eq!(value.member("Parts"), None);
    assert_eq!(PaintInput::from_value(value), Ok(input));
    assert_eq!((PaintInput::SERVICE, PaintInput::OPERATION), ("sqs", "Paint"));
}

#[test]
fn outputs_keep_their_empty_lists() {
    let value = PaintOutput::default().into_value();
    assert_eq!(value.member("Parts"), Some(&Value::List(Vec::new())));
}

#[test]
fn what_does_not_fit_is_told_with_its_path() {
    let wrong = |members: Vec<(&'static str, Value)>| {
        let value = Value::Struct(members.into_iter().collect());
        PaintInput::from_value(value).unwrap_err().to_string()
    };
    let name = || ("Name", Value::Text("n".into()));
    assert_eq!(wrong(vec![]), "Name: expected a value, found nothing");
    assert_eq!(
        wrong(vec![name(), ("Coats", Value::Int(1 << 40))]),
        "Coats: expected an integer of 32 bits, found 1099511627776"
    );
    let inner =
        Value::Struct([("Colour", Value::Text("pink".into())), name()].into_iter().collect());
    assert_eq!(wrong(vec![name(), ("Inner", inner)]), "Inner.Colour: expected Colour, found pink");
}
