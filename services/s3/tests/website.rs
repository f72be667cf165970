//! Web sites in buckets, as browsers see them.

mod fixture;

use fixture::{Fixture, browse, create, header, outcome, put_policy, send, start, text, unblock};

const HOST: &str = "site.s3-website.ap-northeast-2.amazonaws.com";

async fn site(document: &str) -> Fixture {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("site")).await.expect("a new name");
    unblock(&root, "site").await;
    put_policy(&root, "site", r#"{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::site","arn:aws:s3:::site/*"]}"#).await;
    for (key, body) in [("index.html", "home"), ("docs/index.html", "docs"), ("lost.html", "lost")]
    {
        let kind = [("content-type", "text/html")];
        send(&root, "PUT", &format!("/site/{key}"), &kind, body.as_bytes()).await;
    }
    let xml = format!("<WebsiteConfiguration>{document}</WebsiteConfiguration>");
    let put = outcome(&root, "PUT", "/site?website", &[], xml.as_bytes()).await;
    assert_eq!(put.0, 200, "{}", put.1);
    fixture
}

const PLAIN: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>lost.html</Key></ErrorDocument>";

#[tokio::test]
async fn pages_have_an_index_and_an_error_document() {
    let fixture = site(PLAIN).await;
    let root = fixture.cloud.root();
    let get = |path: &'static str| {
        let root = root.clone();
        async move { browse(&root, "GET", path, &[("host", HOST)], b"").await }
    };
    for (path, status, body) in [
        ("/", 200, "home"),
        ("/index.html", 200, "home"),
        ("/docs/", 200, "docs"),
        ("/nothing", 404, "lost"),
    ] {
        let page = get(path).await;
        assert_eq!((page.status().as_u16(), text(&page)), (status, body.to_owned()), "{path}");
        assert_eq!(header(&page, "content-type"), "text/html");
    }
    let folder = get("/docs").await;
    assert_eq!((folder.status().as_u16(), header(&folder, "location")), (302, "/docs/"));
    let head = browse(&root, "HEAD", "/", &[("host", HOST)], b"").await;
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "4"));
    let post = browse(&root, "POST", "/", &[("host", HOST)], b"").await;
    assert_eq!(post.status(), 405);
    assert!(text(&post).contains("<li>Code: MethodNotAllowed</li>"), "{}", text(&post));
    let etag = header(&get("/").await, "etag").to_owned();
    let same = [("host", HOST), ("if-none-match", etag.as_str())];
    assert_eq!(browse(&root, "GET", "/", &same, b"").await.status(), 304);
    let redirect = [("x-amz-website-redirect-location", "/docs/index.html")];
    send(&root, "PUT", "/site/old", &redirect, b"").await;
    let moved = get("/old").await;
    assert_eq!(moved.status(), 301);
    assert_eq!(header(&moved, "location"), format!("http://{HOST}/docs/index.html"));
}

#[tokio::test]
async fn rules_redirect_before_and_after_a_page_is_looked_for() {
    let rules = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument><RoutingRules>\
        <RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>docs/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
        <RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>example.com</HostName><Protocol>https</Protocol><HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule>\
        </RoutingRules>";
    let fixture = site(rules).await;
    let root = fixture.cloud.root();
    let before = browse(&root, "GET", "/old/index.html", &[("host", HOST)], b"").await;
    assert_eq!(before.status(), 301);
    assert_eq!(header(&before, "location"), format!("http://{HOST}/docs/index.html"));
    let after = browse(&root, "GET", "/no%20page", &[("host", HOST)], b"").await;
    assert_eq!(after.status(), 307);
    assert_eq!(header(&after, "location"), "https://example.com/no%20page");
}

#[tokio::test]
async fn a_site_can_redirect_everything() {
    let all = "<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>";
    let fixture = site(all).await;
    let root = fixture.cloud.root();
    let page = browse(&root, "GET", "/a/b", &[("host", HOST)], b"").await;
    assert_eq!(
        (page.status().as_u16(), header(&page, "location")),
        (301, "http://example.com/a/b")
    );
}

#[tokio::test]
async fn what_is_no_site_says_so_as_a_page() {
    let fixture = site(PLAIN).await;
    let root = fixture.cloud.root();
    let got = outcome(&root, "GET", "/site?website", &[], b"").await;
    assert_eq!(got.0, 200);
    assert_eq!(outcome(&root, "DELETE", "/site?website", &[], b"").await.0, 204);
    let gone = outcome(&root, "GET", "/site?website", &[], b"").await;
    assert_eq!(gone, (404, "NoSuchWebsiteConfiguration".to_owned()));
    for (host, code) in [
        (HOST, "NoSuchWebsiteConfiguration"),
        ("none.s3-website-ap-northeast-2.amazonaws.com", "NoSuchBucket"),
    ] {
        let page = browse(&root, "GET", "/", &[("host", host)], b"").await;
        assert_eq!(page.status(), 404);
        assert!(text(&page).contains(&format!("<li>Code: {code}</li>")), "{}", text(&page));
    }
    for bad in [
        "<ErrorDocument><Key>x</Key></ErrorDocument>",
        "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>",
        "<IndexDocument><Suffix>i</Suffix></IndexDocument><RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>",
    ] {
        let xml = format!("<WebsiteConfiguration>{bad}</WebsiteConfiguration>");
        let (status, code) = outcome(&root, "PUT", "/site?website", &[], xml.as_bytes()).await;
        assert_eq!((status, code.as_str()), (400, "InvalidArgument"), "{bad}");
    }
    let nobody = fixture.cloud.nobody();
    let xml = format!("<WebsiteConfiguration>{PLAIN}</WebsiteConfiguration>");
    assert_eq!(outcome(&nobody, "PUT", "/site?website", &[], xml.as_bytes()).await.0, 403);
}

#[tokio::test]
async fn a_private_site_shows_why_it_is_refused() {
    let fixture = site("<IndexDocument><Suffix>index.html</Suffix></IndexDocument>").await;
    let root = fixture.cloud.root();
    assert_eq!(outcome(&root, "DELETE", "/site?policy", &[], b"").await.0, 204);
    let page = browse(&root, "GET", "/", &[("host", HOST)], b"").await;
    assert_eq!(page.status(), 403);
    assert!(text(&page).contains("<h1>403 Forbidden</h1>"), "{}", text(&page));
}
