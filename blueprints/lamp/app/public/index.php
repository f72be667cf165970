<?php
// The site: one page with a guest book, the session behind it, and where everything came from.
declare(strict_types=1);

require __DIR__ . '/../src/database.php';
require __DIR__ . '/../src/aws.php';
require __DIR__ . '/../src/page.php';

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/';
if ($path === '/health') {
    // This server only: a database that fails over must not take the app tier with it.
    header('content-type: text/plain');
    echo "ok\n";
    exit;
}

$config = json_decode(file_get_contents('/etc/lamp/config.json'), true, 8, JSON_THROW_ON_ERROR);
$place = [
    'web' => ['instance' => $_SERVER['HTTP_X_WEB_INSTANCE'] ?? '-', 'zone' => $_SERVER['HTTP_X_WEB_ZONE'] ?? '-'],
    'app' => ['instance' => $config['instance'], 'zone' => $config['zone']],
];
header("X-App-Instance: {$config['instance']}");
header("X-App-Zone: {$config['zone']}");
header('Cache-Control: no-store');

/** Reads the newest entries, the count and the server's own name from one of the databases. */
function read_entries(array $config, string $which): array
{
    try {
        $database = connect($config, $which);
        return [
            'host' => $config[$which],
            'server' => (string) $database->query('SELECT @@hostname')->fetchColumn(),
            'readOnly' => (bool) $database->query('SELECT @@global.read_only')->fetchColumn(),
            'count' => (int) $database->query('SELECT COUNT(*) FROM entries')->fetchColumn(),
            'entries' => $database->query('SELECT * FROM entries ORDER BY id DESC LIMIT 10')->fetchAll(),
        ];
    } catch (PDOException $fault) {
        error_log("$which: {$fault->getMessage()}");
        return ['host' => $config[$which], 'error' => 'not reachable'];
    }
}

/** Opens the session in the cache; says whether that worked. */
function open_session(array $config): bool
{
    if (!may_answer('cache', $config['cache'], (int) $config['cachePort'])) {
        return false;
    }
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://{$config['cache']}:{$config['cachePort']}?timeout=1&read_timeout=1&prefix=session:");
    ini_set('session.use_strict_mode', '1');
    set_error_handler(static fn () => true, E_WARNING);
    $opened = session_start(['name' => 'lamp', 'cookie_httponly' => true, 'cookie_samesite' => 'Lax']);
    restore_error_handler();
    if (!$opened) {
        kept_silent('cache');
    }
    return $opened;
}

/** What scripts and drills ask: the same facts as the page, as JSON. */
if ($path === '/api/status') {
    $session = open_session($config);
    if ($session) {
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
    }
    $writer = read_entries($config, 'writer');
    $reader = read_entries($config, 'reader');
    $healthy = $session && !isset($writer['error']) && !isset($reader['error']);
    http_response_code($healthy ? 200 : 503);
    header('content-type: application/json');
    echo json_encode($place + [
        'environment' => $config['environment'],
        'writer' => $writer,
        'reader' => $reader,
        'cache' => ['host' => $config['cache'], 'reachable' => $session, 'visits' => $_SESSION['visits'] ?? null],
    ], JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), "\n";
    exit;
}
if ($path !== '/') {
    http_response_code(404);
    page('Not found', '<p>There is nothing here. <a href="/">To the guest book</a></p>', $place);
    exit;
}

$session = open_session($config);
$notice = null;
if ($session) {
    $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
    $_SESSION['token'] ??= bin2hex(random_bytes(16));
}

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $notice = act($config, $place, $session);
    if ($notice === null) {
        header('Location: /', true, 303);
        exit;
    }
}

/** Does what a form asks for; gives the reason when it cannot. */
function act(array $config, array $place, bool $session): ?string
{
    if (!$session) {
        http_response_code(503);
        return 'Sessions are not available at the moment. Please try again.';
    }
    if (!hash_equals($_SESSION['token'], (string) ($_POST['token'] ?? ''))) {
        http_response_code(403);
        return 'The form has expired. Please try again.';
    }
    try {
        return match ($_POST['action'] ?? '') {
            'login' => log_in($config),
            'logout' => log_out(),
            'write' => write_entry($config, $place),
            'publish' => publish($config),
            default => 'This form is not known.',
        };
    } catch (PDOException | RuntimeException $fault) {
        error_log($fault->getMessage());
        http_response_code(503);
        return 'That did not work. Please try again.';
    }
}

function log_in(array $config): ?string
{
    $name = (string) ($_POST['name'] ?? '');
    $statement = connect($config, 'writer')->prepare('SELECT password_hash FROM users WHERE name = ?');
    $statement->execute([$name]);
    $hash = $statement->fetchColumn();
    if ($hash === false || !password_verify((string) ($_POST['password'] ?? ''), $hash)) {
        http_response_code(403);
        return 'Name or password is wrong.';
    }
    session_regenerate_id(true);
    $_SESSION['user'] = $name;
    return null;
}

function log_out(): ?string
{
    unset($_SESSION['user']);
    session_regenerate_id(true);
    return null;
}

function write_entry(array $config, array $place): ?string
{
    $body = trim((string) ($_POST['body'] ?? ''));
    if (!isset($_SESSION['user'])) {
        http_response_code(403);
        return 'Please log in first.';
    }
    if ($body === '' || mb_strlen_safe($body) > 500) {
        http_response_code(400);
        return 'An entry has 1 to 500 characters.';
    }
    $statement = connect($config, 'writer')->prepare(
        'INSERT INTO entries (author, body, web_instance, app_instance) VALUES (?, ?, ?, ?)'
    );
    $statement->execute([$_SESSION['user'], $body, $place['web']['instance'], $place['app']['instance']]);
    return null;
}

/** Counts characters without the mbstring extension, which Debian does not install by default. */
function mb_strlen_safe(string $text): int
{
    return (int) preg_match_all('/./su', $text);
}

function publish(array $config): ?string
{
    if (!isset($_SESSION['user'])) {
        http_response_code(403);
        return 'Please log in first.';
    }
    $entries = read_entries($config, 'reader');
    $aws = new Aws($config['region'], $config['endpoint']);
    $aws->put($config['bucket'], 'entries.json', 'application/json', json_encode($entries['entries'] ?? []));
    $_SESSION['published'] = "s3://{$config['bucket']}/entries.json";
    return null;
}

$writer = read_entries($config, 'writer');
$reader = read_entries($config, 'reader');
if (isset($writer['error']) && isset($reader['error'])) {
    http_response_code(503);
}
page($config['environment'], body($writer, $reader, $session, $notice, $config), $place);
