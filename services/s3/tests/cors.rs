//! Calls from pages of other origins.

mod fixture;

use fixture::{browse, code, create, header, outcome, send, start, text};

const RULES: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>http://www.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

#[tokio::test]
async fn browsers_are_told_what_pages_may_do() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("api")).await.unwrap();
    let ask = |origin: &'static str, method: &'static str| {
        let root = root.clone();
        async move {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", method),
                ("access-control-request-headers", "X-Amz-Date, Content-Type"),
            ];
            browse(&root, "OPTIONS", "/api/key", &headers, b"").await
        }
    };
    let none = ask("http://www.example.com", "PUT").await;
    assert_eq!((none.status().as_u16(), code(&none)), (403, "AccessForbidden".to_owned()));
    assert!(text(&none).contains("CORS is not enabled for this bucket"), "{}", text(&none));
    assert_eq!(outcome(&root, "PUT", "/api?cors", &[], RULES.as_bytes()).await.0, 200);
    let allowed = ask("http://www.example.com", "PUT").await;
    assert_eq!(allowed.status(), 200);
    for (name, want) in [
        ("access-control-allow-origin", "http://www.example.com"),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-headers", "x-amz-date, content-type"),
        ("access-control-expose-headers", "x-amz-request-id"),
        ("access-control-max-age", "3000"),
        ("access-control-allow-credentials", "true"),
    ] {
        assert_eq!(header(&allowed, name), want, "{name}");
    }
    assert_eq!(ask("http://evil.example", "PUT").await.status(), 403);
    assert_eq!(ask("http://www.example.com", "PATCH").await.status(), 400);
    assert_eq!(browse(&root, "OPTIONS", "/api/key", &[], b"").await.status(), 400);
    let origin = [("origin", "http://www.example.com")];
    let put = send(&root, "PUT", "/api/key", &origin, b"1").await;
    assert_eq!(header(&put, "access-control-allow-origin"), "http://www.example.com");
    let other = send(&root, "GET", "/api/key", &[("origin", "http://evil.example")], b"").await;
    assert_eq!((other.status().as_u16(), header(&other, "access-control-allow-origin")), (200, ""));
    let head = send(&root, "HEAD", "/api/key", &[("origin", "http://evil.example")], b"").await;
    assert_eq!(header(&head, "access-control-allow-origin"), "*");
    // Errors are readable to the page as well.
    let missing = send(&root, "GET", "/api/none", &origin, b"").await;
    assert_eq!(missing.status(), 404);
    assert_eq!(header(&missing, "access-control-allow-origin"), "http://www.example.com");
}

#[tokio::test]
async fn rules_are_kept_checked_and_ended() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("rules")).await.unwrap();
    let missing = (404, "NoSuchCORSConfiguration".to_owned());
    assert_eq!(outcome(&root, "GET", "/rules?cors", &[], b"").await, missing);
    assert_eq!(outcome(&root, "PUT", "/rules?cors", &[], RULES.as_bytes()).await.0, 200);
    let kept = send(&root, "GET", "/rules?cors", &[], b"").await;
    assert!(text(&kept).contains("<MaxAgeSeconds>3000</MaxAgeSeconds>"), "{}", text(&kept));
    assert_eq!(text(&kept).matches("<CORSRule>").count(), 2);
    for (rule, want) in [
        ("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>", "InvalidRequest"),
        ("<AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>", "InvalidRequest"),
        (
            "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x-*</ExposeHeader>",
            "InvalidRequest",
        ),
    ] {
        let xml = format!("<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>");
        let (status, code) = outcome(&root, "PUT", "/rules?cors", &[], xml.as_bytes()).await;
        assert_eq!((status, code.as_str()), (400, want), "{rule}");
    }
    let nobody = fixture.cloud.nobody();
    assert_eq!(outcome(&nobody, "PUT", "/rules?cors", &[], RULES.as_bytes()).await.0, 403);
    assert_eq!(outcome(&root, "DELETE", "/rules?cors", &[], b"").await.0, 204);
    assert_eq!(outcome(&root, "GET", "/rules?cors", &[], b"").await, missing);
}
