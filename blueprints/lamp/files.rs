&[
    ("app/bin/app.sh", include_str!("app/bin/app.sh")),
    ("app/bin/configure.php", include_str!("app/bin/configure.php")),
    ("app/bin/migrate.php", include_str!("app/bin/migrate.php")),
    ("app/bin/web.sh", include_str!("app/bin/web.sh")),
    ("app/public/index.php", include_str!("app/public/index.php")),
    ("app/src/aws.php", include_str!("app/src/aws.php")),
    ("app/src/database.php", include_str!("app/src/database.php")),
    ("app/src/page.php", include_str!("app/src/page.php")),
    ("app/web/health", include_str!("app/web/health")),
    ("app/web/static/mark.svg", include_str!("app/web/static/mark.svg")),
    ("app/web/static/site.css", include_str!("app/web/static/site.css")),
    ("template.yaml", include_str!("template.yaml")),
]
