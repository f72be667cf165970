//! What is on the wire, byte by byte, as the AWS API references and the Smithy protocol
//! specifications show it.

#![expect(
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a table of cases is read top to bottom, and a panic fails the test"
)]

use bytes::Bytes;
use expect_test::{Expect, expect};
use http::Request;
use http_body_util::BodyExt;
use protocol::schema::{self, Protocol, ServiceSchema};
use protocol::wire::{self, Body};
use protocol::{ByteStream, Fields, ServiceError, Timestamp, Value};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn service(name: &str) -> &'static ServiceSchema {
    schema::service(name).unwrap()
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn rpc(target: &str, body: &str) -> Request<Bytes> {
    request("POST", "/", &[("x-amz-target", target)], body)
}

/// The whole way in: the operation and its input, or the error in the request's protocol.
fn read(name: &str, request: Request<Bytes>) -> String {
    let service = service(name);
    let (parts, body) = request.into_parts();
    let input = wire::route(service, &parts, &body, None).and_then(|routed| {
        let input = wire::decode_input(service, &routed, &parts, Body::Bytes(body))?;
        wire::validate_input(service, routed.operation, &input)?;
        Ok(format!("{} {:?} {}", routed.operation.name, routed.protocol, show(&input)))
    });
    input.unwrap_or_else(|error| format!("{} {}: {}", error.status, error.code, error.message))
}

fn show(value: &Value) -> String {
    match value {
        Value::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{n}: {}", show(v))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::List(list) => {
            format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let map: Vec<_> = map.iter().map(|(k, v)| format!("{k:?}: {}", show(v))).collect();
            format!("{{{}}}", map.join(", "))
        }
        Value::Text(text) => format!("{text:?}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Time(at) => at.to_string(),
        Value::Blob(bytes) => format!("{bytes:?}"),
        Value::Document(json) => json.to_string(),
        Value::Stream(_) => "stream".to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is used once")]
fn check_read(name: &str, request: Request<Bytes>, want: Expect) {
    want.assert_eq(&read(name, request));
}

/// The whole way out: status, headers and body.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is used once")]
fn check_written(response: http::Response<wire::ResponseBody>, want: Expect) {
    let (parts, body) = response.into_parts();
    let mut future = std::pin::pin!(body.collect());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(body) = future.as_mut().poll(&mut context) else {
        panic!("a body in memory does not wait");
    };
    let body = body.unwrap().to_bytes();
    let mut text = format!("{}\n", parts.status.as_u16());
    for (name, value) in &parts.headers {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    match std::str::from_utf8(&body) {
        Ok(body) => text += body,
        Err(_) => body.iter().for_each(|byte| text += &format!("{byte:02x}")),
    }
    want.assert_eq(&text);
}

fn written(name: &str, operation: &str, protocol: Protocol, output: Value, want: Expect) {
    let service = service(name);
    let operation = service.operation(operation).unwrap();
    let routed = wire::Routed { operation, protocol, labels: Vec::new() };
    check_written(wire::encode_output(service, &routed, output, "req-1"), want);
}

fn structure<const N: usize>(members: [(&'static str, Value); N]) -> Value {
    Value::Struct(members.into_iter().collect::<Fields>())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn ec2_query_is_read() {
    check_read(
        "ec2",
        request(
            "POST",
            "/",
            &[FORM],
            "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-type\
             &Filter.1.Value.1=m1.small&Filter.1.Value.2=m1.large&InstanceId.1=i-1&MaxResults=10",
        ),
        expect![[
            r#"DescribeInstances Ec2Query {InstanceIds: ["i-1"], Filters: [{Name: "instance-type", Values: ["m1.small", "m1.large"]}], MaxResults: 10}"#
        ]],
    );
    check_read(
        "ec2",
        request("GET", "/?Action=DescribeRegions&AllRegions=true&DryRun=false", &[], ""),
        expect!["DescribeRegions Ec2Query {AllRegions: true, DryRun: false}"],
    );
    // The tenth element follows the ninth.
    let body = (1..=11)
        .fold("Action=DescribeVpcs".to_owned(), |form, n| form + &format!("&VpcId.{n}=vpc-{n}"));
    check_read(
        "ec2",
        request("POST", "/", &[FORM], &body),
        expect![[
            r#"DescribeVpcs Ec2Query {VpcIds: ["vpc-1", "vpc-2", "vpc-3", "vpc-4", "vpc-5", "vpc-6", "vpc-7", "vpc-8", "vpc-9", "vpc-10", "vpc-11"]}"#
        ]],
    );
    for (body, want) in [
        (
            "Action=DescribeNothing",
            expect![
                "400 InvalidAction: The action DescribeNothing is not valid for this web service."
            ],
        ),
        (
            "Version=2016-11-15",
            expect!["400 MissingAction: Request is missing the Action parameter."],
        ),
        (
            "Action=DescribeVpcs&Colour=red",
            expect!["400 UnknownParameter: The parameter Colour is not recognized"],
        ),
        (
            "Action=DescribeVpcs&MaxResults=many",
            expect![[
                r#"400 InvalidParameterValue: Invalid value for parameter MaxResults: expected an integer, found "many""#
            ]],
        ),
        (
            "Action=DescribeVpcs&MaxResults=99999999999",
            expect![[
                r#"400 InvalidParameterValue: Invalid value for parameter MaxResults: expected an integer, found "99999999999""#
            ]],
        ),
        (
            "Action=DescribeVpcs&MaxResults=2",
            expect![
                "400 InvalidParameterValue: Value (2) for parameter MaxResults is invalid. Member must have value greater than or equal to 5"
            ],
        ),
        (
            "Action=DeleteVpc",
            expect!["400 MissingParameter: The request must contain the parameter VpcId"],
        ),
        (
            "Action=CreateVpc&InstanceTenancy=alone&CidrBlock=10.0.0.0/16",
            expect![
                "400 InvalidParameterValue: Value (alone) for parameter instanceTenancy is invalid. Member must satisfy enum value set: [default, dedicated, host]"
            ],
        ),
    ] {
        check_read("ec2", request("POST", "/", &[FORM], body), want);
    }
}

#[test]
fn ec2_query_is_written() {
    let vpc = structure([
        ("VpcId", text("vpc-1")),
        ("IsDefault", Value::Bool(false)),
        ("Tags", Value::List(vec![structure([("Key", text("a<b")), ("Value", text(""))])])),
    ]);
    let output = structure([("Vpcs", Value::List(vec![vpc]))]);
    written(
        "ec2",
        "DescribeVpcs",
        Protocol::Ec2Query,
        output,
        expect![[r#"
        200
        content-type: text/xml;charset=UTF-8
        x-amzn-requestid: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>req-1</requestId><vpcSet><item><isDefault>false</isDefault><tagSet><item><key>a&lt;b</key><value></value></item></tagSet><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"#]],
    );
    written(
        "ec2",
        "DeleteVpc",
        Protocol::Ec2Query,
        structure([]),
        expect![[r#"
        200
        content-type: text/xml;charset=UTF-8
        x-amzn-requestid: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <DeleteVpcResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>req-1</requestId><return>true</return></DeleteVpcResponse>"#]],
    );
    let error = ServiceError::new("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist");
    let response = wire::encode_error(service("ec2"), Protocol::Ec2Query, &error, "req-1");
    check_written(
        response,
        expect![[r#"
        400
        content-type: text/xml;charset=UTF-8
        x-amzn-requestid: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>The vpc ID &apos;vpc-1&apos; does not exist</Message></Error></Errors><RequestID>req-1</RequestID></Response>"#]],
    );
}

#[test]
fn aws_query_is_read() {
    check_read(
        "autoscaling",
        request(
            "POST",
            "/",
            &[FORM],
            "Action=DescribeAutoScalingGroups&Version=2011-01-01\
             &AutoScalingGroupNames.member.1=a%2Bb&AutoScalingGroupNames.member.2=c+d\
             &Filters.member.1.Name=tag:x&Filters.member.1.Values.member.1=y",
        ),
        expect![[
            r#"DescribeAutoScalingGroups AwsQuery {AutoScalingGroupNames: ["a+b", "c d"], Filters: [{Name: "tag:x", Values: ["y"]}]}"#
        ]],
    );
    // A list with a name of its own, also by the general name.
    for name in ["Filter", "member"] {
        let body = format!(
            "Action=DescribeDBInstances&Filters.{name}.1.Name=engine\
             &Filters.{name}.1.Values.Value.1=mysql"
        );
        check_read(
            "rds",
            request("POST", "/", &[FORM], &body),
            expect![[
                r#"DescribeDBInstances AwsQuery {Filters: [{Name: "engine", Values: ["mysql"]}]}"#
            ]],
        );
    }
    // Clients from before the JSON protocol.
    check_read(
        "sqs",
        request(
            "POST",
            "/",
            &[FORM],
            "Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5",
        ),
        expect![[r#"CreateQueue AwsQuery {QueueName: "q", Attributes: {"DelaySeconds": "5"}}"#]],
    );
    for (body, want) in [
        (
            "Action=CreateUser",
            expect![
                "400 ValidationError: 1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"
            ],
        ),
        (
            "Action=CreateUser&UserName=a%20b",
            expect![[
                r#"400 ValidationError: 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+"#
            ]],
        ),
        (
            "Action=ListUsers&MaxItems=0&PathPrefix=x",
            expect![[
                r#"400 ValidationError: 2 validation errors detected: Value 'x' at 'pathPrefix' failed to satisfy constraint: Member must satisfy regular expression pattern: \u002F[\u0021-\u007F]*; Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"#
            ]],
        ),
        (
            "Action=FlyAway",
            expect!["400 InvalidAction: The action FlyAway is not valid for this web service."],
        ),
        (
            "Action=ListUsers&MaxItems=x",
            expect![[r#"400 MalformedInput: MaxItems: expected an integer, found "x""#]],
        ),
    ] {
        check_read("iam", request("POST", "/", &[FORM], body), want);
    }
}

#[test]
fn aws_query_is_written() {
    let user = structure([
        ("Path", text("/")),
        ("UserName", text("a&b")),
        ("UserId", text("AIDA")),
        ("Arn", text("arn:aws:iam::123456789012:user/a&b")),
        ("CreateDate", Value::Time(Timestamp::from_secs(1_795_173_240))),
    ]);
    written(
        "iam",
        "GetUser",
        Protocol::AwsQuery,
        structure([("User", user)]),
        expect![[r#"
        200
        content-type: text/xml
        x-amzn-requestid: req-1
        <GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetUserResult><User><Path>/</Path><UserName>a&amp;b</UserName><UserId>AIDA</UserId><Arn>arn:aws:iam::123456789012:user/a&amp;b</Arn><CreateDate>2026-11-20T11:14:00Z</CreateDate></User></GetUserResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></GetUserResponse>"#]],
    );
    written(
        "iam",
        "DeleteUser",
        Protocol::AwsQuery,
        structure([]),
        expect![[r#"
        200
        content-type: text/xml
        x-amzn-requestid: req-1
        <DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></DeleteUserResponse>"#]],
    );
    let list = structure([("Users", Value::List(Vec::new())), ("IsTruncated", Value::Bool(false))]);
    written(
        "iam",
        "ListUsers",
        Protocol::AwsQuery,
        list,
        expect![[r#"
        200
        content-type: text/xml
        x-amzn-requestid: req-1
        <ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListUsersResult><Users></Users><IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></ListUsersResponse>"#]],
    );
    let iam = service("iam");
    let error = ServiceError::modelled(iam, "NoSuchEntityException", "no user");
    check_written(
        wire::encode_error(iam, Protocol::AwsQuery, &error, "req-1"),
        expect![[r#"
        404
        content-type: text/xml
        x-amzn-requestid: req-1
        <ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no user</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"#]],
    );
}

#[test]
fn aws_json_is_read() {
    check_read(
        "ssm",
        rpc(
            "AmazonSSM.PutParameter",
            r#"{"Name":"/a","Value":"v","Type":"String","Overwrite":null,"Unknown":1}"#,
        ),
        expect![[r#"PutParameter AwsJson11 {Name: "/a", Value: "v", Type: "String"}"#]],
    );
    check_read(
        "cloudtrail",
        rpc(
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
            r#"{"StartTime":1795173240.5,"MaxResults":5.0}"#,
        ),
        expect!["LookupEvents AwsJson11 {StartTime: 2026-11-20T11:14:00.500Z, MaxResults: 5}"],
    );
    check_read(
        "cloudtrail",
        rpc("CloudTrail_20131101.LookupEvents", r#"{"StartTime":1795173240.5,"MaxResults":5.0}"#),
        expect!["LookupEvents AwsJson11 {StartTime: 2026-11-20T11:14:00.500Z, MaxResults: 5}"],
    );
    check_read("sqs", rpc("AmazonSQS.ListQueues", ""), expect!["ListQueues AwsJson10 {}"]);
    for (target, body, want) in [
        ("AmazonSSM.Nothing", "{}", expect!["400 UnknownOperationException: "]),
        ("Other.PutParameter", "{}", expect!["400 UnknownOperationException: "]),
        (
            "AmazonSSM.PutParameter",
            "{",
            expect!["400 SerializationException: EOF while parsing an object at line 1 column 1"],
        ),
        (
            "AmazonSSM.PutParameter",
            "[]",
            expect!["400 SerializationException: expected an object, found a list"],
        ),
        (
            "AmazonSSM.PutParameter",
            r#"{"Name":7}"#,
            expect!["400 SerializationException: Name: expected a string, found a number"],
        ),
        (
            "AmazonSSM.PutParameter",
            r#"{"Name":"a","Value":"s","Tags":[{"Key":"k"}]}"#,
            expect![
                "400 ValidationException: 1 validation error detected: Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"
            ],
        ),
        (
            "AmazonSSM.GetParameters",
            r#"{"Names":[]}"#,
            expect![
                "400 ValidationException: 1 validation error detected: Value '[]' at 'names' failed to satisfy constraint: Member must have length greater than or equal to 1"
            ],
        ),
        (
            "AmazonSSM.GetParametersByPath",
            r#"{"Path":"/","MaxResults":99}"#,
            expect![
                "400 ValidationException: 1 validation error detected: Value '99' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 10"
            ],
        ),
    ] {
        check_read("ssm", rpc(target, body), want);
    }
}

#[test]
fn aws_json_is_written() {
    let parameter = structure([
        ("Name", text("/a")),
        ("Version", Value::Int(3)),
        ("LastModifiedDate", Value::Time(Timestamp::from_millis(1_795_173_240_500))),
    ]);
    let output = structure([("Parameter", parameter)]);
    written(
        "ssm",
        "GetParameter",
        Protocol::AwsJson11,
        output,
        expect![[r#"
        200
        content-type: application/x-amz-json-1.1
        x-amzn-requestid: req-1
        {"Parameter":{"LastModifiedDate":1795173240.5,"Name":"/a","Version":3}}"#]],
    );
    written(
        "sqs",
        "DeleteQueue",
        Protocol::AwsJson10,
        structure([]),
        expect![[r#"
        200
        content-type: application/x-amz-json-1.0
        x-amzn-requestid: req-1
        {}"#]],
    );
    let (ssm, sqs) = (service("ssm"), service("sqs"));
    let error = ServiceError::modelled(ssm, "ParameterNotFound", "");
    check_written(
        wire::encode_error(ssm, Protocol::AwsJson11, &error, "req-1"),
        expect![[r#"
        400
        content-type: application/x-amz-json-1.1
        x-amzn-requestid: req-1
        {"__type":"ParameterNotFound"}"#]],
    );
    let error = ServiceError::modelled(sqs, "QueueDoesNotExist", "The queue does not exist.");
    check_written(
        wire::encode_error(sqs, Protocol::AwsJson10, &error, "req-1"),
        expect![[r#"
        400
        content-type: application/x-amz-json-1.0
        x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender
        x-amzn-requestid: req-1
        {"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The queue does not exist."}"#]],
    );
    check_written(
        wire::encode_error(sqs, Protocol::AwsQuery, &error, "req-1"),
        expect![[r#"
        400
        content-type: text/xml
        x-amzn-requestid: req-1
        <ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The queue does not exist.</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"#]],
    );
}

#[test]
fn rest_json_is_read() {
    check_read(
        "lambda",
        request(
            "POST",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aap-northeast-2%3A123456789012%3Afunction%3Af/invocations?Qualifier=3",
            &[("x-amz-invocation-type", "Event")],
            "{\"a\":1}",
        ),
        expect![[
            r#"Invoke RestJson1 {FunctionName: "arn:aws:lambda:ap-northeast-2:123456789012:function:f", InvocationType: "Event", Qualifier: "3", Payload: b"{\"a\":1}"}"#
        ]],
    );
    check_read(
        "lambda",
        request("GET", "/2015-03-31/functions/?MaxItems=10&Marker=", &[], ""),
        expect![[r#"ListFunctions RestJson1 {Marker: "", MaxItems: 10}"#]],
    );
    check_read(
        "lambda",
        request(
            "DELETE",
            "/2017-03-31/tags/arn:aws:lambda:ap-northeast-2:123456789012:function:f?tagKeys=a&tagKeys=b%20c",
            &[],
            "",
        ),
        expect![[
            r#"UntagResource RestJson1 {Resource: "arn:aws:lambda:ap-northeast-2:123456789012:function:f", TagKeys: ["a", "b c"]}"#
        ]],
    );
    check_read(
        "lambda",
        request("PATCH", "/nothing", &[], ""),
        expect!["404 UnknownOperationException: "],
    );
    check_read(
        "lambda",
        request("GET", "/2015-03-31/functions/?MaxItems=0", &[], ""),
        expect![
            "400 ValidationException: 1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"
        ],
    );
}

#[test]
fn rest_json_is_written() {
    let lambda = service("lambda");
    let output = structure([
        ("StatusCode", Value::Int(202)),
        ("FunctionError", text("Unhandled")),
        ("Payload", Value::Stream(ByteStream::from(Bytes::from_static(b"{}")))),
    ]);
    written(
        "lambda",
        "Invoke",
        Protocol::RestJson1,
        output,
        expect![[r#"
        202
        x-amz-function-error: Unhandled
        content-type: application/octet-stream
        x-amzn-requestid: req-1
        {}"#]],
    );
    let error = ServiceError::modelled(lambda, "ResourceNotFoundException", "Function not found")
        .field("Type", text("User"));
    check_written(
        wire::encode_error(lambda, Protocol::RestJson1, &error, "req-1"),
        expect![[r#"
        404
        content-type: application/json
        x-amzn-errortype: ResourceNotFoundException
        x-amzn-requestid: req-1
        {"Message":"Function not found","Type":"User"}"#]],
    );
}

#[test]
fn rest_xml_is_read() {
    let delete = "<?xml version=\"1.0\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                  <Object><Key>a&amp;b</Key></Object><Object><Key>c&#xD;</Key></Object>\
                  <Quiet>true</Quiet></Delete>";
    for (method, target, headers, body, want) in [
        ("GET", "/", vec![], "", expect!["ListBuckets RestXml {}"]),
        ("GET", "/bucket/", vec![], "", expect![[r#"ListObjects RestXml {Bucket: "bucket"}"#]]),
        (
            "GET",
            "/bucket?list-type=2&prefix=a%2Fb&max-keys=5",
            vec![],
            "",
            expect![[r#"ListObjectsV2 RestXml {Bucket: "bucket", MaxKeys: 5, Prefix: "a/b"}"#]],
        ),
        (
            "GET",
            "/bucket/a/b%20c?partNumber=2",
            vec![("range", "bytes=0-9")],
            "",
            expect![[
                r#"GetObject RestXml {Bucket: "bucket", Key: "a/b c", Range: "bytes=0-9", PartNumber: 2}"#
            ]],
        ),
        (
            "GET",
            "/bucket/key?uploadId=u",
            vec![],
            "",
            expect![[r#"ListParts RestXml {Bucket: "bucket", Key: "key", UploadId: "u"}"#]],
        ),
        (
            "GET",
            "/bucket?uploads",
            vec![],
            "",
            expect![[r#"ListMultipartUploads RestXml {Bucket: "bucket"}"#]],
        ),
        (
            "GET",
            "/bucket?location",
            vec![],
            "",
            expect![[r#"GetBucketLocation RestXml {Bucket: "bucket"}"#]],
        ),
        (
            "PUT",
            "/bucket/key",
            vec![("x-amz-copy-source", "/b/k")],
            "",
            expect![[r#"CopyObject RestXml {Bucket: "bucket", CopySource: "/b/k", Key: "key"}"#]],
        ),
        (
            "PUT",
            "/bucket/key",
            vec![("x-amz-meta-Colour", "red"), ("x-amz-storage-class", "STANDARD")],
            "data",
            expect![[
                r#"PutObject RestXml {Bucket: "bucket", Key: "key", Metadata: {"colour": "red"}, StorageClass: "STANDARD", Body: stream}"#
            ]],
        ),
        (
            "PUT",
            "/bucket/key?partNumber=1&uploadId=u",
            vec![],
            "data",
            expect![[
                r#"UploadPart RestXml {Bucket: "bucket", Key: "key", PartNumber: 1, UploadId: "u", Body: stream}"#
            ]],
        ),
        (
            "PUT",
            "/bucket/key?partNumber=1&uploadId=u",
            vec![("x-amz-copy-source", "b/k"), ("x-amz-copy-source-range", "bytes=0-1")],
            "",
            expect![[
                r#"UploadPartCopy RestXml {Bucket: "bucket", CopySource: "b/k", CopySourceRange: "bytes=0-1", Key: "key", PartNumber: 1, UploadId: "u"}"#
            ]],
        ),
        (
            "POST",
            "/bucket/key?uploads",
            vec![],
            "",
            expect![[r#"CreateMultipartUpload RestXml {Bucket: "bucket", Key: "key"}"#]],
        ),
        (
            "POST",
            "/bucket?delete",
            vec![],
            delete,
            expect![[
                r#"DeleteObjects RestXml {Bucket: "bucket", Delete: {Objects: [{Key: "a&b"}, {Key: "c\r"}], Quiet: true}}"#
            ]],
        ),
        (
            "POST",
            "/bucket?delete",
            vec![],
            "<Delete><Object>",
            expect![
                "400 MalformedXML: The XML you provided was not well-formed or did not validate against our published schema"
            ],
        ),
        ("PUT", "/bucket", vec![], "", expect![[r#"CreateBucket RestXml {Bucket: "bucket"}"#]]),
        (
            "PUT",
            "/bucket",
            vec![],
            "<CreateBucketConfiguration><LocationConstraint>ap-northeast-2</LocationConstraint>\
             </CreateBucketConfiguration>",
            expect![[
                r#"CreateBucket RestXml {Bucket: "bucket", CreateBucketConfiguration: {LocationConstraint: "ap-northeast-2"}}"#
            ]],
        ),
        (
            "HEAD",
            "/bucket/key",
            vec![],
            "",
            expect![[r#"HeadObject RestXml {Bucket: "bucket", Key: "key"}"#]],
        ),
        (
            "PATCH",
            "/bucket/key",
            vec![],
            "",
            expect![
                "405 MethodNotAllowed: The specified method is not allowed against this resource."
            ],
        ),
        (
            "PUT",
            "/bucket/key",
            vec![("x-amz-storage-class", "SILVER")],
            "",
            expect![
                "400 InvalidArgument: StorageClass: member must satisfy enum value set: [STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER, DEEP_ARCHIVE, OUTPOSTS, GLACIER_IR, SNOW, EXPRESS_ONEZONE, FSX_OPENZFS, FSX_ONTAP, AWS_BACKUP_WARM, AWS_BACKUP_LOW_COST_WARM]"
            ],
        ),
    ] {
        check_read("s3", request(method, target, &headers, body), want);
    }
}

#[test]
fn buckets_are_found_in_hosts() {
    let (parts, ()) = Request::get("/a/b?tagging").body(()).unwrap().into_parts();
    let routed = wire::route(service("s3"), &parts, b"", Some("my.bucket")).unwrap();
    assert_eq!(routed.operation.name, "GetObjectTagging");
    let labels = [("Bucket", "my.bucket".to_owned()), ("Key", "a/b".to_owned())];
    assert_eq!(routed.labels, labels);
}

#[test]
fn rest_xml_is_written() {
    let object = structure([
        ("Key", text("a&b")),
        ("LastModified", Value::Time(Timestamp::from_millis(1_795_173_240_125))),
        ("ETag", text("\"e\"")),
        ("Size", Value::Int(3)),
    ]);
    let output = structure([
        ("IsTruncated", Value::Bool(false)),
        ("Contents", Value::List(vec![object])),
        ("Name", text("bucket")),
        ("CommonPrefixes", Value::List(vec![structure([("Prefix", text("p/"))])])),
    ]);
    written(
        "s3",
        "ListObjectsV2",
        Protocol::RestXml,
        output,
        expect![[r#"
        200
        content-type: application/xml
        x-amz-request-id: req-1
        x-amz-id-2: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated><Contents><Key>a&amp;b</Key><LastModified>2026-11-20T11:14:00.125Z</LastModified><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents><Name>bucket</Name><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"#]],
    );
    let location = structure([("LocationConstraint", text("ap-northeast-2"))]);
    written(
        "s3",
        "GetBucketLocation",
        Protocol::RestXml,
        location,
        expect![[r#"
        200
        content-type: application/xml
        x-amz-request-id: req-1
        x-amz-id-2: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">ap-northeast-2</LocationConstraint>"#]],
    );
    let output = structure([
        ("Body", Value::Stream(ByteStream::from(Bytes::from_static(b"data")))),
        ("LastModified", Value::Time(Timestamp::from_secs(1_795_173_240))),
        ("ContentLength", Value::Int(4)),
        ("ContentType", text("text/plain")),
        ("Metadata", Value::Map(vec![("colour".to_owned(), text("red"))])),
    ]);
    written(
        "s3",
        "GetObject",
        Protocol::RestXml,
        output,
        expect![[r#"
        200
        last-modified: Fri, 20 Nov 2026 11:14:00 GMT
        content-length: 4
        content-type: text/plain
        x-amz-meta-colour: red
        x-amz-request-id: req-1
        x-amz-id-2: req-1
        data"#]],
    );
    let copied = structure([("CopyObjectResult", structure([("ETag", text("\"e\""))]))]);
    written(
        "s3",
        "CopyObject",
        Protocol::RestXml,
        copied,
        expect![[r#"
        200
        content-type: application/xml
        x-amz-request-id: req-1
        x-amz-id-2: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ETag>&quot;e&quot;</ETag></CopyObjectResult>"#]],
    );
}

#[test]
fn rest_xml_errors_are_written() {
    written(
        "s3",
        "DeleteObject",
        Protocol::RestXml,
        structure([]),
        expect![[r#"
        204
        x-amz-request-id: req-1
        x-amz-id-2: req-1
    "#]],
    );
    let s3 = service("s3");
    let error = ServiceError::modelled(s3, "NoSuchKey", "The specified key does not exist.")
        .field("Key", text("k"));
    check_written(
        wire::encode_error(s3, Protocol::RestXml, &error, "req-1"),
        expect![[r#"
        404
        content-type: application/xml
        x-amz-request-id: req-1
        x-amz-id-2: req-1
        <?xml version="1.0" encoding="UTF-8"?>
        <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k</Key><RequestId>req-1</RequestId><HostId>req-1</HostId></Error>"#]],
    );
    let route53 = service("route53");
    let error = ServiceError::modelled(route53, "NoSuchHostedZone", "No hosted zone found");
    check_written(
        wire::encode_error(route53, Protocol::RestXml, &error, "req-1"),
        expect![[r#"
        404
        content-type: text/xml
        x-amzn-requestid: req-1
        <ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>NoSuchHostedZone</Code><Message>No hosted zone found</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"#]],
    );
}

#[test]
fn cbor_is_read() {
    // {"AlarmNames": ["a"], "MaxRecords": 5}, with lengths known and not.
    let target = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
    for body in [
        b"\xa2\x6aAlarmNames\x81\x61a\x6aMaxRecords\x05".as_slice(),
        b"\xbf\x6aAlarmNames\x9f\x61a\xff\x6aMaxRecords\x05\xff",
    ] {
        let mut request = request("POST", target, &[("smithy-protocol", "rpc-v2-cbor")], "");
        *request.body_mut() = Bytes::copy_from_slice(body);
        check_read(
            "cloudwatch",
            request,
            expect![[r#"DescribeAlarms RpcV2Cbor {AlarmNames: ["a"], MaxRecords: 5}"#]],
        );
    }
    // The same service in the two other protocols that its model lists.
    check_read(
        "cloudwatch",
        rpc("GraniteServiceVersion20100801.DescribeAlarms", r#"{"MaxRecords":5}"#),
        expect!["DescribeAlarms AwsJson10 {MaxRecords: 5}"],
    );
    check_read(
        "cloudwatch",
        request("POST", "/", &[FORM], "Action=DescribeAlarms&MaxRecords=5"),
        expect!["DescribeAlarms AwsQuery {MaxRecords: 5}"],
    );
}

#[test]
fn cbor_is_written() {
    let output = structure([("NextToken", text("t"))]);
    written(
        "cloudwatch",
        "DescribeAlarms",
        Protocol::RpcV2Cbor,
        output,
        expect![[r#"
        200
        content-type: application/cbor
        smithy-protocol: rpc-v2-cbor
        x-amzn-requestid: req-1
        bf694e657874546f6b656e6174ff"#]],
    );
    let cloudwatch = service("cloudwatch");
    let error = ServiceError::modelled(cloudwatch, "ResourceNotFound", "gone");
    check_written(
        wire::encode_error(cloudwatch, Protocol::RpcV2Cbor, &error, "req-1"),
        expect![[r#"
            404
            content-type: application/cbor
            smithy-protocol: rpc-v2-cbor
            x-amzn-query-error: ResourceNotFound;Sender
            x-amzn-requestid: req-1
            bf665f5f74797065705265736f757263654e6f74466f756e64676d65737361676564676f6e65ff"#]],
    );
}

#[test]
fn deep_bodies_are_refused() {
    let json = "{\"Filter\":".repeat(100) + "{}" + &"}".repeat(100);
    let filter = r#"{"And":["#.repeat(60) + "{}" + &"]}".repeat(60);
    for (target, body) in [
        ("AWSInsightsIndexService.GetCostAndUsage", json),
        ("AWSInsightsIndexService.GetCostAndUsage", format!("{{\"Filter\":{filter}}}")),
    ] {
        let got = read("ce", rpc(target, &body));
        assert!(
            got.contains("400 SerializationException") || got.contains("400 Validation"),
            "{got}"
        );
    }
    let xml = "<a>".repeat(100) + &"</a>".repeat(100);
    let got = read("s3", request("POST", "/bucket?delete", &[], &xml));
    assert!(got.contains("400 MalformedXML"), "{got}");
    let form = format!("Action=DescribeVpcs&{}=1", vec!["a"; 1000].join("."));
    let got = read("ec2", request("POST", "/", &[FORM], &form));
    assert!(got.starts_with("400 "), "{got}");
}

#[test]
fn every_model_loads() {
    let mut operations = 0;
    for name in schema::services() {
        let service = service(name);
        assert!(!service.protocols.is_empty(), "{name}");
        operations += service.operations().count();
    }
    assert!(operations > 7000, "{operations}");
}
