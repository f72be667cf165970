//! From a template's text to its tree.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::yaml;
use super::{Result, TemplateError};

/// Parses a template in JSON or YAML; short forms such as `!Ref` become their long forms.
///
/// # Errors
///
/// A text that is neither, a duplicate key, a null, or something other than an object.
pub fn parse(text: &str) -> Result<Map<String, Value>> {
    let text = text.trim_start_matches('\u{feff}');
    let tree = if text.trim_start().starts_with('{') { json(text)? } else { yaml::parse(text)? };
    let Value::Object(sections) = tree else {
        return Err(TemplateError::Structure);
    };
    for (name, section) in &sections {
        refuse_nulls(section, &format!("/{name}"))?;
    }
    Ok(sections)
}

/// Reads JSON; text that starts like JSON but is a YAML flow mapping is read as YAML.
fn json(text: &str) -> Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let parsed = Tree.deserialize(&mut reader).and_then(|tree| reader.end().map(|()| tree));
    let fault = match parsed {
        Ok(tree) => return Ok(tree),
        Err(fault) => fault,
    };
    let (line, column) = (fault.line(), fault.column());
    if let Some(key) = fault.to_string().strip_prefix(DUPLICATE) {
        let key = key.rsplit_once(" at line").map_or(key, |(key, _)| key).to_owned();
        return Err(TemplateError::DuplicateKey { key, line, column });
    }
    yaml::parse(text).map_err(|_| TemplateError::Json { line, column })
}

const DUPLICATE: &str = "duplicate key ";

/// Builds a [`Value`], refusing duplicate keys.
struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Tree)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(Tree)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{key}")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

fn refuse_nulls(value: &Value, path: &str) -> Result<()> {
    match value {
        Value::Null => Err(TemplateError::Null { path: path.to_owned() }),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, v)| refuse_nulls(v, &format!("{path}/{i}")))
        }
        Value::Object(members) => {
            members.iter().try_for_each(|(k, v)| refuse_nulls(v, &format!("{path}/{k}")))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &str) {
        match parse(text) {
            Ok(tree) => panic!("{text} parsed as {tree:?}"),
            Err(fault) => assert_eq!(fault.to_string(), expected, "{text}"),
        }
    }

    #[test]
    fn short_forms_become_long_forms() {
        let yaml = r#"
AWSTemplateFormatVersion: 2010-09-09
Resources:
  A:
    Type: T
    Properties:
      Ref: !Ref B
      Dot: !GetAtt B.Outputs.C
      List: !GetAtt [B, Arn]
      Sub: !Sub "${AWS::Region}-x"
      Sub2: !Sub ["${a}", {a: !Ref B}]
      If: !If [Prod, !Ref "AWS::NoValue", 3]
      Zone: !Select [0, !GetAZs ""]
      Join: !Join ["-", [a, !Ref B]]
      Map: !FindInMap [M, k, v]
      Long: {"Fn::Base64": !Sub x}
      User:
        Fn::Base64: |
          #!/bin/sh
          echo hi
      Cidr: !Cidr [10.0.0.0/16, 4, 8]
      Split: !Split [",", "a,b"]
      Import: !ImportValue x
      Off: off
      Float: 1.5
      Text: "12"
      Account: 012345678901
Conditions:
  Prod: !And [!Equals [a, b], !Not [!Condition Dev], !Or [!Condition A, !Condition B]]
"#;
        let tree = parse(yaml).unwrap();
        assert_eq!(tree["AWSTemplateFormatVersion"], "2010-09-09");
        let properties = &tree["Resources"]["A"]["Properties"];
        let expected = json!({
            "Ref": {"Ref": "B"},
            "Dot": {"Fn::GetAtt": ["B", "Outputs.C"]},
            "List": {"Fn::GetAtt": ["B", "Arn"]},
            "Sub": {"Fn::Sub": "${AWS::Region}-x"},
            "Sub2": {"Fn::Sub": ["${a}", {"a": {"Ref": "B"}}]},
            "If": {"Fn::If": ["Prod", {"Ref": "AWS::NoValue"}, 3]},
            "Zone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
            "Join": {"Fn::Join": ["-", ["a", {"Ref": "B"}]]},
            "Map": {"Fn::FindInMap": ["M", "k", "v"]},
            "Long": {"Fn::Base64": {"Fn::Sub": "x"}},
            "User": {"Fn::Base64": "#!/bin/sh\necho hi\n"},
            "Cidr": {"Fn::Cidr": ["10.0.0.0/16", 4, 8]},
            "Split": {"Fn::Split": [",", "a,b"]},
            "Import": {"Fn::ImportValue": "x"},
            "Off": false, "Float": 1.5, "Text": "12", "Account": "012345678901",
        });
        assert_eq!(properties, &expected);
        assert_eq!(
            tree["Conditions"]["Prod"],
            json!({"Fn::And": [
                {"Fn::Equals": ["a", "b"]},
                {"Fn::Not": [{"Condition": "Dev"}]},
                {"Fn::Or": [{"Condition": "A"}, {"Condition": "B"}]},
            ]})
        );
    }

    #[test]
    fn anchors_are_expanded() {
        let tree =
            parse("A: &tags [{Key: a, Value: !Ref B}]\nB: *tags\nC: &s text\nD: *s").unwrap();
        assert_eq!(tree["A"], tree["B"]);
        assert_eq!(tree["D"], "text");
    }

    #[test]
    fn json_and_yaml_give_one_tree() {
        let json = r#"{"Resources": {"A": {"Type": "T", "Properties": {"n": 1, "b": true}}}}"#;
        let yaml = "Resources:\n  A:\n    Type: T\n    Properties: {n: 1, b: true}\n";
        assert_eq!(parse(json).unwrap(), parse(yaml).unwrap());
        assert!(parse("{Resources: {A: {Type: !Ref T}}}").is_ok(), "a YAML flow mapping");
    }

    #[test]
    fn faults_are_worded_as_aws_words_them() {
        check("{\"A\": ", "Template format error: JSON not well-formed. (line 1, column 6)");
        check("A: [1\nB: 2", "Template format error: YAML not well-formed. (line 2, column 2)");
        check("just text", "Template format error: unsupported structure.");
        check("", "Template format error: unsupported structure.");
        check("[1, 2]", "Template format error: unsupported structure.");
        check(
            "Resources:\n  A:\n    Type: T\n    Properties:\n",
            "[/Resources/A/Properties] 'null' values are not allowed in templates",
        );
        check(
            r#"{"Resources": {"A": [null]}}"#,
            "[/Resources/A/0] 'null' values are not allowed in templates",
        );
        check(
            r#"{"A": 1, "A": 2}"#,
            "Template format error: duplicate key 'A'. (line 1, column 16)",
        );
        check("A: 1\nA: 2", "Template format error: duplicate key 'A'. (line 2, column 1)");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        check(&text, "Template format error: unsupported structure.");
        check(&format!("a: {}", "[".repeat(101)), "Template format error: unsupported structure.");
        assert!(parse(&format!("a: {}", "[".repeat(5000))).is_err());
        assert!(parse(&format!("{{\"a\": {}", "[".repeat(5000))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,200}") {
            let _outcome = parse(&text);
        }

        #[test]
        fn yaml_punctuation_never_panics(text in "[-:!&*{}\\[\\], \n\"'|>a#?]{0,80}") {
            let _outcome = parse(&text);
        }
    }
}
