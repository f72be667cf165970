<?php
// The site's HTML.
declare(strict_types=1);

function text(mixed $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES);
}

/** Prints a whole page. */
function page(string $title, string $body, array $place): void
{
    header('content-type: text/html; charset=utf-8');
    header("Content-Security-Policy: default-src 'self'");
    $hops = '';
    foreach (['web' => 'Web', 'app' => 'App'] as $tier => $label) {
        $hops .= sprintf(
            '<li><b>%s</b><span>%s</span><span>%s</span></li>',
            $label,
            text($place[$tier]['instance']),
            text($place[$tier]['zone']),
        );
    }
    $title = text($title);
    echo <<<HTML
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Guest book · $title</title>
        <link rel="stylesheet" href="/static/site.css">
        <link rel="icon" href="/static/mark.svg">
        <header><img src="/static/mark.svg" alt="" width="36" height="36"><h1>Guest book</h1><em>$title</em></header>
        <ul class="hops">$hops</ul>
        <main>$body</main>
        </html>

        HTML;
}

/** The guest book. */
function body(array $writer, array $reader, bool $session, ?string $notice, array $config): string
{
    $parts = [];
    if ($notice !== null) {
        $parts[] = '<p class="notice">' . text($notice) . '</p>';
    }
    $parts[] = $session ? forms() : '<p class="notice">The session cache is not reachable.</p>';
    $parts[] = '<div class="sides">' . side('Written to', $writer) . side('Read from', $reader) . '</div>';
    $parts[] = sprintf(
        '<p class="foot">Session in %s · visit %s of this session%s</p>',
        text($config['cache']),
        text($_SESSION['visits'] ?? '-'),
        isset($_SESSION['published']) ? ' · published to ' . text($_SESSION['published']) : '',
    );
    return implode("\n", $parts);
}

function forms(): string
{
    $token = '<input type="hidden" name="token" value="' . text($_SESSION['token']) . '">';
    if (!isset($_SESSION['user'])) {
        return <<<HTML
            <form method="post" class="card">$token<input type="hidden" name="action" value="login">
            <input name="name" placeholder="Name" autocomplete="username" required>
            <input name="password" type="password" placeholder="Password" autocomplete="current-password" required>
            <button>Log in</button></form>
            HTML;
    }
    $user = text($_SESSION['user']);
    return <<<HTML
        <form method="post" class="card">$token
        <input name="body" placeholder="What do you want to say, $user?" maxlength="500" autofocus>
        <button name="action" value="write">Write</button>
        <button name="action" value="publish" class="quiet">Publish</button>
        <button name="action" value="logout" class="quiet">Log out</button></form>
        HTML;
}

function side(string $label, array $database): string
{
    $head = '<h2>' . text($label) . '</h2><p class="host">' . text($database['host']) . '</p>';
    if (isset($database['error'])) {
        return "<section class=\"card\">$head<p class=\"notice\">" . text($database['error']) . '</p></section>';
    }
    $rows = '';
    foreach ($database['entries'] as $entry) {
        $rows .= sprintf(
            '<li><q>%s</q><small>%s · %s · %s → %s</small></li>',
            text($entry['body']),
            text($entry['author']),
            text($entry['written']),
            text($entry['web_instance']),
            text($entry['app_instance']),
        );
    }
    $count = $database['count'];
    $server = text($database['server']);
    return "<section class=\"card\">$head<p><b>$count</b> entries on <code>$server</code></p><ol>$rows</ol></section>";
}
